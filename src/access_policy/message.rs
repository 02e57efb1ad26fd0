//! The message in the body of a request. Whatever a server could take for a message is one.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method};

use crate::mcp::{InvalidBody, McpHeaders, Message};
use crate::response::{MessageError, Rejection};

/// Returns whether a body has no meaning with this method (RFC 9110 section 9.3). A server that reads
/// it all the same would take a call from it.
pub(super) fn body_has_no_meaning(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}

/// Parses the message in the body, and checks that the headers agree with it. Returns `None` for a
/// body that no server can take for a message.
pub(super) fn parse_message<'a>(
    headers: &HeaderMap,
    body: &'a [u8],
) -> Result<Option<Message<'a>>, Rejection> {
    if is_encoded(headers) {
        return Err(MessageError::ParseError.into());
    }
    let mcp_headers = McpHeaders::parse(headers);
    let message = match Message::parse(body) {
        Ok(message) => message,
        Err(InvalidBody::NotJson)
            if cannot_be_a_message(headers, body)
                && mcp_headers.is_ok_and(|headers| headers.is_empty()) =>
        {
            return Ok(None);
        }
        Err(InvalidBody::NotJson) => return Err(MessageError::ParseError.into()),
        Err(InvalidBody::NotAMessage(id)) => {
            return Err(Rejection::from(MessageError::InvalidRequest).about_request(id));
        }
    };
    if mcp_headers.is_ok_and(|headers| agree(&headers, &message)) {
        return Ok(Some(message));
    }
    Err(Rejection::from(MessageError::HeaderMismatch).about_request(message.id))
}

/// Returns whether the headers agree with the body. They can describe only a single message, whose
/// operations, if it has several, differ only in what the headers do not name.
fn agree(headers: &McpHeaders<'_>, message: &Message<'_>) -> bool {
    let single = match message.operations.as_slice() {
        [operation, ..] if !message.is_batch => headers.agrees_with(operation),
        _ => false,
    };
    headers.is_empty() || single
}

/// Returns whether the service may decode the body (RFC 9110 section 8.4). A deflate stream can be
/// one JSON message as it is, and another one after inflating.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Returns whether no server, however lenient, can take the body for a message. A JSON object has
/// the byte of a brace in UTF-8 and in UTF-16.
fn cannot_be_a_message(headers: &HeaderMap, body: &[u8]) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let has_other_type = match (types.next().and_then(|value| value.to_str().ok()), types.next()) {
        (Some(content_type), None) => !content_type.to_ascii_lowercase().contains("json"),
        _ => false,
    };
    has_other_type && !body.contains(&b'{')
}
