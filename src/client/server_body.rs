//! The body of a response of an MCP server, as it arrives.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

use super::error::{CallError, CallErrorKind};
use super::http::call_failure;
use crate::clock::background::{self, AbortOnDrop};
use crate::clock::{Clock, timeout};

/// The parts that are read ahead of the caller, besides the one that waits for its place.
const READ_AHEAD: usize = 1;

/// The body of a response of an MCP server, from an [`HttpClient`](super::HttpClient): JSON, or an
/// event stream, which may have no end. The connection ends when it is dropped.
///
/// It is read on a thread of this crate, at most two parts ahead. A body that ends too early, or is
/// too long, ends with an error.
pub struct ServerBody {
    parts: mpsc::Receiver<Part>,
    has_ended: bool,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    _reading: AbortOnDrop<()>,
}

/// The end is said: a reader that stops without it has not read everything.
enum Part {
    Data(Bytes),
    End,
    Failed(CallError),
}

impl ServerBody {
    /// Returns the response with a body of at most `most` bytes.
    pub(super) fn response(
        response: reqwest::Response,
        most: usize,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Response<Self>, CallError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let (sender, parts) = mpsc::channel(READ_AHEAD);
        let reading = AbortOnDrop::new(background::spawn(read(response, most, sender))?);
        let body = Self { parts, has_ended: false, clock, timeout, _reading: reading };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Returns the next part, `None` at the end.
    ///
    /// # Errors
    ///
    /// See [`CallErrorKind`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, CallError> {
        poll_fn(|context| self.poll_chunk(context)).await.transpose()
    }

    /// Reads the whole body, within the [time limit](super::HttpClient::timeout) of the client.
    ///
    /// # Errors
    ///
    /// See [`CallErrorKind`].
    pub async fn bytes(mut self) -> Result<Bytes, CallError> {
        let (clock, limit) = (Arc::clone(&self.clock), self.timeout);
        let all = async {
            let mut all = BytesMut::new();
            while let Some(chunk) = self.chunk().await? {
                all.extend_from_slice(&chunk);
            }
            Ok(all.freeze())
        };
        timeout(&*clock, limit, all).await.unwrap_or_else(|| {
            Err(CallError::new(CallErrorKind::Unavailable, "the body took too long"))
        })
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, CallError>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let part = ready!(self.parts.poll_recv(context));
        self.has_ended = !matches!(part, Some(Part::Data(_)));
        Poll::Ready(match part {
            Some(Part::Data(bytes)) => Some(Ok(bytes)),
            Some(Part::End) => None,
            Some(Part::Failed(error)) => Some(Err(error)),
            None => {
                let detail = "the body was not read to its end";
                Some(Err(CallError::new(CallErrorKind::Unavailable, detail)))
            }
        })
    }
}

async fn read(mut response: reqwest::Response, most: usize, parts: mpsc::Sender<Part>) {
    let mut left = most;
    loop {
        let part = match response.chunk().await {
            Ok(Some(chunk)) => match left.checked_sub(chunk.len()) {
                Some(rest) => {
                    left = rest;
                    Part::Data(chunk)
                }
                None => Part::Failed(CallError::new(CallErrorKind::TooLarge, "see its limit")),
            },
            Ok(None) => Part::End,
            Err(error) => Part::Failed(CallError::of_call(call_failure(error))),
        };
        let is_last = !matches!(part, Part::Data(_));
        if parts.send(part).await.is_err() || is_last {
            return;
        }
    }
}

impl Body for ServerBody {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        self.get_mut().poll_chunk(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
    }
}

impl fmt::Debug for ServerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBody").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}
