//! The request body that the inner service gets.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::response::ResponseBody;

pin_project! {
    /// A request body behind [`AccessPolicyLayer`](crate::access_policy::AccessPolicyLayer): the
    /// original body, or all of its bytes once they have been read. Trailers of a body that was
    /// read are dropped.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        // A `ResponseBody` has the same two cases.
        #[pin]
        body: ResponseBody<B>,
    }
}

impl<B> RequestBody<B> {
    pub(crate) fn unread(body: B) -> Self {
        Self { body: ResponseBody::inner(body) }
    }

    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        Self { body: ResponseBody::from_bytes(bytes) }
    }
}

impl<B: Body<Data = Bytes>> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
