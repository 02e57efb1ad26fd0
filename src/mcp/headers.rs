//! `Mcp-Method` and `Mcp-Name` (MCP 2026-07-28, Streamable HTTP): what the caller says of the body.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use super::{Operation, OperationTarget};

const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";

/// A claim that cannot be read: a header that stands there twice, is no text, or holds base64 of no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AmbiguousHeaders;

/// What the headers say that the body asks for; either part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct McpHeaders<'a> {
    method: Option<&'a str>,
    name: Option<Cow<'a, str>>,
}

impl<'a> McpHeaders<'a> {
    pub(crate) fn read(headers: &'a HeaderMap) -> Result<Self, AmbiguousHeaders> {
        let name = single(headers, NAME)?.map(decode).transpose()?;
        Ok(Self { method: single(headers, METHOD)?, name })
    }

    /// Whether the headers say nothing: clients of the versions before 2026-07-28 do not send them.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this is what the body asks for, as far as it is said at all. A name is compared where it is known which
    /// member of the body it comes from.
    pub(crate) fn agrees_with(&self, operation: &Operation<'_>) -> bool {
        let same_method = self.method.is_none_or(|method| method == operation.method());
        let named = operation.target() != OperationTarget::None;
        let same_name = !named || self.name.is_none() || self.name.as_deref() == operation.name();
        same_method && same_name
    }

    /// The operation, if a method is named.
    pub(crate) fn into_operation(self) -> Option<Operation<'a>> {
        let operation = Operation::new(self.method?);
        Some(match self.name {
            Some(name) => operation.named(name),
            None => operation,
        })
    }
}

/// Of two values, somebody in front may have looked at the other one.
fn single<'a>(headers: &'a HeaderMap, header: &str) -> Result<Option<&'a str>, AmbiguousHeaders> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(AmbiguousHeaders),
    }
}

/// Text that a header cannot carry comes as `=?base64?…?=`, in standard base64 of UTF-8.
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
    fn reads_what_the_headers_say() {
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
                McpHeaders::read(&map).map(McpHeaders::into_operation),
                expected,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn compares_names_only_where_it_is_known_what_they_are() {
        let claim = |method, name: Option<&'static str>| McpHeaders {
            method,
            name: name.map(Cow::Borrowed),
        };
        let call = Operation::new("tools/call").named("a");
        let rows = [
            (claim(None, None), &call, true),
            (claim(Some("tools/call"), None), &call, true),
            (claim(None, Some("a")), &call, true),
            (claim(Some("tools/call"), Some("b")), &call, false),
            (claim(Some("tools/list"), Some("a")), &call, false),
            (claim(Some("Tools/Call"), Some("a")), &call, false),
            (claim(Some("x/y"), Some("anything")), &Operation::new("x/y"), true),
            (claim(Some("tasks/get"), Some("t")), &Operation::new("tasks/get"), false),
        ];
        for (claim, operation, expected) in rows {
            assert_eq!(claim.agrees_with(operation), expected, "{claim:?} {operation:?}");
        }
    }
}
