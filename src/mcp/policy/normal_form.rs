//! URIs that every server reads as the same resource.

/// RFC 3986 section 6.2.2, as far as a server that normalises may come to another resource: the scheme in lower case,
/// nothing percent-encoded that need not be, no `.`, `..` or empty segment, and no backslash, which some take for a
/// slash.
pub(super) fn is_normal(uri: &str) -> bool {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let mut segments = path.split('/').skip(1).peekable();
    let mut plain = true;
    while let Some(segment) = segments.next() {
        // The last segment may be empty: that is a slash at the end.
        let empty = segment.is_empty() && segments.peek().is_some();
        plain = plain && !empty && segment != "." && segment != "..";
    }
    plain
        && !scheme.bytes().any(|b| b.is_ascii_uppercase())
        && !uri.bytes().any(|b| b == b'\\' || b.is_ascii_control() || b == b' ')
        && !uri.split('%').skip(1).any(encodes_needlessly)
}

/// Whether what follows a `%` is a character that needs no encoding (RFC 3986 section 2.3), or no encoding at all. An
/// encoded slash or percent sign is a character of its own only to those who decode once.
fn encodes_needlessly(rest: &str) -> bool {
    let byte = rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    byte.is_none_or(|b| b.is_ascii_alphanumeric() || b"-._~/%\\".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_normal_form_of_uris() {
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
