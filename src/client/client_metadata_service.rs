//! Serves the client metadata document (OAuth Client ID Metadata Document).

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use serde_json::Value;
use tower_service::Service;

use super::callback_service::method_not_allowed;
use super::engine::Settings;
use super::registration::client_metadata;
use crate::response::ResponseBody;

/// Service for the URL that is the application's client id at authorization servers which support
/// client metadata documents.
///
/// The document has the redirect URI and the name of the settings. It is public and has no secret.
#[derive(Clone)]
pub struct ClientMetadataService(Bytes);

impl ClientMetadataService {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut document = client_metadata(settings, "none");
        if let (Value::Object(members), Some(url)) = (&mut document, &settings.client_metadata_url)
        {
            members.insert("client_id".to_owned(), Value::String(url.clone()));
        }
        Self(document.to_string().into())
    }

    fn respond(&self, method: &Method) -> Response<ResponseBody> {
        let body = match *method {
            Method::GET => ResponseBody::from_bytes(self.0.clone()),
            Method::HEAD => ResponseBody::empty(),
            _ => return method_not_allowed("GET, HEAD"),
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.0.len()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        response
    }
}

impl<B> Service<Request<B>> for ClientMetadataService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(request.method())))
    }
}

impl fmt::Debug for ClientMetadataService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientMetadataService").finish_non_exhaustive()
    }
}
