//! The JOSE header: members that make a token invalid, and members that must have no effect.

use serde_json::json;

use super::entry::{
    CRITICAL_EXTENSION, Entry, INVALID_JWS, INVALID_SIGNATURE, MISSING_KID, NESTED_TOKEN,
    TokenParams, UNKNOWN_KID, Verdict, WRONG_CAT, WRONG_TYP, accepted, default_caller, rejected,
};
use super::jwt_builder::JwtBuilder;
use super::keys::{attacker_jwk, attacker_key};

const CRIT: &str = "RFC 7515 section 4.1.11";
const B64: &str = "RFC 7797 section 6";
const DO_NOT_TRUST: &str = "RFC 8725 section 3.10";
const TYPING: &str = "RFC 9068 section 4";
const UNIQUE: &str = "RFC 7515 section 4";
const CONTENT: &str = "RFC 7519 section 5.2";

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    let tables =
        [extensions, offered_keys, key_ids, types, categories, duplicates, nested, ignored];
    tables.into_iter().flat_map(|table| table(params)).collect()
}

fn extensions(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
    let crit = |value: &str| {
        rejected(
            format!("crit {value}"),
            CRIT,
            CRITICAL_EXTENSION,
            t().header("crit", value).header("x", 1),
        )
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
    let b64 = |value: &str| {
        rejected(format!("b64 {value}"), B64, CRITICAL_EXTENSION, t().header("b64", value))
    };
    let mut entries: Vec<Entry> = crits.into_iter().map(crit).collect();
    entries.extend(["false", "true", "null", r#""false""#].into_iter().map(b64));
    let unencoded = t().header("b64", false).header("crit", r#"["b64"]"#);
    entries.extend([
        rejected("b64 false, listed in crit", B64, CRITICAL_EXTENSION, unencoded),
        rejected(
            "crit with an escaped name",
            CRIT,
            CRITICAL_EXTENSION,
            t().header(r"cri\u0074", r#"["exp"]"#),
        ),
        accepted("Crit in place of crit", CRIT, default_caller(), t().header("Crit", r#"["exp"]"#)),
    ]);
    entries
}

/// The header offers a key, inline or by URL. Verifiers must never use it.
fn offered_keys(params: &TokenParams) -> Vec<Entry> {
    let offers = [
        ("jwk", attacker_jwk()),
        ("jku", json!(format!("{}/jwks.json", params.forbidden_origin))),
        ("x5u", json!(format!("{}/certificate.pem", params.forbidden_origin))),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ("x5t#S256", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    ];
    let signed_by_attacker =
        |builder: JwtBuilder| builder.sign_with(|input| attacker_key().rs256(input));
    let mut entries = Vec::new();
    for (name, value) in offers {
        let offered = || params.jwt().header(name, &value);
        let with_kid = || offered().header("kid", json!("ins_attacker"));
        entries.extend([
            rejected(
                format!("{name} of the attacker's key"),
                DO_NOT_TRUST,
                INVALID_SIGNATURE,
                signed_by_attacker(offered()),
            ),
            rejected(
                format!("{name} of the attacker's key, and its kid"),
                DO_NOT_TRUST,
                UNKNOWN_KID,
                signed_by_attacker(with_kid()),
            )
            .with_pem_key(Verdict::Rejected(INVALID_SIGNATURE)),
            accepted(
                format!("{name} with a valid signature"),
                DO_NOT_TRUST,
                default_caller(),
                offered(),
            ),
        ]);
    }
    entries.push(
        rejected(
            "jwk of the attacker's key, and no kid",
            DO_NOT_TRUST,
            MISSING_KID,
            signed_by_attacker(params.jwt().header("jwk", attacker_jwk()).without_header("kid")),
        )
        .with_pem_key(Verdict::Rejected(INVALID_SIGNATURE)),
    );
    entries
}

fn key_ids(params: &TokenParams) -> Vec<Entry> {
    const KEY_ID: &str = "RFC 7515 section 4.1.4";
    let t = || params.jwt();
    // A verifier with a PEM key has no other key, and so ignores `kid`.
    let accepted_with_pem_key =
        |entry: Entry| entry.with_pem_key(Verdict::Accepted(default_caller()));
    let invalid = |value: &str| {
        rejected(format!("kid {value}"), KEY_ID, INVALID_JWS, t().header("kid", value))
    };
    let mut entries: Vec<Entry> = ["1", "true", r#"["ins_corpus"]"#, r#"{"ins_corpus":1}"#]
        .into_iter()
        .map(invalid)
        .collect();
    let unknown = [
        ("kid empty", json!("")),
        ("kid of no key", json!("ins_nobody")),
        ("kid in upper case", json!("INS_CORPUS")),
        ("kid with a trailing space", json!("ins_corpus ")),
        ("kid with a trailing NUL", json!("ins_corpus\0")),
        ("kid that is a path", json!("../../../../../../dev/null")),
        ("kid that is a URL", json!(format!("{}/key", params.forbidden_origin))),
        ("kid that is an SQL injection", json!("x' UNION SELECT 'secret")),
        ("kid of 2,000 characters", json!("k".repeat(2000))),
    ];
    for (name, kid) in unknown {
        entries.push(accepted_with_pem_key(rejected(
            name,
            DO_NOT_TRUST,
            UNKNOWN_KID,
            t().header("kid", kid),
        )));
    }
    entries.extend([
        accepted_with_pem_key(rejected(
            "kid missing",
            KEY_ID,
            MISSING_KID,
            t().without_header("kid"),
        )),
        accepted_with_pem_key(rejected("kid null", KEY_ID, MISSING_KID, t().header("kid", "null"))),
        accepted_with_pem_key(rejected(
            "kid of another key of the instance",
            "RFC 8725 section 3.3",
            INVALID_SIGNATURE,
            t().header("kid", json!(params.other_key_id)),
        )),
        accepted("kid with escaped characters", "RFC 8259 section 7", default_caller(), {
            t().header("kid", r#""ins\u005Fcorpus""#)
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

/// RFC 7515 section 4.1.9: `application/` may be omitted, and media types are case-insensitive.
const ACCEPTED_TYPES: [&str; 5] = [
    r#""application/at+jwt""#,
    r#""AT+JWT""#,
    r#""at+JWT""#,
    r#""Application/At+Jwt""#,
    r#""at\u002bjwt""#,
];

fn types(params: &TokenParams) -> Vec<Entry> {
    const MEDIA_TYPE: &str = "RFC 7515 section 4.1.9";
    let t = || params.jwt();
    let rejected =
        |typ: &str| rejected(format!("typ {typ}"), TYPING, WRONG_TYP, t().header("typ", typ));
    let accepted = |typ: &str| {
        accepted(format!("typ {typ}"), MEDIA_TYPE, default_caller(), t().header("typ", typ))
    };
    let mut entries: Vec<Entry> = OTHER_TYPES.into_iter().map(rejected).collect();
    entries.extend(ACCEPTED_TYPES.into_iter().map(accepted));
    entries.push(super::entry::rejected(
        "typ missing",
        TYPING,
        WRONG_TYP,
        t().without_header("typ"),
    ));
    entries
}

fn categories(params: &TokenParams) -> Vec<Entry> {
    const CLASSES: &str = "Clerk: the header's cat names the class of a token";
    let t = |value: &str| params.jwt().header("cat", value);
    let other = |value: &str| rejected(format!("cat {value}"), CLASSES, WRONG_CAT, t(value));
    let other_credentials =
        [r#""cl_B7d4PD111AAA""#, r#""cl_B7d4PD222AAA""#, r#""cl_B7d4PD333AAA""#];
    let mut entries: Vec<Entry> = other_credentials.into_iter().map(other).collect();
    entries.extend(["1", "true", r#"["cl_B7d4PD333AAA"]"#].into_iter().map(other));
    entries.extend([
        accepted("cat null", "Clerk: an absent cat is normal", default_caller(), t("null")),
        // Clerk may add classes of tokens.
        other(r#""cl_new""#),
        other(r#""""#),
    ]);
    entries
}

/// Parsers differ in which of two duplicate members they use.
fn duplicates(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
    let after = |(name, json): (&str, &str)| {
        rejected(
            format!("{name} duplicated after, {json}"),
            UNIQUE,
            INVALID_JWS,
            t().append_header(name, json),
        )
    };
    let before = |(name, json): (&str, &str)| {
        rejected(
            format!("{name} duplicated before, {json}"),
            UNIQUE,
            INVALID_JWS,
            t().prepend_header(name, json),
        )
    };
    let attacks = [("alg", r#""none""#), ("typ", r#""JWT""#), ("kid", r#""ins_attacker""#)];
    let mut entries: Vec<Entry> = attacks.into_iter().map(after).collect();
    entries.extend(attacks.into_iter().map(before));
    entries.extend([
        after(("alg", r#""RS256""#)),
        rejected(
            "alg duplicated with an escaped name",
            UNIQUE,
            INVALID_JWS,
            t().append_header(r"\u0061lg", r#""none""#),
        ),
        rejected("alg duplicated with null", UNIQUE, INVALID_JWS, t().append_header("alg", "null")),
        rejected(
            "crit duplicated",
            UNIQUE,
            INVALID_JWS,
            t().append_header("crit", r#"["exp"]"#).append_header("crit", "null"),
        ),
        rejected(
            "cat duplicated",
            UNIQUE,
            INVALID_JWS,
            t().append_header("cat", r#""cl_B7d4PD333AAA""#).append_header("cat", r#""cl_new""#),
        ),
        rejected(
            "an unknown member duplicated",
            UNIQUE,
            INVALID_JWS,
            t().append_header("x", 1).append_header("x", 1),
        ),
        accepted("a duplicate member within an ignored member", UNIQUE, default_caller(), {
            t().header("jwk", r#"{"kty":"RSA","kty":"oct"}"#)
        }),
    ]);
    entries
}

/// Headers that declare the content to be a nested token, or encrypted.
fn nested(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
    let inner = params.jwt().finish();
    let cty = |value: &str| {
        rejected(format!("cty {value}"), CONTENT, NESTED_TOKEN, t().header("cty", value))
    };
    let mut entries: Vec<Entry> = [r#""JWT""#, r#""jwt""#, r#""application/jwt""#, r#""at+jwt""#]
        .into_iter()
        .map(cty)
        .collect();
    entries.extend([
        rejected(
            "a valid token nested in a valid token",
            CONTENT,
            NESTED_TOKEN,
            t().header("cty", r#""JWT""#).map_claims_json(move |_| inner),
        ),
        rejected(
            "enc in the header",
            "RFC 7516 section 9",
            NESTED_TOKEN,
            t().header("enc", r#""A256GCM""#),
        ),
        accepted(
            "cty that is not a JWT",
            "RFC 7515 section 4.1.10",
            default_caller(),
            t().header("cty", r#""json""#),
        ),
    ]);
    entries
}

/// RFC 7515 section 4: unknown members are ignored, unless `crit` lists them.
fn ignored(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
    vec![
        accepted(
            "an unknown member",
            UNIQUE,
            default_caller(),
            t().header("x", r#"{"y":[1,null]}"#),
        ),
        accepted(
            "zip, which applies to encryption only",
            UNIQUE,
            default_caller(),
            t().header("zip", r#""DEF""#),
        ),
        accepted("claims repeated in the header", "RFC 7519 section 5.3", default_caller(), {
            t().header("iss", r#""https://evil.example""#).header("sub", r#""user_admin""#)
        }),
        accepted("an empty member name", "RFC 8259 section 4", default_caller(), t().header("", 1)),
    ]
}
