//! Serves the metadata documents at their well-known paths.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::authorization_server::AuthorizationServerService;
use super::metadata_future::MetadataFuture;
use super::protected_resource::ProtectedResourceService;
use crate::oauth::is_guarded;
use crate::response::{Oneshot, ResponseBody};

/// Service that serves one of the two documents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WellKnownService {
    /// The protected resource's metadata.
    ProtectedResource(ProtectedResourceService),
    /// The authorization server's metadata.
    AuthorizationServer(AuthorizationServerService),
}

impl<B> Service<Request<B>> for WellKnownService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = MetadataFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self {
            Self::ProtectedResource(service) => {
                MetadataFuture::ready(service.respond(&request.into_parts().0))
            }
            Self::AuthorizationServer(service) => service.call(request),
        }
    }
}

/// Layer that serves the well-known paths, for stacks without a router. It passes every other
/// request to the inner service.
///
/// It must see the requests as clients send them: around the bearer layer, not inside `Router::nest`,
/// which removes a prefix, and not as a `Router::route_layer`, which gets only requests for routes
/// that exist. With a router, use its routes instead, or the feature `axum`.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::metadata::{
///     PROTECTED_RESOURCE_WELL_KNOWN, ProtectedResourceMetadata, well_known_paths,
/// };
/// use clerk_mcp_tools::services::{ProtectedResourceService, WellKnownLayer, WellKnownService};
/// use clerk_mcp_tools::ResourceUrl;
///
/// let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
/// let document = ProtectedResourceMetadata::builder(&resource)
///     .authorization_server("https://clerk.example.com")
///     .build()?;
/// let service = WellKnownService::ProtectedResource(ProtectedResourceService::new(&document));
/// let paths = well_known_paths(PROTECTED_RESOURCE_WELL_KNOWN, &resource);
/// let layer = WellKnownLayer::new(paths.into_iter().map(|path| (path, service.clone())));
/// # let _ = layer;
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct WellKnownLayer {
    routes: Arc<HashMap<String, WellKnownService>>,
}

impl WellKnownLayer {
    /// Creates a layer that serves each path with its service. Paths are compared exactly, without
    /// the query.
    pub fn new(routes: impl IntoIterator<Item = (String, WellKnownService)>) -> Self {
        Self { routes: Arc::new(routes.into_iter().collect()) }
    }
}

impl<S> Layer<S> for WellKnownLayer {
    type Service = WellKnown<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WellKnown {
            inner,
            routes: Arc::clone(&self.routes),
            has_warned: Arc::new(AtomicBool::new(false)),
        }
    }
}

/// Middleware that serves the well-known paths, and passes every other request to the inner
/// service.
#[derive(Clone, Debug)]
pub struct WellKnown<S> {
    inner: S,
    routes: Arc<HashMap<String, WellKnownService>>,
    has_warned: Arc<AtomicBool>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for WellKnown<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = WellKnownFuture<S, ReqBody>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        self.check_place(&request);
        let state = match self.routes.get(request.uri().path()) {
            Some(service) => WellKnownState::Metadata { future: service.clone().call(request) },
            None => WellKnownState::Inner { future: Oneshot::call(&mut self.inner, request) },
        };
        WellKnownFuture { state }
    }
}

impl<S> WellKnown<S> {
    /// Warns once if clients can never reach the documents.
    fn check_place<B>(&self, request: &Request<B>) {
        if is_guarded(request.extensions()) && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the well-known layer is inside the bearer layer: clients have no token yet when \
                 they request the metadata; put it around the bearer layer"
            );
        }
    }
}

pin_project! {
    /// Response future of [`WellKnown`].
    #[must_use = "futures do nothing unless they are polled"]
    pub struct WellKnownFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: WellKnownState<S, ReqBody>,
    }
}

pin_project! {
    #[project = WellKnownStateProj]
    enum WellKnownState<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Metadata { #[pin] future: MetadataFuture },
        Inner { #[pin] future: Oneshot<S, ReqBody> },
    }
}

impl<S, ReqBody, ResBody> Future for WellKnownFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            WellKnownStateProj::Inner { future } => {
                Poll::Ready(Ok(ready!(future.poll(cx))?.map(ResponseBody::inner)))
            }
            WellKnownStateProj::Metadata { future } => match ready!(future.poll(cx)) {
                Ok(response) => Poll::Ready(Ok(response.map(ResponseBody::with_inner_type))),
                Err(never) => match never {},
            },
        }
    }
}

impl<S, ReqBody> fmt::Debug for WellKnownFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WellKnownFuture").finish_non_exhaustive()
    }
}
