use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Request, Response};
use tower_service::Service;

use super::document::{Action, Document, action_for, response_for};
use crate::cache::{Interrupted, RefreshError, RefreshTimes, RefreshingCache, Source};
use crate::clock::Clock;
use crate::error::{VerifyError, VerifyErrorKind};
use crate::metadata::AuthorizationServerMetadata;
use crate::oauth::Scopes;
use crate::response::{NoInner, ResponseBody, metadata_unavailable};

const LIMITS: RefreshTimes = RefreshTimes {
    refresh_after: Duration::from_secs(10 * 60),
    max_age: Duration::from_secs(60 * 60),
    stale_if_error: Duration::from_secs(24 * 60 * 60),
    min_refresh_interval: Duration::from_secs(30),
};

/// Answers with the metadata of the authorization server (RFC 8414 section 3.2), for the clients that ask the MCP
/// server for it (MCP 2025-03-26).
///
/// The document is fetched when it is first asked for, then kept and renewed beside the requests. While Clerk is down the
/// last good one serves on for 24 hours; without one the answer is 503 with `Retry-After`.
///
/// It is made with [`AuthorizationServerService::for_clerk`] or by [`ClerkMcp`](crate::ClerkMcp). A clone shares the
/// document.
#[derive(Clone)]
pub struct AuthorizationServerService {
    document: RefreshingCache<Document, VerifyError>,
}

struct DocumentSource<S> {
    metadata: S,
    narrowed_to: Option<Scopes>,
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
        Ok(match &self.narrowed_to {
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
        let kind = match why {
            Interrupted::NoRuntime => VerifyErrorKind::Misconfigured,
            Interrupted::TooMany | Interrupted::Stopped | Interrupted::TimedOut => {
                VerifyErrorKind::Unavailable
            }
        };
        Self::new(kind).with_detail(why.to_string())
    }
}

impl AuthorizationServerService {
    pub(crate) fn new(
        metadata: impl Source<Value = AuthorizationServerMetadata, Error: Into<VerifyError>>,
        narrowed_to: Option<Scopes>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let source = DocumentSource { metadata, narrowed_to };
        Self { document: RefreshingCache::new(source, LIMITS, clock) }
    }
}

impl<B> Service<Request<B>> for AuthorizationServerService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = AuthorizationServerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let kind = match action_for(request.method()) {
            Action::Respond(response) => Kind::Answered(Some(response)),
            Action::Serve => {
                Kind::Fetching(Box::pin(show(self.document.clone(), request.method().clone())))
            }
        };
        AuthorizationServerFuture { kind }
    }
}

async fn show(
    document: RefreshingCache<Document, VerifyError>,
    method: Method,
) -> Response<ResponseBody> {
    match document.get().await {
        Ok(document) => response_for(&document, &method),
        Err(error) => metadata_unavailable(error),
    }
}

/// Response future of [`AuthorizationServerService`].
#[must_use = "futures do nothing unless they are polled"]
pub struct AuthorizationServerFuture {
    kind: Kind,
}

enum Kind {
    Answered(Option<Response<ResponseBody<NoInner>>>),
    Fetching(Pin<Box<dyn Future<Output = Response<ResponseBody<NoInner>>> + Send>>),
}

impl Future for AuthorizationServerFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.kind {
            Kind::Answered(response) => {
                response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
            }
            Kind::Fetching(future) => future.as_mut().poll(cx).map(Ok),
        }
    }
}

impl fmt::Debug for AuthorizationServerFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServerFuture").finish_non_exhaustive()
    }
}

impl fmt::Debug for AuthorizationServerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServerService").finish_non_exhaustive()
    }
}
