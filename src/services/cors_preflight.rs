//! A service that answers CORS preflight requests (Fetch standard, section "CORS protocol").

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use tower_service::Service;

use crate::response::{
    ResponseBody, metadata_options_response, method_not_allowed, preflight_response,
};

/// Service that responds to `OPTIONS` with 204 and CORS headers, and to other methods with 405.
///
/// It is for servers whose router has a route per method.
/// [`ProtectedResourceService`](crate::services::ProtectedResourceService),
/// [`AuthorizationServerService`](crate::services::AuthorizationServerService) and
/// [`BearerAuth`](crate::bearer_auth) answer preflights themselves.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::services::CorsPreflightService;
/// use http::{Method, Request, StatusCode};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let request = Request::builder().method(Method::OPTIONS).body(()).unwrap();
/// let response = CorsPreflightService::metadata().oneshot(request).await.unwrap();
/// assert_eq!(response.status(), StatusCode::NO_CONTENT);
/// assert_eq!(response.headers()["access-control-allow-methods"], "GET, HEAD, OPTIONS");
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CorsPreflightService {
    path: PathKind,
}

#[derive(Clone, Copy, Debug)]
enum PathKind {
    Metadata,
    Endpoint,
}

impl CorsPreflightService {
    /// Creates a service for the path of a metadata document, which allows `GET`, `HEAD` and
    /// `OPTIONS`.
    #[must_use]
    pub fn metadata() -> Self {
        Self { path: PathKind::Metadata }
    }

    /// Creates a service for an MCP endpoint, which allows `GET`, `POST`, `DELETE` and `OPTIONS`.
    #[must_use]
    pub fn endpoint() -> Self {
        Self { path: PathKind::Endpoint }
    }
}

impl<B> Service<Request<B>> for CorsPreflightService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(match (request.method(), self.path) {
            (&Method::OPTIONS, PathKind::Metadata) => metadata_options_response(),
            (&Method::OPTIONS, PathKind::Endpoint) => preflight_response(),
            _ => method_not_allowed("OPTIONS"),
        }))
    }
}
