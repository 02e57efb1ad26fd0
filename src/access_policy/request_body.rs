//! The body of requests behind the layer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::response::ResponseBody;

pin_project! {
    /// A request's body behind [`AccessPolicyLayer`](crate::access_policy::AccessPolicyLayer): the one that came, untouched, or
    /// all of its bytes after they were read. Trailers of a body that was read are left out.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        // The same two cases.
        #[pin]
        body: ResponseBody<B>,
    }
}

impl<B> RequestBody<B> {
    pub(crate) fn untouched(body: B) -> Self {
        Self { body: ResponseBody::inner(body) }
    }

    pub(crate) fn read(bytes: Bytes) -> Self {
        Self { body: ResponseBody::own(bytes) }
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
