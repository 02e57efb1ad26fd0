//! A call that failed, before it becomes one of the errors of this module.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The URL, or the address of its host, may not be called.
    Forbidden,
    /// No response, too many requests, or an error of the server's own.
    Unavailable,
    /// A response that is not what the standard says.
    Invalid,
}

/// A call that failed. No part of it is a text of the server.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) detail: Cow<'static, str>,
    pub(super) retry_after: Option<Duration>,
    pub(super) source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, source: None }
    }

    pub(super) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    pub(super) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}
