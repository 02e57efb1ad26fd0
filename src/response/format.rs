//! The form of the response to a rejected tool call: an HTTP status, or a result of the tool.

use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderName};

use crate::mcp::{Message, RequestId};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The first version of MCP in which every result has a `resultType`.
const WITH_RESULT_TYPE: &str = "2026-07-28";

/// How the layers answer a `tools/call` whose token is missing, is not valid or lacks a scope.
///
/// MCP asks for HTTP 401 and 403, and nearly every client reads those. ChatGPT does not look at the
/// status of a tool call: it asks its user to sign in, or for more scopes, only for HTTP 200 with a
/// tool result that has the challenge under `_meta` (OpenAI Apps SDK, "Authentication"). No form
/// serves both.
///
/// The format never changes the verdict: the call does not reach the server in either form, and the
/// challenge names the same scopes. Every other request is answered by status in all formats: other
/// methods, batches, notifications, operations that the policy denies, and 400, 413 and 503.
///
/// In the form of a result the response is
///
/// ```json
/// {"jsonrpc": "2.0", "id": 1, "result": {
///     "content": [{"type": "text", "text": "The access token lacks a required scope"}],
///     "isError": true,
///     "_meta": {"mcp/www_authenticate": ["Bearer error=\"insufficient_scope\", ..."]}}}
/// ```
///
/// as JSON, or as the one `message` of an event stream if the request accepts no JSON.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::ClerkMcp;
/// use clerk_mcp_tools::response::RejectionFormat;
///
/// let builder = ClerkMcp::builder().env().rejection_format(RejectionFormat::ByClient);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionFormat {
    /// By HTTP status, to every client, as MCP asks. The default.
    #[default]
    HttpStatus,
    /// As a tool result to ChatGPT, which names itself in `User-Agent`, and by HTTP status to all
    /// others, Codex included.
    ByClient,
    /// As a tool result to every client. Clients that step up on a 403 then do not.
    ToolResult,
}

impl RejectionFormat {
    /// Returns whether the client of these headers gets tool results.
    pub(crate) fn is_tool_result(self, headers: &HeaderMap) -> bool {
        match self {
            Self::HttpStatus => false,
            Self::ByClient => is_chatgpt(headers),
            Self::ToolResult => true,
        }
    }
}

/// Returns whether the client is ChatGPT: `openai-mcp/1.0.0 (ChatGPT)`, in older builds without the
/// part in brackets. Codex sends `(Codex)` there. Anybody can send it, so it decides the form only.
fn is_chatgpt(headers: &HeaderMap) -> bool {
    let mut agents = headers.get_all(USER_AGENT).iter();
    let (Some(Ok(agent)), None) = (agents.next().map(|agent| agent.to_str()), agents.next()) else {
        return false;
    };
    agent.starts_with("openai-mcp/") && (!agent.contains('(') || agent.contains("(ChatGPT)"))
}

/// A tool call that is answered with a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolResultForm {
    pub(super) id: RequestId,
    pub(super) is_event_stream: bool,
    pub(super) has_result_type: bool,
}

impl ToolResultForm {
    /// Returns the form if the message is a single call of a tool that has an id to respond to.
    pub(crate) fn of(headers: &HeaderMap, message: &Message<'_>) -> Option<Self> {
        let id = message.id.clone().filter(|_| message.is_single("tools/call"))?;
        let version = headers.get(PROTOCOL_VERSION).and_then(|version| version.to_str().ok());
        Some(Self {
            id,
            is_event_stream: !accepts(headers, &["application/json", "application/*", "*/*"])
                && accepts(headers, &["text/event-stream", "text/*"]),
            // Versions are dates, in an order that strings have as well.
            has_result_type: version.is_some_and(|version| version >= WITH_RESULT_TYPE),
        })
    }
}

