//! The response future of the metadata services.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;

use crate::response::{ResponseBody, take_once};

/// Response future of [`AuthorizationServerService`](super::AuthorizationServerService) and
/// [`WellKnownService`](super::WellKnownService).
#[must_use = "futures do nothing unless they are polled"]
pub struct MetadataFuture(MetadataState);

enum MetadataState {
    Ready(Option<Response<ResponseBody>>),
    Fetching(Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>),
}

impl MetadataFuture {
    pub(super) fn ready(response: Response<ResponseBody>) -> Self {
        Self(MetadataState::Ready(Some(response)))
    }

    pub(super) fn fetching(
        response: impl Future<Output = Response<ResponseBody>> + Send + 'static,
    ) -> Self {
        Self(MetadataState::Fetching(Box::pin(response)))
    }
}

impl Future for MetadataFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            MetadataState::Ready(response) => take_once(response).map(Ok),
            MetadataState::Fetching(response) => response.as_mut().poll(cx).map(Ok),
        }
    }
}

impl fmt::Debug for MetadataFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataFuture").finish_non_exhaustive()
    }
}
