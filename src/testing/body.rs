use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

const CHUNK: usize = 16 * 1024;

/// A body that behaves, and those that do not.
pub(super) enum ReplyBody {
    Whole(Bytes),
    /// Ends after these bytes without having announced a length, so that `Content-Length` can promise more.
    Truncated(Bytes),
    /// Says nothing more after these bytes, and does not end either.
    Stalled(Bytes),
    Long(Long),
    Dripping(Drip),
}

/// White space, of which a JSON reader takes any amount.
pub(super) struct Long {
    chunk: Bytes,
    left: u64,
    announced: bool,
}

/// One byte at a time.
pub(super) struct Drip {
    bytes: Bytes,
    every: Duration,
    pause: Pin<Box<Sleep>>,
}

impl ReplyBody {
    pub(super) fn long(bytes: u64, announced: bool) -> Self {
        Self::Long(Long { chunk: Bytes::from(vec![b' '; CHUNK]), left: bytes, announced })
    }

    /// The same body, one byte at a time.
    pub(super) fn dripping(self, every: Duration) -> Self {
        match self {
            Self::Whole(bytes) => {
                Self::Dripping(Drip { bytes, every, pause: Box::pin(sleep(every)) })
            }
            other => other,
        }
    }
}

impl Body for ReplyBody {
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
            Self::Dripping(drip) => ready!(drip.poll_next(context)),
            Self::Stalled(bytes) if bytes.is_empty() => return Poll::Pending,
            Self::Truncated(bytes) if bytes.is_empty() => {
                // What is written so far is sent before the end becomes an error and closes the connection.
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
        let exactly = |bytes: &Bytes| u64::try_from(bytes.len()).ok();
        let length = match self {
            Self::Whole(bytes) => exactly(bytes),
            Self::Dripping(drip) => exactly(&drip.bytes),
            Self::Long(long) => long.announced.then_some(long.left),
            Self::Truncated(_) | Self::Stalled(_) => None,
        };
        length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Long {
    fn next(&mut self) -> Bytes {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.chunk.len());
        self.left = self.left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        self.chunk.slice(..length)
    }
}

impl Drip {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        if self.bytes.is_empty() {
            return Poll::Ready(Bytes::new());
        }
        ready!(self.pause.as_mut().poll(context));
        self.pause.set(sleep(self.every));
        Poll::Ready(self.bytes.split_to(1))
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyBody").finish_non_exhaustive()
    }
}