/// Returns whether the request accepts one of these media ranges (RFC 9110 section 12.5.1).
fn accepts(headers: &HeaderMap, ranges: &[&str]) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        !is_refused && ranges.iter().any(|known| name.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(list: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_chatgpt_gets_tool_results_by_client() {
        let rows: [(&[&str], bool); 10] = [
            (&["openai-mcp/1.0.0 (ChatGPT)"], true),
            (&["openai-mcp/1.0.0"], true),
            (&["openai-mcp/2"], true),
            (&["openai-mcp/1.0.0 (Codex)"], false),
            (&["openai-mcp/1.0.0 (Other)"], false),
            (&["Mozilla/5.0 openai-mcp/1.0.0 (ChatGPT)"], false),
            (&["ChatGPT"], false),
            (&["python-httpx/0.28"], false),
            (&[], false),
            (&["openai-mcp/1.0.0", "openai-mcp/1.0.0"], false),
        ];
        for (agents, expected) in rows {
            let mut headers = HeaderMap::new();
            for agent in agents {
                headers.append(USER_AGENT, HeaderValue::from_static(agent));
            }
            assert_eq!(RejectionFormat::ByClient.is_tool_result(&headers), expected, "{agents:?}");
            assert!(RejectionFormat::ToolResult.is_tool_result(&headers));
            assert!(!RejectionFormat::HttpStatus.is_tool_result(&headers));
        }
        assert_eq!(RejectionFormat::default(), RejectionFormat::HttpStatus);
    }

    #[test]
    fn a_request_that_accepts_no_json_gets_an_event_stream() {
        let body = br#"{"id":1,"method":"tools/call","params":{"name":"a"}}"#;
        let message = Message::parse(body).unwrap();
        let rows: [(&[&str], bool); 10] = [
            (&[], false),
            (&["application/json, text/event-stream"], false),
            (&["text/event-stream, application/json"], false),
            (&["text/event-stream", "application/json"], false),
            (&["text/event-stream"], true),
            (&["Text/Event-Stream;q=0.5"], true),
            (&["application/json;q=0, text/event-stream"], true),
            (&["text/event-stream, */*;q=0.1"], false),
            (&["text/html"], false),
            (&["text/*"], true),
        ];
        for (accepted, expected) in rows {
            let list: Vec<_> = accepted.iter().map(|value| (ACCEPT, *value)).collect();
            let form = ToolResultForm::of(&headers(&list), &message).unwrap();
            assert_eq!(form.is_event_stream, expected, "{accepted:?}");
        }
    }

    #[test]
    fn results_have_a_type_since_2026_07_28() {
        let message = Message::parse(br#"{"id":1,"method":"tools/call"}"#).unwrap();
        for (version, expected) in
            [("2025-11-25", false), ("2026-07-28", true), ("2027-01-01", true)]
        {
            let headers = headers(&[(PROTOCOL_VERSION, version)]);
            let form = ToolResultForm::of(&headers, &message).unwrap();
            assert_eq!(form.has_result_type, expected, "{version}");
        }
    }

    #[test]
    fn only_a_single_call_with_an_id_is_answered_with_a_result() {
        let rows = [
            (r#"{"id":1,"method":"tools/call","params":{"name":"a"}}"#, true),
            (r#"{"id":"x","method":"tools/call"}"#, true),
            (r#"{"method":"tools/call","params":{"name":"a"}}"#, false),
            (r#"{"id":null,"method":"tools/call"}"#, false),
            (r#"{"id":1,"method":"tools/list"}"#, false),
            (r#"{"id":1,"method":"prompts/get","params":{"name":"a"}}"#, false),
            (r#"{"id":1,"result":{}}"#, false),
            (r#"[{"id":1,"method":"tools/call"}]"#, false),
        ];
        for (body, expected) in rows {
            let message = Message::parse(body.as_bytes()).unwrap();
            let form = ToolResultForm::of(&HeaderMap::new(), &message);
            assert_eq!(form.is_some(), expected, "{body}");
        }
    }
}
