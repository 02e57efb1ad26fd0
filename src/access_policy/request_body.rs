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
    ///
    /// It is a [`Body`], which is all that axum, hyper and rmcp ask for. A framework that has one
    /// body type of its own gets it back with [`into_original`](Self::into_original).
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

    /// Returns a body of the original type: the original one, or one made of its bytes if they
    /// have been read.
    ///
    /// # Example
    ///
    /// A guard for a service that takes no other body than `Full<Bytes>`:
    ///
    /// ```
    /// use clerk_mcp_tools::ClerkMcp;
    /// use clerk_mcp_tools::access_policy::RequestBody;
    /// use http::Request;
    /// use http_body_util::Full;
    /// use tower::ServiceBuilder;
    ///
    /// # use std::convert::Infallible;
    /// # use bytes::Bytes;
    /// # use http::Response;
    /// # async fn inner(_: Request<Full<Bytes>>) -> Result<Response<String>, Infallible> {
    /// #     Ok(Response::default())
    /// # }
    /// fn guard(clerk: &ClerkMcp) {
    ///     let service = ServiceBuilder::new()
    ///         .layer(clerk.auth_layer())
    ///         .map_request(|request: Request<RequestBody<Full<Bytes>>>| {
    ///             request.map(RequestBody::into_original)
    ///         })
    ///         .service_fn(inner);
    /// #   fn is_service<S: tower::Service<Request<Full<Bytes>>>>(_: S) {}
    /// #   is_service(service);
    /// }
    /// ```
    pub fn into_original(self) -> B
    where
        B: From<Bytes>,
    {
        self.body.into_inner_or_bytes()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Original(&'static str, Bytes);

    impl From<Bytes> for Original {
        fn from(bytes: Bytes) -> Self {
            Self("made", bytes)
        }
    }

    #[test]
    fn returns_the_original_body_or_one_of_its_bytes() {
        let hello = || Bytes::from_static(b"hello");
        for (body, expected) in [
            (RequestBody::unread(Original("original", hello())), Original("original", hello())),
            (RequestBody::from_bytes(hello()), Original("made", hello())),
            (RequestBody::from_bytes(Bytes::new()), Original("made", Bytes::new())),
        ] {
            assert_eq!(body.into_original(), expected);
        }
    }
}
