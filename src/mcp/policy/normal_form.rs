//! The normal form of URIs (RFC 3986 section 6.2.2).

/// Returns whether normalizing the URI leaves it unchanged, so that servers read it as the same
/// resource: a scheme in lower case, no needless percent-encoding, no `.`, `..` or empty segment,
/// and no backslash, which some parsers treat as a slash.
pub(super) fn is_normal(uri: &str) -> bool {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let mut segments = path.split('/').skip(1).peekable();
    let mut has_plain_segments = true;
    while let Some(segment) = segments.next() {
        // The last segment is empty if the path ends with a slash.
        let empty = segment.is_empty() && segments.peek().is_some();
        has_plain_segments = has_plain_segments && !empty && segment != "." && segment != "..";
    }
    has_plain_segments
        && !scheme.bytes().any(|b| b.is_ascii_uppercase())
        && !uri.bytes().any(|b| b == b'\\' || b.is_ascii_control() || b == b' ')
        && !uri.split('%').skip(1).any(is_needless_encoding)
}

/// Returns whether what follows a `%` encodes a character that needs no encoding (RFC 3986 section
/// 2.3), or is not an encoding. An encoded slash or percent sign changes its meaning for servers
/// that decode twice.
fn is_needless_encoding(rest: &str) -> bool {
    let byte = rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    byte.is_none_or(|b| b.is_ascii_alphanumeric() || b"-._~/%\\".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_the_normal_form() {
        let normal = [
            "file:///a/b",
            "file:///a/",
            "file:///",
            "file:///a%20b%C3%A4",
            "https://h.example/a?b=../c#//",
            "github://Owner/repo",
            "urn:a:b",
            "note:1",
            "a..b",
            "file:///a...b/..c",
            "",
        ];
        for uri in normal {
            assert!(is_normal(uri), "{uri}");
        }
        let other = [
            "FILE:///a",
            "file:///a/../b",
            "file:///a/./b",
            "file:///a/..",
            "file:///a//b",
            "file:////a",
            "file:///%61",
            "file:///a/%2e%2E/b",
            "file:///a%2fb",
            "file:///%2561",
            "file:///%5c",
            "file:///a%",
            "file:///a%zz",
            "file:///a\\b",
            "file:///a\tb",
            " file:///a",
        ];
        for uri in other {
            assert!(!is_normal(uri), "{uri}");
        }
    }
}
