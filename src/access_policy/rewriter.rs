//! What is done to the response to a request that has passed.

use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::step_up::StepUp;
use crate::mcp::{ListRewrite, RequestId};
use crate::response::{ChallengeContext, ListBody, PendingDecision, ResponseBody, ToolResultForm};

/// The headers that describe the body as the service wrote it (RFC 9110, RFC 9530).
const CHANGED_WITH_THE_BODY: [HeaderName; 4] = [
    CONTENT_LENGTH,
    ETAG,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// What is left to do with the response to one request.
pub(super) struct ResponseRewriter {
    pub(super) list: Option<ListRewrite>,
    pub(super) step_up: Option<StepUpResponse>,
}

/// The response that takes the place of another one, if a handler rejects the request.
pub(super) struct StepUpResponse {
    pub(super) step_up: StepUp,
    pub(super) challenge_context: ChallengeContext,
    pub(super) decision: PendingDecision,
    pub(super) form: Option<ToolResultForm>,
    pub(super) request_id: Option<RequestId>,
}

impl ResponseRewriter {
    /// Returns what handlers ask for further scopes with.
    pub(super) fn step_up(&self) -> Option<StepUp> {
        self.step_up.as_ref().map(|response| response.step_up.clone())
    }

    pub(super) fn rewrite<B>(mut self, response: Response<B>) -> Response<ResponseBody<B>> {
        if let Some(rejected) = self.step_up.as_mut().and_then(StepUpResponse::rejected) {
            return rejected;
        }
        match self.list {
            Some(list) => rewrite_list(list, response),
            None => response.map(ResponseBody::inner),
        }
    }
}

impl StepUpResponse {
    fn rejected<B>(&mut self) -> Option<Response<ResponseBody<B>>> {
        let Some(rejection) = self.step_up.close() else {
            self.decision.admit();
            return None;
        };
        let rejection = self.decision.reject(rejection.about_request(self.request_id.clone()));
        Some(self.challenge_context.respond_in(self.form.as_ref(), rejection))
    }
}

fn rewrite_list<B>(list: ListRewrite, response: Response<B>) -> Response<ResponseBody<B>> {
    let Some(is_event_stream) = is_event_stream(&response) else {
        return response.map(ResponseBody::inner);
    };
    let depends_on_caller = list.depends_on_caller();
    let mut response =
        response.map(|body| ResponseBody::list(body, ListBody::new(list, is_event_stream)));
    let headers = response.headers_mut();
    for name in CHANGED_WITH_THE_BODY {
        headers.remove(name);
    }
    if depends_on_caller {
        add_vary_authorization(headers);
    }
    response
}

/// Returns whether the response is an event stream and not JSON. `None` if it is neither, or cannot
/// be read.
fn is_event_stream<B>(response: &Response<B>) -> Option<bool> {
    let headers = response.headers();
    if response.status() != StatusCode::OK || headers.contains_key(CONTENT_ENCODING) {
        return None;
    }
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    match content_type.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/json" => Some(false),
        "text/event-stream" => Some(true),
        _ => None,
    }
}

fn add_vary_authorization(headers: &mut HeaderMap) {
    let names = headers.get_all(VARY).iter();
    let mut names = names.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let covers =
        |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(AUTHORIZATION.as_str().as_bytes());
    if !names.any(|name| covers(name.trim_ascii())) {
        headers.append(VARY, HeaderValue::from_static("Authorization"));
    }
}
