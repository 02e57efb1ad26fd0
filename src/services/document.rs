//! A serialized metadata document and the responses of the services that serve it.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response};
use serde::Serialize;

use crate::response::{
    METADATA_CORS_HEADERS, ResponseBody, metadata_options_response, method_not_allowed,
};

const ALLOWED_METHODS: &str = "GET, HEAD, OPTIONS";

/// A document in JSON.
#[derive(Clone, Debug)]
pub(super) struct Document(Bytes);

impl Document {
    pub(super) fn new(value: &impl Serialize) -> Self {
        // Serializing fails only for maps with keys that are not strings, which no document has. An
        // empty document would be rejected by every client.
        Self(serde_json::to_vec(value).unwrap_or_default().into())
    }

    fn response<B>(&self, method: &Method) -> Response<ResponseBody<B>> {
        // RFC 9110 section 9.3.2: a HEAD has the headers of the GET, with its length, and no body.
        let body = if *method == Method::HEAD {
            ResponseBody::empty()
        } else {
            ResponseBody::from_bytes(self.0.clone())
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.0.len()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        headers.extend(METADATA_CORS_HEADERS);
        response
    }
}

/// What to do for a method.
pub(super) enum Action<B> {
    /// Serve the document.
    Serve,
    /// Send this response, which needs no document.
    Respond(Response<ResponseBody<B>>),
}

pub(super) fn action_for<B>(method: &Method) -> Action<B> {
    match *method {
        Method::GET | Method::HEAD => Action::Serve,
        Method::OPTIONS => Action::Respond(metadata_options_response()),
        _ => Action::Respond(method_not_allowed(ALLOWED_METHODS)),
    }
}

pub(super) fn response_for<B>(document: &Document, method: &Method) -> Response<ResponseBody<B>> {
    match action_for(method) {
        Action::Serve => document.response(method),
        Action::Respond(response) => response,
    }
}
