//! One token has one spelling: base64url without padding, without bits left over, three parts (RFC 7515 section 7.1).

use clerk_mcp_tools::VerifyErrorKind;
use serde_json::json;

use super::draft::Draft;
use super::entry::{
    Entry, NO_CLAIMS, NO_FORMAT, NO_JWS, NO_TOKEN, SIGNATURE, Stage, Why, accepted, refused, usual,
};

const BASE64URL: &str = "RFC 7515 section 2";
const COMPACT: &str = "RFC 7515 section 7.1";
const CANONICAL: &str = "RFC 4648 section 3.5";
const TOKEN68: &str = "RFC 9110 section 11.2";

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    [spellings, left_over_bits, empty_parts, number_of_parts, characters, length]
        .into_iter()
        .flat_map(|table| table(stage))
        .collect()
}

/// A token each of whose parts has a character that the two alphabets of base64 write differently.
fn with_both_alphabets(stage: &Stage) -> Draft {
    let token = |n: u32| stage.jwt().head("x", r#""???""#).claim("x", r#""???""#).claim("jti", n);
    let n = (0..)
        .find(|n| token(*n).finish().rsplit('.').next().unwrap().contains(['-', '_']))
        .unwrap();
    token(n)
}

fn standard(text: String) -> String {
    let standard = text.replace('-', "+").replace('_', "/");
    assert_ne!(standard, text);
    standard
}

/// Each spelling is what was signed: nobody but Clerk could send it, and it is refused all the same.
fn spellings(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
    let newline = |text: String| format!("{}\n{}", &text[..8], &text[8..]);
    let middle =
        |what: &'static str| move |text: String| format!("{}{what}{}", &text[..8], &text[8..]);
    vec![
        refused("a padded header", BASE64URL, NO_TOKEN, t().head_spelled(|text| text + "=")),
        refused("padded claims", BASE64URL, NO_TOKEN, t().claims_spelled(|text| text + "=")),
        refused("a padded signature", BASE64URL, NO_JWS, t().signature_spelled(|text| text + "==")),
        refused(
            "a header in plain base64",
            BASE64URL,
            NO_JWS,
            with_both_alphabets(stage).head_spelled(standard),
        ),
        refused(
            "claims in plain base64",
            BASE64URL,
            NO_JWS,
            with_both_alphabets(stage).claims_spelled(standard),
        ),
        refused(
            "a signature in plain base64",
            BASE64URL,
            NO_JWS,
            with_both_alphabets(stage).signature_spelled(standard),
        ),
        refused("a newline in the header", BASE64URL, NO_TOKEN, t().head_spelled(newline)),
        refused("a newline in the claims", BASE64URL, NO_TOKEN, t().claims_spelled(newline)),
        refused("a newline in the signature", BASE64URL, NO_TOKEN, t().signature_spelled(newline)),
        refused("a space in the signature", TOKEN68, NO_TOKEN, t().signature_spelled(middle(" "))),
        refused("a tilde in the header", BASE64URL, NO_JWS, t().head_spelled(middle("~"))),
        refused("a tilde in the claims", BASE64URL, NO_JWS, t().claims_spelled(middle("~"))),
        refused("a tilde in the signature", BASE64URL, NO_JWS, t().signature_spelled(middle("~"))),
        refused(
            "a percent-encoded sign",
            TOKEN68,
            NO_TOKEN,
            t().signature_spelled(|text| text + "%3D"),
        ),
        refused(
            "a character too many in the header",
            BASE64URL,
            NO_JWS,
            t().head_spelled(one_over),
        ),
        refused(
            "a character too many in the claims",
            BASE64URL,
            NO_JWS,
            t().claims_spelled(one_over),
        ),
        refused("a character too few in the signature", BASE64URL, NO_JWS, {
            t().signature_spelled(|mut text| {
                text.pop();
                text
            })
        }),
        refused("the header in clear", TOKEN68, NO_TOKEN, {
            t().head_spelled(|_| r#"{"alg":"RS256","typ":"at+jwt","kid":"ins_corpus"}"#.to_owned())
        }),
    ]
}

/// To a length that no base64 has: one character more than a multiple of four.
fn one_over(mut text: String) -> String {
    while text.len() % 4 != 1 {
        text.push('A');
    }
    text
}

/// Spaces up to a length whose base64 has four bits in its last character that stand for nothing.
fn to_one_over_three(mut json: String) -> String {
    while json.len() % 3 != 1 {
        json.push(' ');
    }
    json
}

/// The same bytes with one of those bits set.
fn other_last(mut text: String) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = text.pop().unwrap();
    let index = ALPHABET.iter().position(|c| char::from(*c) == last).unwrap();
    text.push(char::from(ALPHABET[index + 1]));
    text
}

fn left_over_bits(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt().head_text(to_one_over_three).claims_text(to_one_over_three);
    vec![
        accepted("parts whose last characters have bits to spare", CANONICAL, usual(), t()),
        refused("bits left over in the header", CANONICAL, NO_JWS, t().head_spelled(other_last)),
        refused("bits left over in the claims", CANONICAL, NO_JWS, t().claims_spelled(other_last)),
        refused(
            "bits left over in the signature",
            CANONICAL,
            NO_JWS,
            t().signature_spelled(other_last),
        ),
    ]
}

fn empty_parts(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
    let nothing = |_: String| String::new();
    vec![
        refused("an empty header", COMPACT, NO_JWS, t().head_spelled(nothing)),
        refused("empty claims", COMPACT, NO_CLAIMS, t().claims_spelled(nothing)),
        refused("nothing but two dots", COMPACT, NO_JWS, ".."),
        refused("a header and two dots", COMPACT, SIGNATURE, {
            t().claims_spelled(nothing).signature_spelled(nothing)
        }),
    ]
}

/// By its parts or by its header, whichever is looked at first.
const ENCRYPTED: Why = (VerifyErrorKind::Malformed, "the ");

fn number_of_parts(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
    let part = |n: usize| move |token: String| token.split('.').nth(n).unwrap().to_owned();
    vec![
        refused("the header alone", COMPACT, NO_FORMAT, t().then(part(0))),
        refused("the signature alone", COMPACT, NO_FORMAT, t().then(part(2))),
        refused(
            "two parts",
            COMPACT,
            NO_FORMAT,
            t().then(|token| token.rsplit_once('.').unwrap().0.to_owned()),
        ),
        refused("four parts", COMPACT, NO_FORMAT, t().then(|token| token + ".AAAA")),
        refused("a dot at the end", COMPACT, NO_FORMAT, t().then(|token| token + ".")),
        refused("a dot at the start", COMPACT, NO_FORMAT, t().then(|token| format!(".{token}"))),
        refused(
            "two dots in a row",
            COMPACT,
            NO_FORMAT,
            t().then(|token| token.replacen('.', "..", 1)),
        ),
        refused(
            "a good token twice",
            COMPACT,
            NO_FORMAT,
            t().then(|token| format!("{token}.{token}")),
        ),
        refused("five parts, an encrypted token", "RFC 7516 section 3.1", ENCRYPTED, {
            t().head("alg", r#""dir""#).head("enc", r#""A256GCM""#).then(|token| {
                let header = token.split('.').next().unwrap();
                format!("{header}..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA")
            })
        }),
        refused("five parts, all of them empty", "RFC 7516 section 3.1", NO_FORMAT, "...."),
        refused("the JSON serialisation", "RFC 7515 section 7.2", NO_TOKEN, {
            t().then(|token| {
                let parts: Vec<&str> = token.split('.').collect();
                json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]})
                    .to_string()
            })
        }),
    ]
}

