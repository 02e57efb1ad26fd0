//! URIs that every server reads as the same resource.
//!
//! A policy compares URIs as text. A server may normalize them first: by RFC 3986 section 6.2, by
//! the WHATWG URL standard, or by decoding percent-encoded bytes once more. [`check`] accepts only
//! the URIs that all of these readers leave as they are; any other one may mean any resource.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a URI is not canonical, as a phrase that follows "it".
pub(super) type Problem = &'static str;

/// The schemes that the WHATWG URL standard treats specially, with their default ports.
const SPECIAL: [(&str, Option<u16>); 6] = [
    ("http", Some(80)),
    ("https", Some(443)),
    ("ws", Some(80)),
    ("wss", Some(443)),
    ("ftp", Some(21)),
    ("file", None),
];

/// Returns an error unless every server reads this URI as the same resource.
pub(super) fn check(uri: &str) -> Result<(), Problem> {
    check_characters(uri)?;
    check_escapes(uri)?;
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    if scheme.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("has a scheme in upper case");
    }
    let path = match rest.strip_prefix("//") {
        Some(rest) => check_authority(scheme, rest)?,
        None if SPECIAL.iter().any(|(special, _)| *special == scheme) => {
            return Err("has no // after its scheme");
        }
        None => rest,
    };
    check_path(path.split('?').next().unwrap_or(path))
}

/// Returns an error unless the literal part of a pattern is canonical, and its authority is in lower
/// case. `sample` is the pattern with its wildcards replaced by `x`.
pub(super) fn check_pattern(sample: &str) -> Result<(), Problem> {
    check(sample)?;
    if lower_authority(sample).is_some() {
        return Err("has upper case between // and the next slash; write it in lower case");
    }
    Ok(())
}

/// Returns the part of a URI that decides for a server that ignores the query and the last slash,
/// as those do that map URIs to files.
pub(super) fn stem(uri: &str) -> &str {
    let without_query = uri.split('?').next().unwrap_or(uri);
    let trimmed = without_query.trim_end_matches('/');
    if trimmed.is_empty() {
        return without_query;
    }
    // RFC 3986 section 6.2.3: an empty path after `//` is the same as `/`.
    let length = if trimmed.ends_with(':') { trimmed.len() + 2 } else { trimmed.len() };
    without_query.get(..length).unwrap_or(without_query)
}

/// Returns the URIs that a server may take for a canonical one: with and without the query and the
/// last slash, and with the authority in lower case (RFC 3986 section 6.2.2.1).
pub(super) fn variants(uri: &str) -> Vec<String> {
    let without_query = uri.split('?').next().unwrap_or(uri);
    let stem = stem(uri);
    let mut variants = vec![uri.to_owned(), without_query.to_owned(), stem.to_owned()];
    variants.push(format!("{stem}/"));
    let lower: Vec<_> = variants.iter().filter_map(|uri| lower_authority(uri)).collect();
    variants.extend(lower);
    variants.sort_unstable();
    variants.dedup();
    variants
}

/// Returns the URI with its authority in lower case, if that makes a difference.
fn lower_authority(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let (authority, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
    let lower = authority.to_ascii_lowercase();
    (lower != authority).then(|| format!("{scheme}://{lower}{path}"))
}

/// RFC 3986 section 2. WHATWG parsers drop tabs and line feeds and read a backslash as a slash.
fn check_characters(uri: &str) -> Result<(), Problem> {
    if !uri.is_ascii() {
        return Err("has a character that is not ASCII; percent-encode it");
    }
    if uri.contains('#') {
        return Err("has a fragment");
    }
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&b);
    if !uri.bytes().all(is_allowed) {
        return Err("has a character that a URI must percent-encode (RFC 3986 section 2)");
    }
    Ok(())
}

/// RFC 3986 sections 2.1 and 6.2.2: upper-case digits, and only for bytes that cannot be written
/// otherwise. A percent sign, a backslash or a control character is different to a server that decodes twice,
/// runs on Windows or ends a string at NUL.
fn check_escapes(uri: &str) -> Result<(), Problem> {
    let mut decoded = Vec::new();
    let mut rest = uri.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            decoded.push(*first);
            rest = tail;
            continue;
        }
        let (digits, tail) =
            tail.split_at_checked(2).ok_or("has an incomplete percent-encoding")?;
        let is_digit = |b: &u8| b.is_ascii_digit() || (b'A'..=b'F').contains(b);
        if !digits.iter().all(is_digit) {
            return Err("has a percent-encoding that is not two upper-case hexadecimal digits");
        }
        let text = std::str::from_utf8(digits).unwrap_or_default();
        let byte = u8::from_str_radix(text, 16).unwrap_or_default();
        if byte.is_ascii() && !b" \"<>^`{|}".contains(&byte) {
            return Err(
                "has a percent-encoding that is not needed, or that servers read differently",
            );
        }
        decoded.push(byte);
        rest = tail;
    }
    // An overlong form decodes to another character for lenient decoders.
    if std::str::from_utf8(&decoded).is_err() {
        return Err("has percent-encoded bytes that are not UTF-8");
    }
    Ok(())
}

/// Checks the authority and returns what follows it.
fn check_authority<'a>(scheme: &str, rest: &'a str) -> Result<&'a str, Problem> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let special = SPECIAL.iter().find(|(special, _)| *special == scheme);
    match special {
        Some((_, None)) if !authority.is_empty() => Err("has a host in a file URI"),
        Some((_, None)) if !path.starts_with('/') => Err("has no slash after file://"),
        Some((_, None)) => Ok(path),
        Some((_, Some(default_port))) => {
            if !path.starts_with('/') {
                return Err("has no slash after its host");
            }
            check_host(authority, Some(*default_port)).map(|()| path)
        }
        None => check_host(authority, None).map(|()| path),
    }
}

