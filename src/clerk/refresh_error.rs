//! Calls to Clerk behind a [`RefreshingCache`](crate::cache::RefreshingCache).

use std::time::Duration;

use crate::cache::{Interrupted, RefreshError};
use crate::error::{ClerkError, ClerkErrorKind};

impl RefreshError for ClerkError {
    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }

    fn with_retry_after(self, wait: Duration) -> Self {
        self.with_retry_after(Some(wait))
    }

    fn interrupted(why: Interrupted) -> Self {
        Self::new(ClerkErrorKind::Unavailable, why.to_string())
    }
}
