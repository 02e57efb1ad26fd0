//! Values that a future hands out once, when it completes.

use std::task::Poll;

/// Takes the value, or stays pending if it was taken before.
///
/// Polling a future after it has completed is a bug of the caller, on which futures usually panic.
/// This crate never panics, so such a poll stays pending and registers no waker.
pub(crate) fn take_once<T>(value: &mut Option<T>) -> Poll<T> {
    value.take().map_or(Poll::Pending, Poll::Ready)
}
