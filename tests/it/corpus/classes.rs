//! Tokens of Clerk's that are no OAuth access tokens, and texts that only look like some.

use serde_json::json;

use super::draft::Draft;
use super::entry::{
    CATEGORY, CLERK_KEY, Entry, MACHINE, NO_CLIENT, NO_FORMAT, NO_OPAQUE, NO_TOKEN, Stage, TYP,
    refused,
};

const CONFUSION: &str = "RFC 8725 section 3.12";
const SIGNED_TOO: &str = "Clerk: the same key signs tokens of other classes";
const PREFIXES: &str = "Clerk: mt_, ak_ and sk_ are no OAuth access tokens";
const OAT: &str = "Clerk: an opaque token is oat_ and one word";

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    [of_the_instance(stage), machines(stage), texts()].into_iter().flatten().collect()
}

/// A session token as Clerk's browsers have it, good for a minute.
fn session(stage: &Stage) -> Draft {
    let t = stage.jwt().head("typ", r#""JWT""#).head("cat", r#""cl_B7d4PD111AAA""#);
    let t = t.no_claim("client_id").no_claim("scope").no_claim("aud");
    t.claim("azp", r#""https://app.example.com""#)
        .claim("sid", r#""sess_1""#)
        .claim("sts", r#""active""#)
}

fn of_the_instance(stage: &Stage) -> Vec<Entry> {
    let id_token = || {
        let t = stage.jwt().head("typ", r#""JWT""#).no_claim("client_id").no_claim("scope");
        t.claim("aud", r#""client_corpus""#).claim("nonce", r#""n""#).claim("at_hash", r#""x""#)
    };
    let at_jwt = |t: Draft| t.head("typ", r#""at+jwt""#);
    vec![
        refused("a session token", SIGNED_TOO, TYP, session(stage)),
        refused("a session token without cat", SIGNED_TOO, TYP, session(stage).no_head("cat")),
        refused("a session token that says at+jwt", SIGNED_TOO, CATEGORY, at_jwt(session(stage))),
        refused(
            "a session token that says at+jwt, without cat",
            SIGNED_TOO,
            NO_CLIENT,
            at_jwt(session(stage)).no_head("cat"),
        ),
        refused("a token of a JWT template", SIGNED_TOO, TYP, {
            stage.jwt().head("typ", r#""JWT""#).head("cat", r#""cl_B7d4PD222AAA""#)
        }),
        refused("an ID token", CONFUSION, TYP, id_token()),
        refused("an ID token that says at+jwt", CONFUSION, NO_CLIENT, at_jwt(id_token())),
        refused("a logout token", CONFUSION, TYP, {
            let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
            stage.jwt().head("typ", r#""logout+jwt""#).claim("events", events)
        }),
        refused("an assertion of a client", CONFUSION, TYP, {
            stage.jwt().head("typ", r#""JWT""#).claim("sub", r#""client_corpus""#)
        }),
        refused("a DPoP proof", CONFUSION, TYP, {
            stage
                .jwt()
                .head("typ", r#""dpop+jwt""#)
                .claim("htm", r#""POST""#)
                .claim("htu", r#""https://h""#)
        }),
    ]
}

fn machines(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt().claim("sub", r#""mch_1""#);
    vec![
        refused("a machine token", SIGNED_TOO, TYP, {
            t().head("typ", r#""JWT""#).head("cat", r#""cl_B7d4PD333AAA""#)
        }),
        refused("a machine token that says at+jwt", SIGNED_TOO, CATEGORY, {
            t().head("cat", r#""cl_B7d4PD333AAA""#)
        }),
        refused("a machine token that says at+jwt, without cat", SIGNED_TOO, MACHINE, t()),
        refused(
            "a machine that is nothing but its prefix",
            SIGNED_TOO,
            MACHINE,
            stage.jwt().claim("sub", r#""mch_""#),
        ),
    ]
}

fn texts() -> Vec<Entry> {
    let long = "a".repeat(508);
    let no_jwt = "RFC 7515 section 7.1";
    vec![
        refused("a machine token of letters", PREFIXES, CLERK_KEY, "mt_0123456789abcdef"),
        refused("an API key", PREFIXES, CLERK_KEY, "ak_0123456789abcdef"),
        refused("a secret key", PREFIXES, CLERK_KEY, "sk_live_0123456789abcdef"),
        refused(
            "a publishable key",
            PREFIXES,
            CLERK_KEY,
            "pk_test_Zm9vLmNsZXJrLmFjY291bnRzLmRldiQ",
        ),
        refused("a machine token with two dots", PREFIXES, CLERK_KEY, "mt_a.b.c"),
        refused("oat_ and nothing", OAT, NO_OPAQUE, "oat_"),
        refused("oat_ and a dot", OAT, NO_OPAQUE, "oat_a.b"),
        refused("oat_ and two dots", OAT, NO_OPAQUE, "oat_a.b.c"),
        refused("oat_ and a way out of a path", OAT, NO_OPAQUE, "oat_../../users"),
        refused("oat_ and a plus", OAT, NO_OPAQUE, "oat_a+b"),
        refused("oat_ and a tilde", OAT, NO_OPAQUE, "oat_a~b"),
        refused("oat_ and padding", OAT, NO_OPAQUE, "oat_a="),
        refused("oat_ and 509 characters", OAT, NO_OPAQUE, format!("oat_{long}a")),
        refused("oat_ and a quote", OAT, NO_TOKEN, "oat_a\"b"),
        refused("oat_ and a line end", OAT, NO_TOKEN, "oat_a\nb"),
        refused("oat_ in capitals", OAT, NO_FORMAT, "OAT_abc"),
        refused("oat without its line", OAT, NO_FORMAT, "oatabc"),
        refused("a refresh token", OAT, NO_FORMAT, "ort_0123456789abcdef"),
        refused("a user's id", OAT, NO_FORMAT, "user_2abc"),
        refused("a word", no_jwt, NO_FORMAT, "abc"),
        refused("a word of 8,192 letters", no_jwt, NO_FORMAT, "a".repeat(8192)),
        refused("a number", no_jwt, NO_FORMAT, "0"),
        refused("a path", no_jwt, NO_FORMAT, "/etc/passwd"),
        refused("a text with three parts", no_jwt, super::entry::NO_JWS, "a.b.c"),
        refused("an IP address", no_jwt, NO_FORMAT, "127.0.0.1"),
        refused("a padding character", "RFC 9110 section 11.2", NO_TOKEN, "="),
        refused("other letters", "RFC 9110 section 11.2", NO_TOKEN, "\u{e4}.\u{e4}.\u{e4}"),
        refused("a script", "RFC 9110 section 11.2", NO_TOKEN, "<script>alert(1)</script>"),
        refused("nothing", "RFC 6750 section 3.1", NO_TOKEN, "").without_credentials(),
        refused("spaces", "RFC 6750 section 3.1", NO_TOKEN, "   ").without_credentials(),
    ]
}
