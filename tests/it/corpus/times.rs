//! The validity period to the second, and values that are not a `NumericDate` (RFC 7519 section 2).

use serde_json::{Value, json};

use super::entry::{
    EXPIRED, Entry, INVALID_CLAIMS_JSON, INVALID_TIME, ISSUED_IN_FUTURE, MISSING_EXP,
    NOT_YET_VALID, TokenParams, accepted, insufficient_scope, rejected,
};
use super::jwt_builder::JwtBuilder;
use crate::support::NOW;

const EXP: &str = "RFC 7519 section 4.1.4";
const NOT_BEFORE: &str = "RFC 7519 section 4.1.5";
const ISSUED_AT: &str = "RFC 7519 section 4.1.6";
const NUMERIC_DATE: &str = "RFC 7519 section 2";

/// The tolerated clock skew, in seconds.
const LEEWAY: u64 = 5;

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    [expiry, not_before, issued_at, invalid_types, order]
        .into_iter()
        .flat_map(|table| table(params))
        .collect()
}

fn claims(differences: Value) -> Value {
    json!({"extra": {"claims": differences}})
}

fn expiry(params: &TokenParams) -> Vec<Entry> {
    let t = |exp: &str| params.jwt().claim("exp", exp);
    let valid = |name: &str, exp: &str, expires_at: u64| {
        accepted(name, EXP, json!({"expiresAt": expires_at}), t(exp))
    };
    let expired = |name: &str, exp: String| rejected(name, EXP, EXPIRED, t(&exp));
    vec![
        valid("exp in a second", &format!("{}", NOW + 1), NOW + 1),
        valid("exp now", &format!("{NOW}"), NOW),
        valid(
            "exp in the last second of the leeway",
            &format!("{}", NOW - LEEWAY + 1),
            NOW - LEEWAY + 1,
        ),
        expired("exp at the end of the leeway", format!("{}", NOW - LEEWAY)),
        expired("exp a fraction after the end of the leeway", format!("{}.999", NOW - LEEWAY)),
        expired("exp an hour ago", format!("{}", NOW - 3600)),
        expired("exp zero", "0".to_owned()),
        expired("exp negative zero", "-0.0".to_owned()),
        expired("exp a tiny fraction", "1e-300".to_owned()),
        expired("exp below the smallest float", "1e-9999".to_owned()),
        valid("exp with a fraction", &format!("{}.75", NOW + 60), NOW + 60),
        valid("exp with an exponent", "1.8000001e9", 1_800_000_100),
        valid("exp with an upper-case, signed exponent", "18000001E+2", 1_800_000_100),
        valid("exp in the last second of the year 9999", "253402300799", 253_402_300_799),
        rejected("exp in the year 10000", EXP, INVALID_TIME, t("253402300800")),
        rejected("exp in milliseconds", EXP, INVALID_TIME, t(&format!("{}", (NOW + 3600) * 1000))),
        rejected(
            "exp missing",
            "RFC 9068 section 2.2",
            MISSING_EXP,
            params.jwt().without_claim("exp"),
        ),
        rejected("exp null", "RFC 9068 section 2.2", MISSING_EXP, t("null")),
        rejected("Exp in place of exp", "RFC 9068 section 2.2", MISSING_EXP, {
            params.jwt().without_claim("exp").claim("Exp", NOW + 60)
        }),
        rejected("expires_in in place of exp", "RFC 9068 section 2.2", MISSING_EXP, {
            params.jwt().without_claim("exp").claim("expires_in", 3600)
        }),
    ]
}

fn not_before(params: &TokenParams) -> Vec<Entry> {
    let t = |nbf: &str| params.jwt().claim("nbf", nbf);
    let valid = |name: &str, nbf: &str, expected: Value| {
        accepted(name, NOT_BEFORE, claims(json!({"nbf": expected})), t(nbf))
    };
    let end = NOW + LEEWAY;
    vec![
        valid("nbf at the end of the leeway", &format!("{end}"), json!(end)),
        valid("nbf long ago", "0", json!(0)),
        valid("nbf with a fraction", &format!("{NOW}.5"), json!(NOW as f64 + 0.5)),
        rejected("nbf after the leeway", NOT_BEFORE, NOT_YET_VALID, t(&format!("{}", end + 1))),
        rejected(
            "nbf a fraction after the leeway",
            NOT_BEFORE,
            NOT_YET_VALID,
            t(&format!("{end}.001")),
        ),
        rejected("nbf in the year 9999", NOT_BEFORE, NOT_YET_VALID, t("253402300799")),
        accepted(
            "nbf missing",
            NOT_BEFORE,
            claims(json!({"nbf": null})),
            params.jwt().without_claim("nbf"),
        ),
        rejected("nbf after exp", NOT_BEFORE, NOT_YET_VALID, t(&format!("{}", NOW + 7200))),
    ]
}

