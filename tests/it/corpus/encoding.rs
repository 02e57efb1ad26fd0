//! A token has exactly one valid encoding (RFC 7515 section 7.1): three parts in base64url, without
//! padding and without non-zero trailing bits.

use clerk_mcp_tools::VerifyErrorKind;
use serde_json::json;

use super::entry::{
    Entry, INVALID_CLAIMS_JSON, INVALID_JWS, INVALID_SIGNATURE, NOT_TOKEN68, Reason, TokenParams,
    UNKNOWN_FORMAT, accepted, default_caller, rejected,
};
use super::jwt_builder::JwtBuilder;

const BASE64URL: &str = "RFC 7515 section 2";
const COMPACT: &str = "RFC 7515 section 7.1";
const CANONICAL: &str = "RFC 4648 section 3.5";
const TOKEN68: &str = "RFC 9110 section 11.2";

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    [base64_variants, trailing_bits, empty_parts, number_of_parts, characters, length]
        .into_iter()
        .flat_map(|table| table(params))
        .collect()
}

/// A token of which each part has a character that differs between base64 and base64url.
fn with_both_alphabets(params: &TokenParams) -> JwtBuilder {
    let token =
        |n: u32| params.jwt().header("x", r#""???""#).claim("x", r#""???""#).claim("jti", n);
    let n = (0..)
        .find(|n| token(*n).finish().rsplit('.').next().unwrap().contains(['-', '_']))
        .unwrap();
    token(n)
}

fn to_standard(text: String) -> String {
    let standard = text.replace('-', "+").replace('_', "/");
    assert_ne!(standard, text);
    standard
}

/// The signature covers each of these encodings, and they are rejected all the same.
fn base64_variants(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
    let newline = |text: String| format!("{}\n{}", &text[..8], &text[8..]);
    let insert = |inserted: &'static str| {
        move |text: String| format!("{}{inserted}{}", &text[..8], &text[8..])
    };
    vec![
        rejected(
            "a padded header",
            BASE64URL,
            NOT_TOKEN68,
            t().map_header_base64(|text| text + "="),
        ),
        rejected("padded claims", BASE64URL, NOT_TOKEN68, t().map_claims_base64(|text| text + "=")),
        rejected(
            "a padded signature",
            BASE64URL,
            INVALID_JWS,
            t().map_signature_base64(|text| text + "=="),
        ),
        rejected(
            "a header in standard base64",
            BASE64URL,
            INVALID_JWS,
            with_both_alphabets(params).map_header_base64(to_standard),
        ),
        rejected(
            "claims in standard base64",
            BASE64URL,
            INVALID_JWS,
            with_both_alphabets(params).map_claims_base64(to_standard),
        ),
        rejected(
            "a signature in standard base64",
            BASE64URL,
            INVALID_JWS,
            with_both_alphabets(params).map_signature_base64(to_standard),
        ),
        rejected("a newline in the header", BASE64URL, NOT_TOKEN68, t().map_header_base64(newline)),
        rejected("a newline in the claims", BASE64URL, NOT_TOKEN68, t().map_claims_base64(newline)),
        rejected(
            "a newline in the signature",
            BASE64URL,
            NOT_TOKEN68,
            t().map_signature_base64(newline),
        ),
        rejected(
            "a space in the signature",
            TOKEN68,
            NOT_TOKEN68,
            t().map_signature_base64(insert(" ")),
        ),
        rejected(
            "a tilde in the header",
            BASE64URL,
            INVALID_JWS,
            t().map_header_base64(insert("~")),
        ),
        rejected(
            "a tilde in the claims",
            BASE64URL,
            INVALID_JWS,
            t().map_claims_base64(insert("~")),
        ),
        rejected(
            "a tilde in the signature",
            BASE64URL,
            INVALID_JWS,
            t().map_signature_base64(insert("~")),
        ),
        rejected(
            "a percent-encoded equals sign",
            TOKEN68,
            NOT_TOKEN68,
            t().map_signature_base64(|text| text + "%3D"),
        ),
        rejected(
            "a header with one character too many",
            BASE64URL,
            INVALID_JWS,
            t().map_header_base64(to_impossible_length),
        ),
        rejected(
            "claims with one character too many",
            BASE64URL,
            INVALID_JWS,
            t().map_claims_base64(to_impossible_length),
        ),
        rejected("a signature with one character too few", BASE64URL, INVALID_JWS, {
            t().map_signature_base64(|mut text| {
                text.pop();
                text
            })
        }),
        rejected("an unencoded header", TOKEN68, NOT_TOKEN68, {
            t().map_header_base64(|_| {
                r#"{"alg":"RS256","typ":"at+jwt","kid":"ins_corpus"}"#.to_owned()
            })
        }),
    ]
}

/// Pads to a length that no base64 has: one more than a multiple of four.
fn to_impossible_length(mut text: String) -> String {
    while text.len() % 4 != 1 {
        text.push('A');
    }
    text
}

/// Pads with spaces to a length whose base64 ends with four unused bits.
fn pad_to_unused_bits(mut json: String) -> String {
    while json.len() % 3 != 1 {
        json.push(' ');
    }
    json
}

/// Sets one of the unused bits, which decodes to the same bytes.
fn set_unused_bit(mut text: String) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = text.pop().unwrap();
    let index = ALPHABET.iter().position(|c| char::from(*c) == last).unwrap();
    text.push(char::from(ALPHABET[index + 1]));
    text
}

