//! Routes of an axum router for one endpoint (feature `axum`).

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::ClerkMcp;
use crate::access_policy::RequestBody;

impl ClerkMcp {
    /// Adds the guarded MCP service and the metadata documents to a router. The service is at the
    /// path of the resource, with and without a trailing slash. Requires the feature `axum`.
    ///
    /// Nothing that is configured can be left out this way: the service is guarded by
    /// [`auth_layer`](Self::auth_layer), and the documents are outside of it. Do not
    /// [nest](Router::nest) the router: the documents belong at the root of the host.
    ///
    /// A router with several endpoints of one host needs
    /// [`without_root_metadata`](crate::ClerkMcpBuilder::without_root_metadata) for all but one.
    ///
    /// # Panics
    ///
    /// Panics, as [`Router::route`] does, if the router has a route with one of these paths.
    ///
    /// # Example
    ///
    /// ```
    /// use axum::Router;
    /// use clerk_mcp_tools::ClerkMcp;
    /// use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
    /// use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
    ///
    /// # #[derive(Clone)]
    /// # struct Tools;
    /// # impl rmcp::ServerHandler for Tools {}
    /// fn router(clerk: &ClerkMcp) -> Router {
    ///     let config = StreamableHttpServerConfig::default()
    ///         .with_legacy_session_mode(false)
    ///         .with_allowed_hosts([clerk.resource().host()]);
    ///     let sessions = NeverSessionManager::default().into();
    ///     let mcp = StreamableHttpService::new(|| Ok(Tools), sessions, config);
    ///     clerk.mount(Router::new(), mcp)
    /// }
    /// ```
    pub fn mount<T, S, ResBody>(&self, router: Router<T>, service: S) -> Router<T>
    where
        T: Clone + Send + Sync + 'static,
        S: Service<Request<RequestBody<Body>>, Response = Response<ResBody>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        ResBody: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        self.mount_at(router, self.resource().path(), service)
    }

    /// Does the same with another path for the service: the one that this server sees, where a proxy
    /// in front removes a prefix. The proxy then has to forward the [well-known
    /// paths](Self::well_known_routes) as they are.
    ///
    /// # Panics
    ///
    /// Panics, as [`Router::route`] does, if the router has a route with one of these paths, or if
    /// `path` is neither empty nor starts with a slash.
    pub fn mount_at<T, S, ResBody>(&self, router: Router<T>, path: &str, service: S) -> Router<T>
    where
        T: Clone + Send + Sync + 'static,
        S: Service<Request<RequestBody<Body>>, Response = Response<ResBody>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        ResBody: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        // A path of a URL may have segments that were captures in axum 0.7.
        let router = router.without_v07_checks();
        let guarded = self.auth_layer().layer(service);
        let path = path.trim_end_matches('/');
        let router = router.route_service(&format!("{path}/"), guarded.clone());
        let router = if path.is_empty() { router } else { router.route_service(path, guarded) };
        let documents = self.well_known_routes().into_iter();
        documents.fold(router, |router, (path, service)| router.route_service(&path, service))
    }
}
