//! Reads a request body up to a limit, within a budget for all bodies that are being read.
//!
//! `http_body_util::Limited` is not enough: it bounds the bytes, but not the number of empty
//! frames, so that a body of empty frames would never end.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body;

use crate::clock::{Deadline, Deadlines};
use crate::response::MessageError;

/// The number of frames without data that a body may have.
const MAX_EMPTY_FRAMES: usize = 1024;

/// The bytes of each body that do not count: most messages have fewer, and so are read even while
/// large bodies use up the budget.
pub(super) const FREE_BYTES: usize = 16 * 1024;

/// The memory for the bodies that are being read.
#[derive(Debug)]
pub(super) struct BodyBudget {
    max_bytes: usize,
    used: AtomicUsize,
}

impl BodyBudget {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, used: AtomicUsize::new(0) }
    }
}

/// What all bodies of a layer share.
#[derive(Clone)]
pub(super) struct BodyLimits {
    pub(super) budget: Arc<BodyBudget>,
    pub(super) timeouts: Deadlines,
}

/// A part of the budget, returned when it is dropped.
struct Reservation {
    budget: Arc<BodyBudget>,
    bytes: usize,
}

impl Reservation {
    /// Reserves memory for a body of which this many bytes count. Returns `false` if there is not
    /// enough.
    fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let fits = |used: usize| used.checked_add(more).filter(|sum| *sum <= self.budget.max_bytes);
        let reserved =
            self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        self.bytes += if reserved { more } else { 0 };
        reserved
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Collects a body.
pub(super) struct BodyReader {
    max_bytes: usize,
    /// None as long as the body is small.
    reservation: Option<Reservation>,
    /// The first frame, as long as it is the only one. A body of one frame is not copied.
    first: Bytes,
    buffer: BytesMut,
    empty_frames: usize,
    /// Starts when the body is awaited for the first time.
    timeout: Option<Deadline>,
}

impl BodyReader {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            reservation: None,
            first: Bytes::new(),
            buffer: BytesMut::new(),
            empty_frames: 0,
            timeout: None,
        }
    }

    /// Reads to the end of the body. Trailers are dropped.
    pub(super) fn poll<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        limits: &BodyLimits,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, MessageError>> {
        loop {
            let frame = match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(frame)) => frame,
                Poll::Ready(None) => return Poll::Ready(Ok(self.finish())),
                Poll::Pending => {
                    ready!(self.poll_timeout(&limits.timeouts, cx));
                    return Poll::Ready(Err(MessageError::TimedOut));
                }
            };
            let Ok(frame) = frame else {
                return Poll::Ready(Err(MessageError::ParseError));
            };
            if let Err(error) = self.push(frame.into_data().unwrap_or_default(), &limits.budget) {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn poll_timeout(&mut self, timeouts: &Deadlines, cx: &Context<'_>) -> Poll<()> {
        self.timeout.get_or_insert_with(|| timeouts.start(cx)).poll(cx)
    }

    fn push(&mut self, data: Bytes, budget: &Arc<BodyBudget>) -> Result<(), MessageError> {
        self.empty_frames += usize::from(data.is_empty());
        let length = self.first.len().saturating_add(self.buffer.len()).saturating_add(data.len());
        if length > self.max_bytes || self.empty_frames > MAX_EMPTY_FRAMES {
            return Err(MessageError::TooLarge);
        }
        if length > FREE_BYTES && !self.reserve(length - FREE_BYTES, budget) {
            return Err(MessageError::NoCapacity);
        }
        if length == data.len() {
            self.first = data;
        } else {
            self.buffer.extend_from_slice(&mem::take(&mut self.first));
            self.buffer.extend_from_slice(&data);
        }
        Ok(())
    }

    /// Reserves memory. A small body shares nothing with the others, not even a counter.
    fn reserve(&mut self, bytes: usize, budget: &Arc<BodyBudget>) -> bool {
        let none_yet = || Reservation { budget: Arc::clone(budget), bytes: 0 };
        self.reservation.get_or_insert_with(none_yet).grow_to(bytes)
    }

    fn finish(&mut self) -> Bytes {
        if self.buffer.is_empty() {
            mem::take(&mut self.first)
        } else {
            mem::take(&mut self.buffer).freeze()
        }
    }
}
