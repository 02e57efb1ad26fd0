//! poem with poem-mcpserver.
//!
//! - **poem-mcpserver makes one server per session, from the request that begins it**, so that what a
//!   tool knows of its caller is what was true then. The guard binds each session to its user: another
//!   user gets a 404, where poem-mcpserver by itself would let their call run as the first one. The
//!   scopes may have changed since then, so ask for them with an access policy, which sees the token of
//!   every call, and not in the tool.
//! - poem's requests are not those of the crate `http`, so that a layer cannot be applied to an endpoint
//!   as it is: `guarded` makes a tower service of it, and an endpoint of the guarded service.
//! - It answers what the client accepts first: a list of responses for `application/json`.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use clerk_mcp_tools::access_policy::RequestBody;
use clerk_mcp_tools::{AuthInfo, ClerkMcp};
use http::uri::Scheme;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use poem::endpoint::TowerCompatExt;
use poem::listener::TcpAcceptor;
use poem::{Body, Endpoint, IntoEndpoint, Request, Route, Server};
use poem_mcpserver::content::Text;
use poem_mcpserver::{McpServer, Tools, streamable_http};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

use crate::notes::describe;

pub(crate) async fn serve(clerk: ClerkMcp, listener: TcpListener) -> io::Result<()> {
    let mcp = streamable_http::endpoint(|request| {
        McpServer::new().tools(Notes { caller: request.extensions().get().cloned() })
    });
    let routes = Route::new().at(clerk.resource().path(), guarded(&clerk, mcp.into_endpoint()));
    let documents = clerk.well_known_routes().into_iter();
    let routes = documents
        .fold(routes, |routes, (path, document)| routes.at(path, TowerCompatExt::compat(document)));
    Server::new_with_acceptor(TcpAcceptor::from_std(listener.into_std()?)?).run(routes).await
}

/// Guards an endpoint.
fn guarded(clerk: &ClerkMcp, endpoint: impl Endpoint + 'static) -> impl Endpoint + 'static {
    let endpoint = Arc::new(endpoint);
    let service = service_fn(move |request: http::Request<RequestBody<PoemBody>>| {
        let endpoint = Arc::clone(&endpoint);
        async move {
            let (parts, body) = request.into_parts();
            let parts = (parts, Default::default(), Default::default(), Scheme::HTTP).into();
            let request = Request::from_parts(parts, Body::from(body.boxed()));
            let response: http::Response<PoemBody> = endpoint.get_response(request).await.into();
            Ok::<_, Infallible>(response)
        }
    });
    TowerCompatExt::compat(clerk.auth_layer().layer(service))
}

type PoemBody = BoxBody<Bytes, io::Error>;

struct Notes {
    caller: Option<AuthInfo>,
}

#[Tools]
impl Notes {
    /// Returns who calls, and with which scopes.
    async fn whoami(&self) -> Result<Text<String>, &'static str> {
        let caller = self.caller.as_ref().ok_or("the server is not guarded")?;
        Ok(Text(describe(caller.principal().id(), &caller.scopes().to_string())))
    }

    /// Deletes all notes. Requires the scope notes:write.
    async fn delete_notes(&self) -> Text<&'static str> {
        Text("deleted")
    }
}
