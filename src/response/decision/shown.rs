//! What clients sent, as a log may show it.

use std::fmt::{self, Write};

use super::method_label::label_of;
use crate::mcp::{Operation, OperationTarget};
use crate::oauth::{AudienceMismatch, AuthInfo};

const MAX_CHARS: usize = 128;
const MAX_DETAIL_CHARS: usize = 1024;

const REDACTED: &str = "[redacted]";

/// A string of bounded length, in which control characters, line ends and characters that change the
/// direction of text are escaped.
pub(crate) struct Shown<'a> {
    text: &'a str,
    max_chars: usize,
}

impl<'a> Shown<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self { text, max_chars: MAX_CHARS }
    }

    /// Information for the operator, which is longer than what clients send.
    pub(crate) fn detail(text: &'a str) -> Self {
        Self { text, max_chars: MAX_DETAIL_CHARS }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.text.chars();
        for c in chars.by_ref().take(self.max_chars) {
            match c {
                '"' | '\'' => f.write_char(c)?,
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        if chars.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

/// An operation as a log may show it.
///
/// Its name is shown if the caller is known: a stranger may have put anything there, and a client
/// that mistakes one header for another its token.
pub(crate) struct ShownOperation<'a> {
    operation: &'a Operation<'a>,
    caller: Option<&'a AuthInfo>,
}

impl<'a> ShownOperation<'a> {
    pub(crate) fn new(operation: &'a Operation<'a>, caller: Option<&'a AuthInfo>) -> Self {
        Self { operation, caller }
    }

    /// Returns the method; of a stranger, only one that MCP has.
    pub(super) fn method(&self) -> String {
        match self.caller {
            Some(_) => self.shown(self.operation.method()),
            None => label_of(self.operation).to_owned(),
        }
    }

    /// Returns the name of the tool or prompt, or the URI of the resource without its query.
    pub(super) fn name(&self) -> Option<String> {
        let name = self.operation.name().filter(|_| self.caller.is_some())?;
        Some(match self.operation.target() {
            OperationTarget::Resource => self.shown(&AudienceMismatch::shown(name)),
            _ => self.shown(name),
        })
    }

    fn shown(&self, text: &str) -> String {
        let token = self.caller.map_or("", |caller| caller.token_for_this_server().expose());
        if !token.is_empty() && text.contains(token) {
            return REDACTED.to_owned();
        }
        Shown::text(text).to_string()
    }
}

impl fmt::Display for ShownOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.method())?;
        match self.name() {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_has_no_control_characters() {
        let long = "ä".repeat(129);
        let cut = format!("{}…", "ä".repeat(128));
        let rows = [
            ("", ""),
            ("delete_file", "delete_file"),
            ("it's \"quoted\"", "it's \"quoted\""),
            ("a\nb\r\tc\0", "a\\nb\\r\\tc\\0"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\u{202e}b\u{2028}c", "a\\u{202e}b\\u{2028}c"),
            ("a\\nb", "a\\\\nb"),
            (&long[2..], &cut[..256]),
            (&long, &cut),
        ];
        for (text, shown) in rows {
            assert_eq!(Shown::text(text).to_string(), shown);
        }
    }

    #[test]
    fn names_are_shown_of_known_callers_and_without_secrets() {
        let caller = AuthInfo::for_user("user_1", "oat_secret".into()).build();
        let call = |name: &'static str| Operation::new("tools/call").named(name);
        let read = |uri: &'static str| Operation::new("resources/read").named(uri);
        let rows = [
            (call("a b"), "tools/call a b", "tools/call"),
            (call("x-oat_secret"), "tools/call [redacted]", "tools/call"),
            (Operation::new("oat_secret"), "[redacted]", "other"),
            (Operation::new("x/y"), "x/y", "other"),
            (read("file:///a?key=marked#x"), "resources/read file:///a?…", "resources/read"),
            (read("https://me:marked@h/a"), "resources/read https://…@h/a", "resources/read"),
        ];
        for (operation, of_caller, of_stranger) in rows {
            let shown = |caller| ShownOperation::new(&operation, caller).to_string();
            assert_eq!(shown(Some(&caller)), of_caller);
            assert_eq!(shown(None), of_stranger);
        }
    }
}
