//! Response bodies: a regular one, and several that misbehave.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

const CHUNK_BYTES: usize = 16 * 1024;

pub(super) enum FakeBody {
    /// A regular body.
    Whole(Bytes),
    /// Ends after these bytes and reports no length, so that `Content-Length` can promise more.
    Truncated(Bytes),
    /// Sends nothing after these bytes and never ends.
    Stalled(Bytes),
    Long(LongBody),
    Dripping(DrippingBody),
}

/// White space, which JSON allows in any amount.
pub(super) struct LongBody {
    chunk: Bytes,
    remaining: u64,
    announced: bool,
}

/// A body that is sent one byte at a time.
pub(super) struct DrippingBody {
    bytes: Bytes,
    interval: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl FakeBody {
    pub(super) fn long(bytes: u64, announced: bool) -> Self {
        let chunk = Bytes::from(vec![b' '; CHUNK_BYTES]);
        Self::Long(LongBody { chunk, remaining: bytes, announced })
    }

    /// Returns the same body, sent one byte at a time.
    pub(super) fn dripping(self, interval: Duration) -> Self {
        match self {
            Self::Whole(bytes) => {
                let sleep = Box::pin(sleep(interval));
                Self::Dripping(DrippingBody { bytes, interval, sleep })
            }
            other => other,
        }
    }
}

impl Body for FakeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let next = match this {
            Self::Whole(bytes) => std::mem::take(bytes),
            Self::Long(long) => long.next(),
            Self::Dripping(dripping) => ready!(dripping.poll_next(context)),
            Self::Stalled(bytes) if bytes.is_empty() => return Poll::Pending,
            Self::Truncated(bytes) if bytes.is_empty() => {
                // Yield once, so that hyper flushes what it has before the missing bytes become an
                // error that closes the connection.
                *this = Self::Whole(Bytes::new());
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Self::Truncated(bytes) | Self::Stalled(bytes) => std::mem::take(bytes),
        };
        let frame = (!next.is_empty()).then(|| Ok(Frame::data(next)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        let exact = |bytes: &Bytes| u64::try_from(bytes.len()).ok();
        let length = match self {
            Self::Whole(bytes) => exact(bytes),
            Self::Dripping(dripping) => exact(&dripping.bytes),
            Self::Long(long) => long.announced.then_some(long.remaining),
            Self::Truncated(_) | Self::Stalled(_) => None,
        };
        length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl LongBody {
    fn next(&mut self) -> Bytes {
        let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(self.chunk.len());
        let sent = u64::try_from(length).unwrap_or(u64::MAX);
        self.remaining = self.remaining.saturating_sub(sent);
        self.chunk.slice(..length)
    }
}

impl DrippingBody {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        if self.bytes.is_empty() {
            return Poll::Ready(Bytes::new());
        }
        ready!(self.sleep.as_mut().poll(context));
        self.sleep.set(sleep(self.interval));
        Poll::Ready(self.bytes.split_to(1))
    }
}

impl fmt::Debug for FakeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeBody").finish_non_exhaustive()
    }
}