/// RFC 3986 section 6.2.2.1 and 6.2.3: lower case, no user, no default or odd port.
fn check_host(authority: &str, default_port: Option<u16>) -> Result<(), Problem> {
    if authority.contains(['@', '%']) {
        return Err("has a user name or a percent-encoding before its path");
    }
    if authority.bytes().any(|b| b.is_ascii_uppercase()) && default_port.is_some() {
        return Err("has a host in upper case");
    }
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => {
            authority.split_at_checked(colon).unwrap_or_default()
        }
        _ => (authority, ""),
    };
    let Some(default_port) = default_port else {
        return Ok(());
    };
    if host.is_empty() || host.ends_with('.') || host.starts_with('.') || host.contains("..") {
        return Err("has a host that is not canonical");
    }
    if !is_canonical_address(host) {
        return Err("has an IP address that is not in its canonical form");
    }
    match port.strip_prefix(':') {
        None => Ok(()),
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number != default_port && number.to_string() == port => Ok(()),
            _ => Err("has a port that is not needed, or not canonical"),
        },
    }
}

/// WHATWG parsers read `127.1` and `0x7f000001` as `127.0.0.1`.
fn is_canonical_address(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == address);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    !is_number || host.parse::<Ipv4Addr>().is_ok_and(|parsed| parsed.to_string() == host)
}

/// RFC 3986 section 6.2.2.3: no `.` or `..`, and no empty segment but the last.
fn check_path(path: &str) -> Result<(), Problem> {
    let mut segments = path.split('/').peekable();
    let mut first = true;
    while let Some(segment) = segments.next() {
        if segment == "." || segment == ".." {
            return Err("has a . or .. segment");
        }
        if segment.is_empty() && !first && segments.peek().is_some() {
            return Err("has an empty segment");
        }
        first = false;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_their_authority_in_lower_case() {
        assert_eq!(check_pattern("gh://owner/Repo"), Ok(()));
        assert!(check_pattern("gh://Owner/x").is_err());
        assert!(check_pattern("file:///a/../x").is_err());
    }

    #[test]
    fn accepts_uris_that_every_server_reads_alike() {
        let canonical = [
            "file:///a/b",
            "file:///a/",
            "file:///",
            "file:///a%20b%C3%A4",
            "file:///C:/data/x",
            "file:///a(b)/@team",
            "https://h.example/a?b=../c//",
            "https://h.example:8443/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "github://Owner/repo",
            "users://42",
            "users://42?x",
            "urn:a:b",
            "note:1",
            "a..b",
            "file:///a...b/..c",
            "",
        ];
        for uri in canonical {
            assert_eq!(check(uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn rejects_uris_that_some_server_reads_as_another_one() {
        let other = [
            "FILE:///a",
            "file://",
            "file://?x",
            "file://localhost/vault/secret",
            "file://LOCALHOST/vault/secret",
            "file:/vault/secret",
            "file:vault/secret",
            "file:///a/../b",
            "file:///a/./b",
            "file:///a/..",
            "file:///a//b",
            "file:////a",
            "file:///%61",
            "file:///a/%2e%2E/b",
            "file:///a%2fb",
            "file:///a%2Fb",
            "file:///%40team",
            "file:///C%3A/data",
            "file:///a%28b%29/x",
            "file:///%2561",
            "file:///%5c",
            "file:///%5C",
            "file:///a%00",
            "file:///a%0A",
            "file:///a%C0%AFb",
            "file:///a%",
            "file:///a%zz",
            "file:///%c3%a4/secret",
            "file:///\u{e4}/secret",
            "file:///a b",
            "file:///a\\b",
            "file:///a\tb",
            "file:///a|b",
            " file:///a",
            "file:///a#x",
            "https://VAULT.example/s",
            "https://vault.example:443/s",
            "https://vault.example:/s",
            "https://vault.example:0443/s",
            "http://vault.example:80/s",
            "https:vault.example/s",
            "https:/vault.example/s",
            "https:///vault.example/s",
            "https://user@vault.example/s",
            "https://\u{ff56}ault.example/s",
            "https://vault\u{3002}example/s",
            "https://va%75lt.example/s",
            "https://vault.example./s",
            "https://vault.example",
            "https://vault.example?x",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://[0:0::1]/",
            "x://u@h/a",
            "../a",
            "a/../b",
        ];
        for uri in other {
            assert!(check(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn query_last_slash_and_case_of_the_authority_make_variants() {
        let rows: [(&str, &[&str]); 11] = [
            ("file:///a", &["file:///a", "file:///a/"]),
            ("file:///a/", &["file:///a", "file:///a/"]),
            ("file:///a?x", &["file:///a", "file:///a/", "file:///a?x"]),
            ("file:///a/?x", &["file:///a", "file:///a/", "file:///a/?x"]),
            ("file:///", &["file://", "file:///"]),
            ("docs://", &["docs://", "docs:///"]),
            ("docs:///?x", &["docs://", "docs:///", "docs:///?x"]),
            ("x:", &["x:", "x:/"]),
            ("x:/", &["x:/", "x://"]),
            ("note:1", &["note:1", "note:1/"]),
            ("gh://A/B", &["gh://A/B", "gh://A/B/", "gh://a/B", "gh://a/B/"]),
        ];
        for (uri, expected) in rows {
            assert_eq!(variants(uri), expected, "{uri}");
        }
    }
}
