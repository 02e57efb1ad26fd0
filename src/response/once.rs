//! Values that a future hands out once, when it completes.

use std::task::Poll;

/// Takes the value, or stays pending if it was taken before.
///
/// Polling a future after it has completed is a bug of the caller, which futures usually answer
/// with a panic. This crate never panics, so such a poll is pending and wakes nobody.
pub(crate) fn take_once<T>(value: &mut Option<T>) -> Poll<T> {
    value.take().map_or(Poll::Pending, Poll::Ready)
}
