//! A body as it comes in.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body;

use crate::response::MessageError;

/// How many frames without data a body may have. Otherwise one that has only such would never end.
const MAX_EMPTY_FRAMES: usize = 1024;

/// What has come of a body, up to a limit.
pub(super) struct Reading {
    limit: usize,
    /// The first piece, for as long as it is the only one: then nothing is copied.
    first: Bytes,
    all: BytesMut,
    empty_frames: usize,
}

impl Reading {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, first: Bytes::new(), all: BytesMut::new(), empty_frames: 0 }
    }

    /// Reads on, to the end if it is there. Trailers are dropped.
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
            if let Err(reason) = self.push(frame.into_data().unwrap_or_default()) {
                return Poll::Ready(Err(reason));
            }
        }
    }

    fn push(&mut self, data: Bytes) -> Result<(), MessageError> {
        self.empty_frames += usize::from(data.is_empty());
        let length = self.first.len().saturating_add(self.all.len()).saturating_add(data.len());
        if length > self.limit || self.empty_frames > MAX_EMPTY_FRAMES {
            return Err(MessageError::TooLarge);
        }
        if length == data.len() {
            self.first = data;
        } else {
            self.all.extend_from_slice(&mem::take(&mut self.first));
            self.all.extend_from_slice(&data);
        }
        Ok(())
    }

    fn finish(&mut self) -> Bytes {
        if self.all.is_empty() {
            mem::take(&mut self.first)
        } else {
            mem::take(&mut self.all).freeze()
        }
    }
}