fn issued_at(params: &TokenParams) -> Vec<Entry> {
    let t = |iat: &str| params.jwt().claim("iat", iat);
    let end = NOW + LEEWAY;
    vec![
        accepted(
            "iat at the end of the leeway",
            ISSUED_AT,
            claims(json!({"iat": end})),
            t(&format!("{end}")),
        ),
        accepted("iat long ago", ISSUED_AT, claims(json!({"iat": 1})), t("1")),
        accepted(
            "iat missing",
            ISSUED_AT,
            claims(json!({"iat": null})),
            params.jwt().without_claim("iat"),
        ),
        rejected("iat after the leeway", ISSUED_AT, ISSUED_IN_FUTURE, t(&format!("{}", end + 1))),
        rejected(
            "iat a fraction after the leeway",
            ISSUED_AT,
            ISSUED_IN_FUTURE,
            t(&format!("{end}.001")),
        ),
        rejected("iat in milliseconds", ISSUED_AT, INVALID_TIME, t(&format!("{}", NOW * 1000))),
    ]
}

/// Values that are not a number of seconds, in each of the three claims.
fn invalid_types(params: &TokenParams) -> Vec<Entry> {
    let not_times = [
        r#""1900000000""#,
        r#""""#,
        r#""2099-01-01T00:00:00Z""#,
        "true",
        "[1900000000]",
        r#"{"seconds":1900000000}"#,
        "-1",
        "-1e300",
        "1e300",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
    ];
    let not_json =
        ["NaN", "-Infinity", "1e999", "+1900000000", "1_900_000_000", "1900000000.", ".5e10"];
    let t = |name: &str, value: &str| params.jwt().claim(name, value);
    let mut entries = Vec::new();
    for name in ["exp", "nbf", "iat"] {
        for value in not_times {
            entries.push(rejected(
                format!("{name} {value}"),
                NUMERIC_DATE,
                INVALID_TIME,
                t(name, value),
            ));
        }
    }
    for value in not_json {
        entries.push(rejected(
            format!("exp {value}"),
            "RFC 8259 section 6",
            INVALID_CLAIMS_JSON,
            t("exp", value),
        ));
    }
    entries
}

/// An expired token gets 401 even if it lacks scopes: with 403 the client would ask for more
/// scopes.
fn order(params: &TokenParams) -> Vec<Entry> {
    const FIRST: &str = "RFC 6750 section 3.1";
    let expired = || params.jwt().claim("exp", NOW - 60);
    let entry = |name: &str, token: JwtBuilder| rejected(name, FIRST, EXPIRED, token);
    vec![
        entry("expired and without scopes", expired().without_claim("scope")),
        entry("expired and for another audience", expired().claim("aud", r#""https://o.example""#)),
        entry("expired and without a subject", expired().without_claim("sub")),
        entry("expired and of a machine", expired().claim("sub", r#""mch_1""#)),
        entry("expired and not yet valid", expired().claim("nbf", NOW + 60)),
        rejected("not yet valid and without scopes", FIRST, NOT_YET_VALID, {
            params.jwt().claim("nbf", NOW + 60).without_claim("scope")
        }),
        rejected(
            "expired and of another issuer",
            FIRST,
            super::entry::WRONG_ISS,
            expired().claim("iss", r#""https://clerk.other.example""#),
        ),
        rejected(
            "expired and signed by another key",
            FIRST,
            super::entry::INVALID_SIGNATURE,
            expired().sign_with(|input| super::keys::attacker_key().rs256(input)),
        ),
        insufficient_scope(
            "in its last second and without scopes",
            FIRST,
            json!({"expiresAt": NOW - 4, "scopes": []}),
            params.jwt().claim("exp", NOW - 4).without_claim("scope"),
        ),
    ]
}
