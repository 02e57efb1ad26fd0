//! `application/x-www-form-urlencoded` (RFC 6749 appendix B): queries and the bodies of requests.

/// Appends the pairs to a query or a body.
pub(super) fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut encoded = String::new();
    for (name, value) in pairs {
        if !encoded.is_empty() {
            encoded.push('&');
        }
        push_encoded(&mut encoded, name);
        encoded.push('=');
        push_encoded(&mut encoded, value);
    }
    encoded
}

/// Returns one encoded value.
pub(super) fn encode_value(value: &str) -> String {
    let mut encoded = String::new();
    push_encoded(&mut encoded, value);
    encoded
}

/// Adds the pairs to the query of a URL without a fragment. What is in its query stays (RFC 6749
/// section 3.1).
pub(super) fn with_query<'a>(
    url: &str,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let separator = match url.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{url}{separator}{}", encode(pairs))
}

/// Parses pairs. Returns `None` if one of them is not valid percent-encoding of UTF-8.
pub(super) fn decode(encoded: &str) -> Option<Vec<(String, String)>> {
    let pairs = encoded.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode_value(name)?, decode_value(value)?))
        })
        .collect()
}

fn push_encoded(encoded: &mut String, text: &str) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |number: u8| HEX.get(usize::from(number & 15)).copied().unwrap_or('0');
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte));
            }
            // Not `+` for a space: servers that read the query as RFC 3986 does would keep the plus.
            _ => encoded.extend(['%', digit(byte >> 4), digit(byte)]),
        }
    }
}

fn decode_value(encoded: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => decoded.push(hex(bytes.next()?)? << 4 | hex(bytes.next()?)?),
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|number| u8::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_to_the_same_pairs() {
        let all: String = (1..=0x2ff).filter_map(char::from_u32).collect();
        let pairs = [("a b", all.as_str()), ("x", ""), ("a b", "&=+%")];
        let encoded = encode(pairs);
        assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()), "{encoded}");
        let decoded = decode(&encoded).unwrap();
        let decoded: Vec<_> = decoded.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(decoded, pairs);
        assert_eq!(encode_value("a b"), "a%20b");
    }

    #[test]
    fn decodes_what_others_encode_and_rejects_what_is_not_encoded() {
        let one = |name: &str, value: &str| Some(vec![(name.to_owned(), value.to_owned())]);
        assert_eq!(decode("a=b+c%2bd"), one("a", "b c+d"));
        assert_eq!(decode("a"), one("a", ""));
        assert_eq!(decode("&&a=b=c&"), one("a", "b=c"));
        assert_eq!(decode(""), Some(Vec::new()));
        for invalid in ["a=%", "a=%2", "a=%zz", "a=%ff", "%=b", "a=%+1"] {
            assert_eq!(decode(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_query_is_kept() {
        let rows = [
            ("https://h.example/a", "https://h.example/a?k=v"),
            ("https://h.example/a?", "https://h.example/a?k=v"),
            ("https://h.example/a?x=1", "https://h.example/a?x=1&k=v"),
            ("https://h.example/a?x=1&", "https://h.example/a?x=1&k=v"),
        ];
        for (url, expected) in rows {
            assert_eq!(with_query(url, [("k", "v")]), expected);
        }
    }
}
