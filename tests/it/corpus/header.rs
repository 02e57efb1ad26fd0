//! The JOSE header: what it may rule out, and all that it may never decide.

use serde_json::json;

use super::draft::Draft;
use super::entry::{
    CATEGORY, CRITICAL, Entry, NESTED, NO_JWS, NO_KEY_ID, SIGNATURE, Stage, TYP, UNKNOWN_KEY,
    Verdict, accepted, refused, usual,
};
use super::keys::{foreign, foreign_jwk};

const CRIT: &str = "RFC 7515 section 4.1.11";
const B64: &str = "RFC 7797 section 6";
const DO_NOT_TRUST: &str = "RFC 8725 section 3.10";
const TYPING: &str = "RFC 9068 section 4";
const UNIQUE: &str = "RFC 7515 section 4";
const CONTENT: &str = "RFC 7519 section 5.2";

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    let tables = [extensions, offered_keys, key_ids, types, categories, twice, nested, ignored];
    tables.into_iter().flat_map(|table| table(stage)).collect()
}

fn extensions(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
    let crit = |value: &str| {
        refused(format!("crit {value}"), CRIT, CRITICAL, t().head("crit", value).head("x", 1))
    };
    let crits = [
        r#"["exp"]"#,
        r#"["x"]"#,
        r#"["alg"]"#,
        "[]",
        "null",
        r#""exp""#,
        "{}",
        "false",
        r#"[""]"#,
    ];
    let b64 = |value: &str| refused(format!("b64 {value}"), B64, CRITICAL, t().head("b64", value));
    let mut entries: Vec<Entry> = crits.into_iter().map(crit).collect();
    entries.extend(["false", "true", "null", r#""false""#].into_iter().map(b64));
    let unencoded = t().head("b64", false).head("crit", r#"["b64"]"#);
    entries.extend([
        refused("b64 false, as crit demands", B64, CRITICAL, unencoded),
        refused("crit behind an escape", CRIT, CRITICAL, t().head(r"cri\u0074", r#"["exp"]"#)),
        accepted(
            "crit in another case is another member",
            CRIT,
            usual(),
            t().head("Crit", r#"["exp"]"#),
        ),
    ]);
    entries
}

/// The header offers a key, by itself or by a place to fetch it from. None is ever looked at.
fn offered_keys(stage: &Stage) -> Vec<Entry> {
    let offers = [
        ("jwk", foreign_jwk()),
        ("jku", json!(format!("{}/jwks.json", stage.trap))),
        ("x5u", json!(format!("{}/certificate.pem", stage.trap))),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ("x5t#S256", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    ];
    let by_attacker = |draft: Draft| draft.signed(|input| foreign().rs256(input));
    let mut entries = Vec::new();
    for (name, value) in offers {
        let offered = || stage.jwt().head(name, &value);
        let unnamed = || offered().head("kid", json!("ins_attacker"));
        entries.extend([
            refused(
                format!("{name} of a foreign key"),
                DO_NOT_TRUST,
                SIGNATURE,
                by_attacker(offered()),
            ),
            refused(
                format!("{name} of a foreign key, and its key id"),
                DO_NOT_TRUST,
                UNKNOWN_KEY,
                by_attacker(unnamed()),
            )
            .by_pem(Verdict::Refused(SIGNATURE)),
            accepted(format!("{name} beside a good signature"), DO_NOT_TRUST, usual(), offered()),
        ]);
    }
    entries.push(
        refused(
            "jwk of a foreign key, and no key id",
            DO_NOT_TRUST,
            NO_KEY_ID,
            by_attacker(stage.jwt().head("jwk", foreign_jwk()).no_head("kid")),
        )
        .by_pem(Verdict::Refused(SIGNATURE)),
    );
    entries
}

fn key_ids(stage: &Stage) -> Vec<Entry> {
    const KEY_ID: &str = "RFC 7515 section 4.1.4";
    let t = || stage.jwt();
    // One PEM key is the only one there is, whatever the token calls it.
    let fine_by_pem = |entry: Entry| entry.by_pem(Verdict::Accepted(usual()));
    let no_text =
        |value: &str| refused(format!("kid {value}"), KEY_ID, NO_JWS, t().head("kid", value));
    let mut entries: Vec<Entry> = ["1", "true", r#"["ins_corpus"]"#, r#"{"ins_corpus":1}"#]
        .into_iter()
        .map(no_text)
        .collect();
    let unknown = [
        ("kid empty", json!("")),
        ("kid of nobody", json!("ins_nobody")),
        ("kid in another case", json!("INS_CORPUS")),
        ("kid with a space behind it", json!("ins_corpus ")),
        ("kid with a zero behind it", json!("ins_corpus\0")),
        ("kid that is a path", json!("../../../../../../dev/null")),
        ("kid that is a URL", json!(format!("{}/key", stage.trap))),
        ("kid that is a query", json!("x' UNION SELECT 'secret")),
        ("kid of 2,000 characters", json!("k".repeat(2000))),
    ];
    for (name, kid) in unknown {
        entries.push(fine_by_pem(refused(name, DO_NOT_TRUST, UNKNOWN_KEY, t().head("kid", kid))));
    }
    entries.extend([
        fine_by_pem(refused("kid missing", KEY_ID, NO_KEY_ID, t().no_head("kid"))),
        fine_by_pem(refused("kid null", KEY_ID, NO_KEY_ID, t().head("kid", "null"))),
        fine_by_pem(refused(
            "kid of another key of the instance",
            "RFC 8725 section 3.3",
            SIGNATURE,
            t().head("kid", json!(stage.other_key_id)),
        )),
        accepted("kid written with escapes", "RFC 8259 section 7", usual(), {
            t().head("kid", r#""ins\u005Fcorpus""#)
        }),
    ]);
    entries
}

const OTHER_TYPES: [&str; 25] = [
    "null",
    r#""""#,
    r#""JWT""#,
    r#""jwt""#,
    r#""at jwt""#,
    r#""at+jwt ""#,
    r#"" at+jwt""#,
    r#""at+jwt;x=1""#,
    r#""at+jwt\u0000""#,
    r#""at-jwt""#,
    r#""xat+jwt""#,
    r#""at+jwts""#,
    r#""application/jwt""#,
    r#""application/application/at+jwt""#,
    r#""application/ at+jwt""#,
    r#""text/at+jwt""#,
    r#""id_token+jwt""#,
    r#""dpop+jwt""#,
    r#""logout+jwt""#,
    r#""secevent+jwt""#,
    r#""client-authentication+jwt""#,
    r#""JOSE+JSON""#,
    r#"["at+jwt"]"#,
    "1",
    "true",
];

/// RFC 7515 section 4.1.9: `application/` may be left out, and case does not count.
const ITS_TYPES: [&str; 5] = [
    r#""application/at+jwt""#,
    r#""AT+JWT""#,
    r#""at+JWT""#,
    r#""Application/At+Jwt""#,
    r#""at\u002bjwt""#,
];

fn types(stage: &Stage) -> Vec<Entry> {
    const MEDIA_TYPE: &str = "RFC 7515 section 4.1.9";
    let t = || stage.jwt();
    let refused = |typ: &str| refused(format!("typ {typ}"), TYPING, TYP, t().head("typ", typ));
    let accepted =
        |typ: &str| accepted(format!("typ {typ}"), MEDIA_TYPE, usual(), t().head("typ", typ));
    let mut entries: Vec<Entry> = OTHER_TYPES.into_iter().map(refused).collect();
    entries.extend(ITS_TYPES.into_iter().map(accepted));
    entries.push(super::entry::refused("typ missing", TYPING, TYP, t().no_head("typ")));
    entries
}

fn categories(stage: &Stage) -> Vec<Entry> {
    const CLASSES: &str = "Clerk: the header's cat names the class of a token";
    let t = |value: &str| stage.jwt().head("cat", value);
    let other = |value: &str| refused(format!("cat {value}"), CLASSES, CATEGORY, t(value));
    let classes = [r#""cl_B7d4PD111AAA""#, r#""cl_B7d4PD222AAA""#, r#""cl_B7d4PD333AAA""#];
    let mut entries: Vec<Entry> = classes.into_iter().map(other).collect();
    entries.extend(["1", "true", r#"["cl_B7d4PD333AAA"]"#].into_iter().map(other));
    entries.extend([
        accepted("cat null", "Clerk: an absent cat is normal", usual(), t("null")),
        accepted("cat of a class not known yet", CLASSES, usual(), t(r#""cl_new""#)),
    ]);
    entries
}

/// Of two members with one name, two parsers may take different ones.
fn twice(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
    let after = |(name, json): (&str, &str)| {
        refused(format!("{name} again, {json}"), UNIQUE, NO_JWS, t().head_again(name, json))
    };
    let before = |(name, json): (&str, &str)| {
        refused(format!("{name} before, {json}"), UNIQUE, NO_JWS, t().head_before(name, json))
    };
    let bad = [("alg", r#""none""#), ("typ", r#""JWT""#), ("kid", r#""ins_attacker""#)];
    let mut entries: Vec<Entry> = bad.into_iter().map(after).collect();
    entries.extend(bad.into_iter().map(before));
    entries.extend([
        after(("alg", r#""RS256""#)),
        refused(
            "alg again behind an escape",
            UNIQUE,
            NO_JWS,
            t().head_again(r"\u0061lg", r#""none""#),
        ),
        refused("alg again, null", UNIQUE, NO_JWS, t().head_again("alg", "null")),
        refused(
            "crit twice",
            UNIQUE,
            NO_JWS,
            t().head_again("crit", r#"["exp"]"#).head_again("crit", "null"),
        ),
        refused(
            "cat twice",
            UNIQUE,
            NO_JWS,
            t().head_again("cat", r#""cl_B7d4PD333AAA""#).head_again("cat", r#""cl_new""#),
        ),
        refused(
            "an unknown member twice",
            UNIQUE,
            NO_JWS,
            t().head_again("x", 1).head_again("x", 1),
        ),
        accepted("a member twice within what is not read", UNIQUE, usual(), {
            t().head("jwk", r#"{"kty":"RSA","kty":"oct"}"#)
        }),
    ]);
    entries
}

/// A header that says that the content is a token itself, or encrypted.
fn nested(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
    let inner = stage.jwt().finish();
    let cty =
        |value: &str| refused(format!("cty {value}"), CONTENT, NESTED, t().head("cty", value));
    let mut entries: Vec<Entry> = [r#""JWT""#, r#""jwt""#, r#""application/jwt""#, r#""at+jwt""#]
        .into_iter()
        .map(cty)
        .collect();
    entries.extend([
        refused(
            "a good token within a good token",
            CONTENT,
            NESTED,
            t().head("cty", r#""JWT""#).claims_text(move |_| inner),
        ),
        refused("enc in the header", "RFC 7516 section 9", NESTED, t().head("enc", r#""A256GCM""#)),
        accepted(
            "cty that is no JWT",
            "RFC 7515 section 4.1.10",
            usual(),
            t().head("cty", r#""json""#),
        ),
    ]);
    entries
}

/// RFC 7515 section 4: what is not understood is ignored, unless `crit` names it.
fn ignored(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
    vec![
        accepted("a member that nobody knows", UNIQUE, usual(), t().head("x", r#"{"y":[1,null]}"#)),
        accepted("zip, which is for encryption", UNIQUE, usual(), t().head("zip", r#""DEF""#)),
        accepted("claims repeated in the header", "RFC 7519 section 5.3", usual(), {
            t().head("iss", r#""https://evil.example""#).head("sub", r#""user_admin""#)
        }),
        accepted("an empty member name", "RFC 8259 section 4", usual(), t().head("", 1)),
    ]
}
