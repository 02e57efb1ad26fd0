//! salvo, in front of an MCP server made with rmcp. The guard can also be in front of salvo's own
//! handlers, which find the caller in `Request::extensions`.
//!
//! - salvo runs a layer only as one that keeps salvo's type of body, while the guard passes on a body
//!   that it may have read: `RequestBody::into_original` makes salvo's body of it.
//! - A router without a `goal` never runs its layers (`hoop`). Preflights are requests with the method
//!   `OPTIONS`: `goal` takes every method, `post` would answer them with 405 before the guard sees them.
//! - `TowerServiceCompat` has to be told the type of the body.

use std::io;

use clerk_mcp_tools::ClerkMcp;
use clerk_mcp_tools::access_policy::RequestBody;
use http::Request;
use salvo::conn::tcp::TcpAcceptor;
use salvo::http::ReqBody;
use salvo::prelude::{Router, Server, TowerLayerCompat, TowerServiceCompat};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

use crate::notes;

pub(crate) async fn serve(clerk: ClerkMcp, listener: TcpListener) -> io::Result<()> {
    let guard = ServiceBuilder::new().layer(clerk.auth_layer()).map_request(
        |request: Request<RequestBody<ReqBody>>| request.map(RequestBody::into_original),
    );
    let mcp = TowerServiceCompat::<ReqBody, _, _, _>::compat(notes::service(&clerk));
    let guarded = Router::with_path(clerk.resource().path())
        .hoop(TowerLayerCompat::compat::<ReqBody>(guard))
        .goal(mcp);
    let documents = clerk.well_known_routes().into_iter();
    let router = documents.fold(Router::new().push(guarded), |router, (path, document)| {
        let document = TowerServiceCompat::<ReqBody, _, _, _>::compat(document);
        router.push(Router::with_path(path).goal(document))
    });
    Server::new(TcpAcceptor::try_from(listener)?).serve(router).await;
    Ok(())
}
