//! Credentials that Clerk issues and that are not OAuth access tokens, and other non-tokens.

use serde_json::json;

use super::entry::{
    API_KEY, CLERK_KEY, Entry, INVALID_OPAQUE, MACHINE_TOKEN, MISSING_CLIENT_ID, NOT_A_USER,
    NOT_TOKEN68, SESSION_TOKEN, TokenParams, UNKNOWN_FORMAT, WRONG_CAT, WRONG_TYP, rejected,
};
use super::jwt_builder::JwtBuilder;

const CONFUSION: &str = "RFC 8725 section 3.12";
const SIGNED_TOO: &str = "Clerk: the same key signs tokens of other classes";
const PREFIXES: &str = "Clerk: mt_, ak_ and sk_ are no OAuth access tokens";
const OAT: &str = "Clerk: an opaque token is oat_ and one word";

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    [other_jwts(params), machine_jwts(params), other_strings()].into_iter().flatten().collect()
}

/// A session token as Clerk issues it to browsers.
fn session(params: &TokenParams) -> JwtBuilder {
    let t = params.jwt().header("typ", r#""JWT""#).header("cat", r#""cl_B7d4PD111AAA""#);
    let t = t.without_claim("client_id").without_claim("scope").without_claim("aud");
    t.claim("azp", r#""https://app.example.com""#)
        .claim("sid", r#""sess_1""#)
        .claim("sts", r#""active""#)
}

fn other_jwts(params: &TokenParams) -> Vec<Entry> {
    let id_token = || {
        let t = params
            .jwt()
            .header("typ", r#""JWT""#)
            .without_claim("client_id")
            .without_claim("scope");
        t.claim("aud", r#""client_corpus""#).claim("nonce", r#""n""#).claim("at_hash", r#""x""#)
    };
    let at_jwt = |t: JwtBuilder| t.header("typ", r#""at+jwt""#);
    vec![
        rejected("a session token", SIGNED_TOO, SESSION_TOKEN, session(params)),
        rejected(
            "a session token without cat",
            SIGNED_TOO,
            SESSION_TOKEN,
            session(params).without_header("cat"),
        ),
        rejected("a session token with typ at+jwt", SIGNED_TOO, WRONG_CAT, at_jwt(session(params))),
        rejected(
            "a session token with typ at+jwt and without cat",
            SIGNED_TOO,
            MISSING_CLIENT_ID,
            at_jwt(session(params)).without_header("cat"),
        ),
        rejected("a token of a JWT template", SIGNED_TOO, WRONG_TYP, {
            params.jwt().header("typ", r#""JWT""#).header("cat", r#""cl_B7d4PD222AAA""#)
        }),
        rejected("an ID token", CONFUSION, WRONG_TYP, id_token()),
        rejected("an ID token with typ at+jwt", CONFUSION, MISSING_CLIENT_ID, at_jwt(id_token())),
        rejected("a logout token", CONFUSION, WRONG_TYP, {
            let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
            params.jwt().header("typ", r#""logout+jwt""#).claim("events", events)
        }),
        rejected("a client assertion", CONFUSION, WRONG_TYP, {
            params.jwt().header("typ", r#""JWT""#).claim("sub", r#""client_corpus""#)
        }),
        rejected("a DPoP proof", CONFUSION, WRONG_TYP, {
            params
                .jwt()
                .header("typ", r#""dpop+jwt""#)
                .claim("htm", r#""POST""#)
                .claim("htu", r#""https://h""#)
        }),
    ]
}

fn machine_jwts(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt().claim("sub", r#""mch_1""#);
    vec![
        rejected("a machine token", SIGNED_TOO, MACHINE_TOKEN, {
            t().header("typ", r#""JWT""#).header("cat", r#""cl_B7d4PD333AAA""#)
        }),
        rejected("a machine token with typ at+jwt", SIGNED_TOO, WRONG_CAT, {
            t().header("cat", r#""cl_B7d4PD333AAA""#)
        }),
        rejected("a machine token with typ at+jwt and without cat", SIGNED_TOO, NOT_A_USER, t()),
        rejected(
            "a machine subject that is only the prefix",
            SIGNED_TOO,
            NOT_A_USER,
            params.jwt().claim("sub", r#""mch_""#),
        ),
    ]
}

fn other_strings() -> Vec<Entry> {
    let long = "a".repeat(508);
    let not_jwt = "RFC 7515 section 7.1";
    vec![
        rejected("an opaque machine token", PREFIXES, MACHINE_TOKEN, "mt_0123456789abcdef"),
        rejected("an API key", PREFIXES, API_KEY, "ak_0123456789abcdef"),
        rejected("a secret key", PREFIXES, CLERK_KEY, "sk_live_0123456789abcdef"),
        rejected(
            "a publishable key",
            PREFIXES,
            CLERK_KEY,
            "pk_test_Zm9vLmNsZXJrLmFjY291bnRzLmRldiQ",
        ),
        rejected("a machine token with two dots", PREFIXES, MACHINE_TOKEN, "mt_a.b.c"),
        rejected("only oat_", OAT, INVALID_OPAQUE, "oat_"),
        rejected("oat_ and a dot", OAT, INVALID_OPAQUE, "oat_a.b"),
        rejected("oat_ and two dots", OAT, INVALID_OPAQUE, "oat_a.b.c"),
        rejected("oat_ and a path traversal", OAT, INVALID_OPAQUE, "oat_../../users"),
        rejected("oat_ and a plus", OAT, INVALID_OPAQUE, "oat_a+b"),
        rejected("oat_ and a tilde", OAT, INVALID_OPAQUE, "oat_a~b"),
        rejected("oat_ and padding", OAT, INVALID_OPAQUE, "oat_a="),
        rejected("oat_ and 509 characters", OAT, INVALID_OPAQUE, format!("oat_{long}a")),
        rejected("oat_ and a quote", OAT, NOT_TOKEN68, "oat_a\"b"),
        rejected("oat_ and a line break", OAT, NOT_TOKEN68, "oat_a\nb"),
        rejected("OAT_ in upper case", OAT, UNKNOWN_FORMAT, "OAT_abc"),
        rejected("oat without its underscore", OAT, UNKNOWN_FORMAT, "oatabc"),
        rejected("a refresh token", OAT, UNKNOWN_FORMAT, "ort_0123456789abcdef"),
        rejected("a user's id", OAT, UNKNOWN_FORMAT, "user_2abc"),
        rejected("a single word", not_jwt, UNKNOWN_FORMAT, "abc"),
        rejected("a word of 16,384 letters", not_jwt, UNKNOWN_FORMAT, "a".repeat(16_384)),
        rejected("a number", not_jwt, UNKNOWN_FORMAT, "0"),
        rejected("a path", not_jwt, UNKNOWN_FORMAT, "/etc/passwd"),
        rejected("three words with dots", not_jwt, super::entry::INVALID_JWS, "a.b.c"),
        rejected("an IP address", not_jwt, UNKNOWN_FORMAT, "127.0.0.1"),
        rejected("a padding character", "RFC 9110 section 11.2", NOT_TOKEN68, "="),
        rejected("non-ASCII letters", "RFC 9110 section 11.2", NOT_TOKEN68, "\u{e4}.\u{e4}.\u{e4}"),
        rejected("a script", "RFC 9110 section 11.2", NOT_TOKEN68, "<script>alert(1)</script>"),
        rejected("an empty token", "RFC 6750 section 3.1", NOT_TOKEN68, "").counting_as_missing(),
        rejected("only spaces", "RFC 6750 section 3.1", NOT_TOKEN68, "   ").counting_as_missing(),
    ]
}
