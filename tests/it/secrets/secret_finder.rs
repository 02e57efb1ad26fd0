//! Finds secrets in a text, whole or in part, in plain text or encoded.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The length of the shortest part of a secret that counts as a leak.
const PART_LENGTH: usize = 12;

/// The secrets to look for.
#[derive(Default)]
pub(crate) struct SecretFinder {
    /// The index of the secret that a part belongs to.
    parts: HashMap<[u8; PART_LENGTH], usize>,
    names: Vec<String>,
}

impl SecretFinder {
    /// Adds a secret.
    pub(crate) fn add(&mut self, name: &str, secret: &str) {
        self.add_bytes(name, secret.as_bytes());
    }

    /// Adds a token, and the decoded signature of a JWT.
    pub(crate) fn add_token(&mut self, name: &str, token: &str) {
        self.add(name, token);
        if let Some(signature) =
            token.rsplit('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok())
        {
            self.add_bytes(name, &signature);
        }
    }

    fn add_bytes(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= PART_LENGTH, "{name} is too short to be recognized");
        self.names.push(name.to_owned());
        for encoding in encodings(secret) {
            for part in encoding.windows(PART_LENGTH) {
                self.parts.entry(part.try_into().unwrap()).or_insert(self.names.len() - 1);
            }
        }
    }

    /// Asserts that the text contains no secret.
    #[track_caller]
    pub(crate) fn assert_hidden(&self, place: &str, text: &str) {
        let found: Vec<_> = self.find(text).take(1).collect();
        assert!(found.is_empty(), "shown in {place}: {found:?}");
    }

    /// Returns each leak with the text around it.
    fn find(&self, text: &str) -> impl Iterator<Item = String> {
        let plain = text.to_ascii_lowercase().into_bytes();
        // `{:#?}` prints each number of a list on a line of its own.
        let dense: Vec<u8> =
            plain.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let decoded = percent_decoded(&plain).to_ascii_lowercase();
        [plain, dense, decoded].into_iter().flat_map(move |text| self.find_in(&text))
    }

    fn find_in(&self, text: &[u8]) -> Vec<String> {
        let leaks = text.windows(PART_LENGTH).enumerate().filter_map(|(at, part)| {
            let name = &self.names[*self.parts.get(part)?];
            let around = &text[at.saturating_sub(80)..text.len().min(at + 80)];
            Some(format!("{name} in {:?}", String::from_utf8_lossy(around)))
        });
        leaks.collect()
    }
}

/// The encodings of a secret, in lower case.
fn encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let list = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
    let hex = secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let escaped = secret.escape_ascii().to_string();
    let mut encodings = vec![String::from_utf8_lossy(secret).into_owned(), list, hex, escaped];
    // Base64 at each alignment, without the characters that depend on the preceding bytes.
    for before in 0..3 {
        let shifted = &[&b"\0\0\0"[..before], secret].concat();
        let whole = shifted.len() / 3 * 4;
        let from = if before == 0 { 0 } else { 4 };
        encodings.push(STANDARD_NO_PAD.encode(shifted)[from..whole].to_owned());
        encodings.push(URL_SAFE_NO_PAD.encode(shifted)[from..whole].to_owned());
    }
    encodings.into_iter().map(|text| text.to_ascii_lowercase().into_bytes()).collect()
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::new(), 0);
    while let Some(byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

#[test]
fn finds_plain_partial_and_encoded_secrets() {
    let secret = "sk_test_Secret+0123456789";
    let jwt = format!("e30.e30.{}", URL_SAFE_NO_PAD.encode([200; 32]));
    let mut finder = SecretFinder::default();
    finder.add("key", secret);
    finder.add_token("jwt", &jwt);
    let base64 = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{secret} after"));
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let leaking = [
        format!("before {secret} after"),
        secret.to_uppercase(),
        secret[..14].to_owned(),
        secret[9..].to_owned(),
        base64(""),
        base64("a"),
        base64("ab"),
        base64("abc"),
        percent,
        secret.replace('+', "%2B"),
        format!("{:?}", secret.as_bytes()),
        format!("{:#?}", secret.as_bytes()),
        format!("{:?}", bytes::Bytes::from(secret)),
        format!("{:#?}", [200_u8; 32]),
        format!("{:?}", bytes::Bytes::from(vec![200_u8; 32])),
        jwt,
    ];
    for text in leaking {
        assert!(finder.find(&text).next().is_some(), "{text}");
    }
    for text in ["", "sk_test_", "SecretKey([redacted])", "[100, 100, 100, 100, 100]"] {
        assert_eq!(finder.find(text).next(), None, "{text}");
    }
}
