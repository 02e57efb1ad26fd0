//! Finds secrets in a text, whole or in part, as they are or in disguise.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// As much of a secret as is a find.
const PART: usize = 12;

/// Looks for these secrets.
#[derive(Default)]
pub(super) struct Finder {
    /// Which secret a part is of.
    parts: HashMap<[u8; PART], usize>,
    names: Vec<String>,
}

impl Finder {
    /// Looks for this text too.
    pub(super) fn text(&mut self, name: &str, secret: &str) {
        self.bytes(name, secret.as_bytes());
    }

    /// Looks for a token: all of it, and of a JWT the signature's bytes too.
    pub(super) fn token(&mut self, name: &str, token: &str) {
        self.text(name, token);
        if let Some(signature) =
            token.rsplit('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok())
        {
            self.bytes(name, &signature);
        }
    }

    fn bytes(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= PART, "{name} is too short to be told from other text");
        self.names.push(name.to_owned());
        for form in forms(secret) {
            for part in form.windows(PART) {
                self.parts.entry(part.try_into().unwrap()).or_insert(self.names.len() - 1);
            }
        }
    }

    /// Nothing of all that is in this text.
    #[track_caller]
    pub(super) fn assert_hidden(&self, place: &str, text: &str) {
        let found: Vec<_> = self.find(text).take(1).collect();
        assert_eq!(found, [""; 0], "shown in {place}");
    }

    /// What is found, with the text around it.
    fn find(&self, text: &str) -> impl Iterator<Item = String> {
        let plain = text.to_ascii_lowercase().into_bytes();
        // The numbers of a list may stand on a line each.
        let dense: Vec<u8> =
            plain.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let decoded = percent_decoded(&plain).to_ascii_lowercase();
        [plain, dense, decoded].into_iter().flat_map(move |text| self.find_in(&text))
    }

    fn find_in(&self, text: &[u8]) -> Vec<String> {
        let finds = text.windows(PART).enumerate().filter_map(|(at, part)| {
            let name = &self.names[*self.parts.get(part)?];
            let around = &text[at.saturating_sub(80)..text.len().min(at + 80)];
            Some(format!("{name} in {:?}", String::from_utf8_lossy(around)))
        });
        finds.collect()
    }
}

/// How a secret may be written, in small letters.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let list = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
    let hex = secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let escaped = secret.escape_ascii().to_string();
    let mut forms = vec![String::from_utf8_lossy(secret).into_owned(), list, hex, escaped];
    // Base64 of the secret behind any number of other bytes: what those have a part in is left out.
    for before in 0..3 {
        let shifted = &[&b"\0\0\0"[..before], secret].concat();
        let whole = shifted.len() / 3 * 4;
        let from = if before == 0 { 0 } else { 4 };
        forms.push(STANDARD_NO_PAD.encode(shifted)[from..whole].to_owned());
        forms.push(URL_SAFE_NO_PAD.encode(shifted)[from..whole].to_owned());
    }
    forms.into_iter().map(|form| form.to_ascii_lowercase().into_bytes()).collect()
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
fn it_finds_what_is_there() {
    let secret = "sk_test_Geheim+0123456789";
    let jwt = format!("e30.e30.{}", URL_SAFE_NO_PAD.encode([200; 32]));
    let mut finder = Finder::default();
    finder.text("key", secret);
    finder.token("jwt", &jwt);
    let base64 = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{secret} after"));
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let shown = [
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
    for text in shown {
        assert!(finder.find(&text).next().is_some(), "{text}");
    }
    for text in ["", "sk_test_", "SecretKey([redacted])", "[100, 100, 100, 100, 100]"] {
        assert_eq!(finder.find(text).next(), None, "{text}");
    }
}
