//! Serves the metadata of the authorization server (RFC 8414).

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Request, Response};
use tower_service::Service;

use super::document::{Action, Document, action_for, response_for};
use super::metadata_future::MetadataFuture;
use crate::cache::{Interrupted, RefreshError, RefreshTimes, RefreshingCache, Source};
use crate::clock::Clock;
use crate::error::{VerifyError, VerifyErrorKind};
use crate::metadata::AuthorizationServerMetadata;
use crate::oauth::Scopes;
use crate::response::{ResponseBody, metadata_unavailable};

const REFRESH_TIMES: RefreshTimes = RefreshTimes {
    refresh_after: Duration::from_secs(10 * 60),
    max_age: Duration::from_secs(60 * 60),
    stale_if_error: Duration::from_secs(24 * 60 * 60),
    min_refresh_interval: Duration::from_secs(30),
};

/// Service that serves the metadata of the authorization server (RFC 8414 section 3.2), for clients
/// that request it from the MCP server (MCP 2025-03-26).
///
/// The document is fetched on the first request, cached, and refreshed in the background. While
/// Clerk is unavailable, the last document is served for up to 24 hours. Without one, the response
/// is 503 with `Retry-After`.
///
/// It is built by [`AuthorizationServerService::for_clerk`] or [`ClerkMcp`](crate::ClerkMcp).
/// Clones share the document.
#[derive(Clone)]
pub struct AuthorizationServerService {
    document: RefreshingCache<Document, VerifyError>,
}

struct DocumentSource<S> {
    metadata: S,
    /// The scopes that the document is restricted to.
    scopes: Option<Scopes>,
}

#[async_trait]
impl<S> Source for DocumentSource<S>
where
    S: Source<Value = AuthorizationServerMetadata>,
    S::Error: Into<VerifyError>,
{
    type Value = Document;
    type Error = VerifyError;

    async fn fetch(&self) -> Result<Document, VerifyError> {
        let metadata = self.metadata.fetch().await.map_err(|error| {
            tracing::warn!(error = %error, cause = ?error, "failed to fetch the authorization server metadata");
            error.into()
        })?;
        Ok(match &self.scopes {
            Some(scopes) => Document::new(&metadata.with_scopes_restricted_to(scopes)),
            None => Document::new(&metadata),
        })
    }
}

impl RefreshError for VerifyError {
    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }

    fn with_retry_after(self, wait: Duration) -> Self {
        self.with_retry_after(wait)
    }

    fn interrupted(why: Interrupted) -> Self {
        Self::new(VerifyErrorKind::Unavailable).with_detail(why.to_string())
    }
}

impl AuthorizationServerService {
    pub(crate) fn new(
        metadata: impl Source<Value = AuthorizationServerMetadata, Error: Into<VerifyError>>,
        scopes: Option<Scopes>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let source = DocumentSource { metadata, scopes };
        Self { document: RefreshingCache::new(source, REFRESH_TIMES, clock) }
    }
}

impl<B> Service<Request<B>> for AuthorizationServerService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = MetadataFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match action_for(request.method()) {
            Action::Respond(response) => MetadataFuture::ready(response),
            Action::Serve => {
                MetadataFuture::fetching(serve(self.document.clone(), request.method().clone()))
            }
        }
    }
}

async fn serve(
    document: RefreshingCache<Document, VerifyError>,
    method: Method,
) -> Response<ResponseBody> {
    match document.get().await {
        Ok(document) => response_for(&document, &method),
        Err(error) => metadata_unavailable(error),
    }
}

impl fmt::Debug for AuthorizationServerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServerService").finish_non_exhaustive()
    }
}
