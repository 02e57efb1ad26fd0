//! Serves the metadata of the protected resource (RFC 9728).

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;

use super::document::{Document, response_for};
use crate::metadata::ProtectedResourceMetadata;
use crate::oauth::ResolveResource;
use crate::response::{ResponseBody, unknown_host};

/// Service that serves the metadata of a protected resource (RFC 9728 section 3.2).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::metadata::ProtectedResourceMetadata;
/// use clerk_mcp_tools::services::ProtectedResourceService;
/// use clerk_mcp_tools::ResourceUrl;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
/// let document = ProtectedResourceMetadata::builder(&resource)
///     .authorization_server("https://clerk.example.com")
///     .build()?;
/// let response = ProtectedResourceService::new(&document).oneshot(http::Request::new(())).await?;
/// assert_eq!(response.headers()["content-type"], "application/json");
/// assert_eq!(response.headers()["cache-control"], "public, max-age=3600");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ProtectedResourceService(Documents);

#[derive(Clone)]
enum Documents {
    One(Document),
    /// The document of the resource that a request is for: the template with its URL.
    ByRequest {
        template: Arc<ProtectedResourceMetadata>,
        resolver: Arc<dyn ResolveResource>,
    },
}

impl ProtectedResourceService {
    /// Creates a service that serves this document.
    #[must_use]
    pub fn new(document: &ProtectedResourceMetadata) -> Self {
        Self(Documents::One(Document::new(document)))
    }

    /// Creates a service that serves this document with the `resource` that the request is for. A
    /// request for none of them is rejected with 421.
    #[must_use]
    pub fn with_resolver(
        template: ProtectedResourceMetadata,
        resolver: impl ResolveResource,
    ) -> Self {
        Self(Documents::ByRequest { template: Arc::new(template), resolver: Arc::new(resolver) })
    }

    pub(super) fn respond<ResBody>(&self, parts: &Parts) -> Response<ResponseBody<ResBody>> {
        match &self.0 {
            Documents::One(document) => response_for(document, &parts.method),
            Documents::ByRequest { template, resolver } => {
                let Some(resource) = resolver.resolve(parts) else {
                    return unknown_host(true);
                };
                let mut document = ProtectedResourceMetadata::clone(template);
                resource.as_str().clone_into(&mut document.resource);
                response_for(&Document::new(&document), &parts.method)
            }
        }
    }
}

impl<B> Service<Request<B>> for ProtectedResourceService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(&request.into_parts().0)))
    }
}

impl fmt::Debug for ProtectedResourceService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectedResourceService").finish_non_exhaustive()
    }
}
