//! Reads a request body up to a limit.
//!
//! `http_body_util::Limited` is not enough: it bounds the bytes, but not the number of empty
//! frames, so that a body of empty frames would never end.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body;

use crate::response::MessageError;

/// The number of frames without data that a body may have.
const MAX_EMPTY_FRAMES: usize = 1024;

/// Collects a body.
pub(super) struct BodyReader {
    max_bytes: usize,
    /// The first frame, as long as it is the only one. A body of one frame is not copied.
    first: Bytes,
    buffer: BytesMut,
    empty_frames: usize,
}

impl BodyReader {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, first: Bytes::new(), buffer: BytesMut::new(), empty_frames: 0 }
    }

    /// Reads to the end of the body. Trailers are dropped.
    pub(super) fn poll<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, MessageError>> {
        loop {
            let Some(frame) = ready!(body.as_mut().poll_frame(cx)) else {
                return Poll::Ready(Ok(self.finish()));
            };
            let Ok(frame) = frame else {
                return Poll::Ready(Err(MessageError::ParseError));
            };
            if let Err(error) = self.push(frame.into_data().unwrap_or_default()) {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn push(&mut self, data: Bytes) -> Result<(), MessageError> {
        self.empty_frames += usize::from(data.is_empty());
        let length = self.first.len().saturating_add(self.buffer.len()).saturating_add(data.len());
        if length > self.max_bytes || self.empty_frames > MAX_EMPTY_FRAMES {
            return Err(MessageError::TooLarge);
        }
        if length == data.len() {
            self.first = data;
        } else {
            self.buffer.extend_from_slice(&mem::take(&mut self.first));
            self.buffer.extend_from_slice(&data);
        }
        Ok(())
    }

    fn finish(&mut self) -> Bytes {
        if self.buffer.is_empty() {
            mem::take(&mut self.first)
        } else {
            mem::take(&mut self.buffer).freeze()
        }
    }
}
