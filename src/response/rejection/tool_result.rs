//! Rejections as the result of a tool, for clients that read no status of a tool call.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde::Serialize;

use super::wire::Challenge;
use super::{ChallengeContext, Rejection, RejectionReason};
use crate::mcp::RequestId;
use crate::response::format::ToolResultForm;
use crate::response::{ANY_ORIGIN, BearerChallenge, ResponseBody};

/// The `error` of a challenge that has none in a header. RFC 6750 section 3.1 leaves it out where
/// there is no token, but ChatGPT expects one here.
const MISSING_TOKEN_CODE: &str = "invalid_token";

impl ChallengeContext {
    /// Responds with a tool result of this form. Responds by status without a form, and to a
    /// rejection that the user of the client can do nothing about.
    pub(crate) fn respond_in<B>(
        &self,
        form: Option<&ToolResultForm>,
        rejection: Rejection,
    ) -> Response<ResponseBody<B>> {
        match form {
            Some(form) if rejection.asks_user() => self.tool_result(form, rejection),
            _ => self.respond(rejection),
        }
    }

    fn tool_result<B>(
        &self,
        form: &ToolResultForm,
        rejection: Rejection,
    ) -> Response<ResponseBody<B>> {
        let error = rejection.error_response();
        let code = match error.challenge {
            Challenge::None | Challenge::WithoutError => MISSING_TOKEN_CODE,
            Challenge::WithError => error.code,
        };
        let challenge = BearerChallenge::new(&self.resource_metadata)
            .scope(&self.scopes_of(&rejection))
            .error(code, error.description)
            .to_header_value();
        let body = body(form, error.description, challenge.to_str().unwrap_or("Bearer"));
        let mut response = Response::new(ResponseBody::from_bytes(body));
        let content_type =
            if form.is_event_stream { "text/event-stream" } else { "application/json" };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.cors {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
        }
        response.extensions_mut().insert(rejection);
        response
    }
}

impl Rejection {
    /// Returns whether the user of the client can do something about it: sign in, or grant more.
    pub(crate) fn asks_user(&self) -> bool {
        use RejectionReason::*;
        // Every reason is listed: an outage must not become a reason to sign in.
        match self.reason {
            MissingToken | InvalidToken(_) | InsufficientScope => true,
            AmbiguousCredentials
            | OperationDenied
            | Permission(_)
            | ExchangeRejected
            | AuthorizationServerUnavailable
            | Unavailable
            | Misconfigured
            | UnknownHost
            | MetadataUnavailable
            | UnknownSession
            | UpgradeNotAllowed
            | Message(_) => false,
        }
    }
}

fn body(form: &ToolResultForm, description: &str, challenge: &str) -> Bytes {
    #[derive(Serialize)]
    struct Message<'a> {
        jsonrpc: &'static str,
        id: &'a RequestId,
        result: ToolResult<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ToolResult<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        result_type: Option<&'static str>,
        content: [Text<'a>; 1],
        is_error: bool,
        #[serde(rename = "_meta")]
        meta: Meta<'a>,
    }
    #[derive(Serialize)]
    struct Text<'a> {
        r#type: &'static str,
        text: &'a str,
    }
    #[derive(Serialize)]
    struct Meta<'a> {
        #[serde(rename = "mcp/www_authenticate")]
        www_authenticate: [&'a str; 1],
    }
    let message = Message {
        jsonrpc: "2.0",
        id: &form.id,
        result: ToolResult {
            result_type: form.has_result_type.then_some("complete"),
            content: [Text { r#type: "text", text: description }],
            is_error: true,
            meta: Meta { www_authenticate: [challenge] },
        },
    };
    // Writing numbers and strings to memory never fails.
    let json = serde_json::to_string(&message).unwrap_or_default();
    if form.is_event_stream { format!("event: message\ndata: {json}\n\n") } else { json }.into()
}
