//! The body of responses.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::list_body::ListBody;

pin_project! {
    /// A response body: the inner service's, unchanged, or a short one from this crate.
    ///
    /// Services that wrap no inner service return a `ResponseBody` of [`NoInner`].
    pub struct ResponseBody<B = NoInner> {
        #[pin]
        source: BodySource<B>,
    }
}

pin_project! {
    #[project = BodySourceProj]
    enum BodySource<B> {
        Inner { #[pin] body: B },
        Bytes { bytes: Option<Bytes> },
        List {
            #[pin]
            body: B,
            // Boxed, since most bodies have none.
            list: Box<PassingList>,
        },
    }
}

/// An uninhabited body type, for responses that never wrap an inner body.
#[derive(Clone, Copy, Debug)]
pub enum NoInner {}

impl Body for NoInner {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match *self.get_mut() {}
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self { source: BodySource::Inner { body } }
    }

    /// An inner body in which a list is rewritten as it passes.
    pub(crate) fn list(body: B, list: ListBody) -> Self {
        Self { source: BodySource::List { body, list: Box::new(PassingList { list, last: None }) } }
    }

    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        Self { source: BodySource::Bytes { bytes: (!bytes.is_empty()).then_some(bytes) } }
    }

    pub(crate) fn empty() -> Self {
        Self { source: BodySource::Bytes { bytes: None } }
    }

    /// Returns the inner body, or one made of the bytes that take its place.
    pub(crate) fn into_inner_or_bytes(self) -> B
    where
        B: From<Bytes>,
    {
        match self.source {
            BodySource::Inner { body } | BodySource::List { body, .. } => body,
            BodySource::Bytes { bytes } => B::from(bytes.unwrap_or_default()),
        }
    }
}

/// Returns an empty body. Some layers need a default, such as `tower_http::cors`.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl ResponseBody<NoInner> {
    /// Converts the type to that of a body that may wrap an inner one.
    pub(crate) fn with_inner_type<B>(self) -> ResponseBody<B> {
        match self.source {
            BodySource::Inner { body } | BodySource::List { body, .. } => match body {},
            BodySource::Bytes { bytes } => ResponseBody { source: BodySource::Bytes { bytes } },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().source.project() {
            BodySourceProj::Inner { body } => body.poll_frame(cx),
            BodySourceProj::Bytes { bytes } => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            BodySourceProj::List { body, list } => list.poll_frame(body, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            BodySource::Inner { body } => body.is_end_stream(),
            BodySource::Bytes { bytes } => bytes.is_none(),
            BodySource::List { list, .. } => matches!(list.last, Some(None)),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            BodySource::Inner { body } => body.size_hint(),
            BodySource::Bytes { bytes } => SizeHint::with_exact(
                bytes.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            ),
            BodySource::List { .. } => SizeHint::default(),
        }
    }
}

struct PassingList {
    list: ListBody,
    /// Set at the end: the last frame, if there is one, after what is left of the list.
    last: Option<Option<Frame<Bytes>>>,
}

impl PassingList {
    fn poll_frame<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        loop {
            if let Some(last) = &mut self.last {
                return Poll::Ready(last.take().map(Ok));
            }
            let ready = match ready!(body.as_mut().poll_frame(cx)).transpose() {
                Ok(Some(frame)) => match frame.into_data() {
                    // Passed on, so that a body of empty frames is not read without an end.
                    Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(data) => self.list.push(data),
                    Err(trailers) => {
                        self.last = Some(Some(trailers));
                        self.list.finish()
                    }
                },
                Ok(None) => {
                    self.last = Some(None);
                    self.list.finish()
                }
                Err(error) => {
                    self.last = Some(None);
                    return Poll::Ready(Some(Err(error)));
                }
            };
            if !ready.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(ready))));
            }
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