/// What is no token68 is no token, whatever else it may be.
fn characters(stage: &Stage) -> Vec<Entry> {
    let around = |before: &'static str, after: &'static str| {
        stage.jwt().then(move |token| format!("{before}{token}{after}"))
    };
    let entry = |name: &str, token: Draft| refused(name, TOKEN68, NO_TOKEN, token);
    vec![
        entry("a space behind it", around("", " ")),
        entry("a tab before it", around("\t", "")),
        entry("a tab behind it", around("", "\t")),
        entry("a line end behind it", around("", "\r\n")),
        entry("a header smuggled in behind it", around("", "\r\nX-Admin: 1")),
        entry("a zero behind it", around("", "\0")),
        entry("an escape sequence behind it", around("", "\u{1b}[31m")),
        entry("the scheme a second time", around("Bearer ", "")),
        entry("quotes around it", around("\"", "\"")),
        entry("a parameter behind it", around("", ", realm=\"x\"")),
        entry("a comma behind it", around("", ",")),
        entry("a zero-width space behind it", around("", "\u{200b}")),
        entry("a byte order mark before it", around("\u{feff}", "")),
        entry("a full-width dot in it", stage.jwt().then(|token| token.replace('.', "\u{ff0e}"))),
        refused("padding behind it", BASE64URL, NO_JWS, around("", "=")),
    ]
}

/// Clerk's tokens have about one kilobyte, and a server takes headers of some eight.
fn length(stage: &Stage) -> Vec<Entry> {
    const LIMITS: &str = "RFC 9110 section 5.4";
    let of_length = |length: usize| {
        let with = |spaces: usize, more: usize| {
            let pad = |n: usize| move |json: String| json + &" ".repeat(n);
            stage.jwt().head_text(pad(more)).claims_text(pad(spaces)).finish()
        };
        let short = with(0, 0).len();
        let spaces = (length - short) * 3 / 4;
        let around =
            (0..3).flat_map(|more| (spaces - 8..spaces + 4).map(move |spaces| (spaces, more)));
        around.map(|(spaces, more)| with(spaces, more)).find(|token| token.len() == length).unwrap()
    };
    vec![
        accepted("8,192 characters", LIMITS, usual(), of_length(8192)),
        refused("8,193 characters", LIMITS, NO_TOKEN, of_length(8193)),
        refused(
            "a megabyte",
            LIMITS,
            NO_TOKEN,
            stage.jwt().then(|token| token + &"A".repeat(1 << 20)),
        ),
    ]
}
