//! The headers `Mcp-Method` and `Mcp-Name`, which repeat parts of the body (MCP 2026-07-28,
//! Streamable HTTP).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};

use super::Operation;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// A header that is duplicated, not visible ASCII, or not base64 of UTF-8 where it claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AmbiguousHeaders;

/// The operation that the headers name. Either part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct McpHeaders<'a> {
    method: Option<&'a str>,
    name: Option<Cow<'a, str>>,
}

impl<'a> McpHeaders<'a> {
    pub(crate) fn parse(headers: &'a HeaderMap) -> Result<Self, AmbiguousHeaders> {
        let name = single(headers, NAME)?.map(decode).transpose()?;
        Ok(Self { method: single(headers, METHOD)?, name })
    }

    /// Returns whether both headers are missing, as from clients of versions before 2026-07-28.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the headers that are present agree with the body. A name is compared if it
    /// is known which member of the body it repeats.
    pub(crate) fn agrees_with(&self, operation: &Operation<'_>) -> bool {
        let same_method = self.method.is_none_or(|method| method == operation.method());
        let named = operation.target_of_method().is_in_headers();
        let same_name = !named || self.name.is_none() || self.name.as_deref() == operation.name();
        same_method && same_name
    }

    /// Returns the operation, if the headers name a method.
    pub(crate) fn into_operation(self) -> Option<Operation<'a>> {
        let operation = Operation::new(self.method?);
        Some(match self.name {
            Some(name) => operation.named(name),
            None => operation,
        })
    }
}

/// Returns the only value of a header. A proxy in front may have used the other one of two.
fn single(headers: &HeaderMap, header: HeaderName) -> Result<Option<&str>, AmbiguousHeaders> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(AmbiguousHeaders),
    }
}

/// Decodes a value that a header cannot carry as it is: `=?base64?…?=`, standard base64 of UTF-8.
fn decode(value: &str) -> Result<Cow<'_, str>, AmbiguousHeaders> {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="))
    else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(encoded).map_err(|_| AmbiguousHeaders)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| AmbiguousHeaders)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn parses_the_headers() {
        type Row = (
            &'static [(&'static str, &'static [u8])],
            Result<Option<Operation<'static>>, AmbiguousHeaders>,
        );
        let call = || Operation::new("tools/call");
        let rows: [Row; 12] = [
            (&[], Ok(None)),
            (&[("mcp-name", b"a")], Ok(None)),
            (&[("mcp-method", b"tools/call")], Ok(Some(call()))),
            (&[("mcp-method", b"tools/call"), ("mcp-name", b"a b")], Ok(Some(call().named("a b")))),
            (
                &[("mcp-method", b"tools/call"), ("mcp-name", b"=?base64?w6Q=?=")],
                Ok(Some(call().named("\u{e4}"))),
            ),
            (
                &[("mcp-method", b"tools/call"), ("mcp-name", b"=?base64??=")],
                Ok(Some(call().named(""))),
            ),
            (
                &[("mcp-method", b"tools/call"), ("mcp-name", b"=?BASE64?w6Q=?=")],
                Ok(Some(call().named("=?BASE64?w6Q=?="))),
            ),
            (&[("mcp-name", b"=?base64?w6Q?=")], Err(AmbiguousHeaders)),
            (&[("mcp-name", b"=?base64?/w==?=")], Err(AmbiguousHeaders)),
            (&[("mcp-name", b"\xc3\xa4")], Err(AmbiguousHeaders)),
            (&[("mcp-method", b"ping"), ("mcp-method", b"ping")], Err(AmbiguousHeaders)),
            (
                &[("mcp-method", b"ping"), ("mcp-name", b"a"), ("mcp-name", b"a")],
                Err(AmbiguousHeaders),
            ),
        ];
        for (headers, expected) in rows {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_bytes(value).unwrap());
            }
            assert_eq!(
                McpHeaders::parse(&map).map(McpHeaders::into_operation),
                expected,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn compares_names_only_for_methods_with_a_known_target() {
        const COMPLETE: &str = "completion/complete";
        const LISTEN: &str = "subscriptions/listen";
        let headers = |method, name: Option<&'static str>| McpHeaders {
            method,
            name: name.map(Cow::Borrowed),
        };
        let call = Operation::new("tools/call").named("a");
        let rows = [
            (headers(None, None), &call, true),
            (headers(Some("tools/call"), None), &call, true),
            (headers(None, Some("a")), &call, true),
            (headers(Some("tools/call"), Some("b")), &call, false),
            (headers(Some("tools/list"), Some("a")), &call, false),
            (headers(Some("Tools/Call"), Some("a")), &call, false),
            (headers(Some("x/y"), Some("anything")), &Operation::new("x/y"), true),
            (headers(Some("tasks/get"), Some("t")), &Operation::new("tasks/get"), false),
            (headers(Some("tools/call"), Some("a")), &Operation::new("tools/call"), false),
            (headers(Some("tools/call"), None), &Operation::new("tools/call"), true),
            (headers(None, Some("u:v")), &Operation::new("skills/get").named("u:v"), true),
            (headers(None, Some("u:w")), &Operation::new("skills/get").named("u:v"), false),
            (headers(None, Some("p")), &Operation::new(COMPLETE).prompt("q"), true),
            (headers(Some("tools/call"), None), &Operation::new(COMPLETE).prompt("q"), false),
            (headers(None, Some("u:w")), &Operation::new(LISTEN).resource("u:v"), true),
            (headers(Some("x/y"), None), &Operation::new(LISTEN).resource("u:v"), false),
        ];
        for (headers, operation, expected) in rows {
            assert_eq!(headers.agrees_with(operation), expected, "{headers:?} {operation:?}");
        }
    }
}