fn trailing_bits(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt().map_header_json(pad_to_unused_bits).map_claims_json(pad_to_unused_bits);
    vec![
        accepted("parts whose last characters have unused bits", CANONICAL, default_caller(), t()),
        rejected(
            "unused bits set in the header",
            CANONICAL,
            INVALID_JWS,
            t().map_header_base64(set_unused_bit),
        ),
        rejected(
            "unused bits set in the claims",
            CANONICAL,
            INVALID_JWS,
            t().map_claims_base64(set_unused_bit),
        ),
        rejected(
            "unused bits set in the signature",
            CANONICAL,
            INVALID_JWS,
            t().map_signature_base64(set_unused_bit),
        ),
    ]
}

fn empty_parts(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
    let empty = |_: String| String::new();
    vec![
        rejected("an empty header", COMPACT, INVALID_JWS, t().map_header_base64(empty)),
        rejected("empty claims", COMPACT, INVALID_CLAIMS_JSON, t().map_claims_base64(empty)),
        rejected("only two dots", COMPACT, INVALID_JWS, ".."),
        rejected("a header and two dots", COMPACT, INVALID_SIGNATURE, {
            t().map_claims_base64(empty).map_signature_base64(empty)
        }),
    ]
}

/// The number of parts or the header, whichever the verifier checks first.
const ENCRYPTED: Reason = (VerifyErrorKind::Malformed, "the ");

fn number_of_parts(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
    let part = |n: usize| move |token: String| token.split('.').nth(n).unwrap().to_owned();
    vec![
        rejected("the header alone", COMPACT, UNKNOWN_FORMAT, t().map_token(part(0))),
        rejected("the signature alone", COMPACT, UNKNOWN_FORMAT, t().map_token(part(2))),
        rejected(
            "two parts",
            COMPACT,
            UNKNOWN_FORMAT,
            t().map_token(|token| token.rsplit_once('.').unwrap().0.to_owned()),
        ),
        rejected("four parts", COMPACT, UNKNOWN_FORMAT, t().map_token(|token| token + ".AAAA")),
        rejected("a trailing dot", COMPACT, UNKNOWN_FORMAT, t().map_token(|token| token + ".")),
        rejected(
            "a leading dot",
            COMPACT,
            UNKNOWN_FORMAT,
            t().map_token(|token| format!(".{token}")),
        ),
        rejected(
            "two consecutive dots",
            COMPACT,
            UNKNOWN_FORMAT,
            t().map_token(|token| token.replacen('.', "..", 1)),
        ),
        rejected(
            "a valid token repeated",
            COMPACT,
            UNKNOWN_FORMAT,
            t().map_token(|token| format!("{token}.{token}")),
        ),
        rejected("an encrypted token of five parts", "RFC 7516 section 3.1", ENCRYPTED, {
            t().header("alg", r#""dir""#).header("enc", r#""A256GCM""#).map_token(|token| {
                let header = token.split('.').next().unwrap();
                format!("{header}..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA")
            })
        }),
        rejected("five empty parts", "RFC 7516 section 3.1", UNKNOWN_FORMAT, "...."),
        rejected("the JSON serialization", "RFC 7515 section 7.2", NOT_TOKEN68, {
            t().map_token(|token| {
                let parts: Vec<&str> = token.split('.').collect();
                json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]})
                    .to_string()
            })
        }),
    ]
}

/// Values outside the token68 syntax.
fn characters(params: &TokenParams) -> Vec<Entry> {
    let around = |before: &'static str, after: &'static str| {
        params.jwt().map_token(move |token| format!("{before}{token}{after}"))
    };
    let entry = |name: &str, token: JwtBuilder| rejected(name, TOKEN68, NOT_TOKEN68, token);
    vec![
        entry("a trailing space", around("", " ")),
        entry("a leading tab", around("\t", "")),
        entry("a trailing tab", around("", "\t")),
        entry("a trailing line break", around("", "\r\n")),
        entry("an injected header", around("", "\r\nX-Admin: 1")),
        entry("a trailing NUL", around("", "\0")),
        entry("a trailing escape sequence", around("", "\u{1b}[31m")),
        entry("a repeated scheme", around("Bearer ", "")),
        entry("quotes around it", around("\"", "\"")),
        entry("a trailing auth parameter", around("", ", realm=\"x\"")),
        entry("a trailing comma", around("", ",")),
        entry("a trailing zero-width space", around("", "\u{200b}")),
        entry("a leading byte order mark", around("\u{feff}", "")),
        entry("full-width dots", params.jwt().map_token(|token| token.replace('.', "\u{ff0e}"))),
        rejected("trailing padding", BASE64URL, INVALID_JWS, around("", "=")),
    ]
}

/// Clerk's tokens have about 1 KB; servers commonly accept headers of 8 to 16 KB.
fn length(params: &TokenParams) -> Vec<Entry> {
    const LIMITS: &str = "RFC 9110 section 5.4";
    let of_length = |length: usize| {
        let with = |spaces: usize, more: usize| {
            let pad = |n: usize| move |json: String| json + &" ".repeat(n);
            params.jwt().map_header_json(pad(more)).map_claims_json(pad(spaces)).finish()
        };
        let short = with(0, 0).len();
        let spaces = (length - short) * 3 / 4;
        let around =
            (0..3).flat_map(|more| (spaces - 8..spaces + 4).map(move |spaces| (spaces, more)));
        around.map(|(spaces, more)| with(spaces, more)).find(|token| token.len() == length).unwrap()
    };
    vec![
        accepted("a token of 16,384 characters", LIMITS, default_caller(), of_length(16_384)),
        rejected("a token of 16,385 characters", LIMITS, NOT_TOKEN68, of_length(16_385)),
        rejected(
            "a token of a megabyte",
            LIMITS,
            NOT_TOKEN68,
            params.jwt().map_token(|token| token + &"A".repeat(1 << 20)),
        ),
    ]
}
