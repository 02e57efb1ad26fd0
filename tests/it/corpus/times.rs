//! When a token is good, to the second, and numbers that are no time (RFC 7519 section 2, `NumericDate`).

use serde_json::{Value, json};

use super::draft::Draft;
use super::entry::{
    EXPIRED, Entry, IAT, NBF, NO_CLAIMS, NO_EXP, Stage, TIME, accepted, narrow, refused,
};
use crate::support::NOW;

const EXP: &str = "RFC 7519 section 4.1.4";
const NOT_BEFORE: &str = "RFC 7519 section 4.1.5";
const ISSUED_AT: &str = "RFC 7519 section 4.1.6";
const NUMERIC_DATE: &str = "RFC 7519 section 2";

/// How far the clocks may be apart.
const LEEWAY: u64 = 5;

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    [expiry, not_before, issued_at, forms, order]
        .into_iter()
        .flat_map(|table| table(stage))
        .collect()
}

fn claims(differences: Value) -> Value {
    json!({"extra": {"claims": differences}})
}

fn expiry(stage: &Stage) -> Vec<Entry> {
    let t = |exp: &str| stage.jwt().claim("exp", exp);
    let good = |name: &str, exp: &str, expires_at: u64| {
        accepted(name, EXP, json!({"expiresAt": expires_at}), t(exp))
    };
    let over = |name: &str, exp: String| refused(name, EXP, EXPIRED, t(&exp));
    vec![
        good("exp in a second", &format!("{}", NOW + 1), NOW + 1),
        good("exp now", &format!("{NOW}"), NOW),
        good("exp in the leeway's last second", &format!("{}", NOW - LEEWAY + 1), NOW - LEEWAY + 1),
        over("exp at the leeway's end", format!("{}", NOW - LEEWAY)),
        over("exp at the leeway's end and a fraction", format!("{}.999", NOW - LEEWAY)),
        over("exp an hour ago", format!("{}", NOW - 3600)),
        over("exp zero", "0".to_owned()),
        over("exp minus zero", "-0.0".to_owned()),
        over("exp a tiny fraction", "1e-300".to_owned()),
        over("exp beneath all fractions", "1e-9999".to_owned()),
        good("exp with a fraction", &format!("{}.75", NOW + 60), NOW + 60),
        good("exp with an exponent", "1.8000001e9", 1_800_000_100),
        good("exp with a capital exponent and its sign", "18000001E+2", 1_800_000_100),
        good("exp in the last second of the year 9999", "253402300799", 253_402_300_799),
        refused("exp in the year 10000", EXP, TIME, t("253402300800")),
        refused("exp in milliseconds", EXP, TIME, t(&format!("{}", (NOW + 3600) * 1000))),
        refused("exp missing", "RFC 9068 section 2.2", NO_EXP, stage.jwt().no_claim("exp")),
        refused("exp null", "RFC 9068 section 2.2", NO_EXP, t("null")),
        refused("exp in another case", "RFC 9068 section 2.2", NO_EXP, {
            stage.jwt().no_claim("exp").claim("Exp", NOW + 60)
        }),
        refused("expires_in and no exp", "RFC 9068 section 2.2", NO_EXP, {
            stage.jwt().no_claim("exp").claim("expires_in", 3600)
        }),
    ]
}

fn not_before(stage: &Stage) -> Vec<Entry> {
    let t = |nbf: &str| stage.jwt().claim("nbf", nbf);
    let good = |name: &str, nbf: &str, shown: Value| {
        accepted(name, NOT_BEFORE, claims(json!({"nbf": shown})), t(nbf))
    };
    let within = NOW + LEEWAY;
    vec![
        good("nbf at the leeway's end", &format!("{within}"), json!(within)),
        good("nbf long ago", "0", json!(0)),
        good("nbf with a fraction", &format!("{NOW}.5"), json!(NOW as f64 + 0.5)),
        refused("nbf behind the leeway", NOT_BEFORE, NBF, t(&format!("{}", within + 1))),
        refused("nbf a fraction behind the leeway", NOT_BEFORE, NBF, t(&format!("{within}.001"))),
        refused("nbf in the year 9999", NOT_BEFORE, NBF, t("253402300799")),
        accepted(
            "nbf missing",
            NOT_BEFORE,
            claims(json!({"nbf": null})),
            stage.jwt().no_claim("nbf"),
        ),
        refused("nbf past exp", NOT_BEFORE, NBF, t(&format!("{}", NOW + 7200))),
    ]
}

fn issued_at(stage: &Stage) -> Vec<Entry> {
    let t = |iat: &str| stage.jwt().claim("iat", iat);
    let within = NOW + LEEWAY;
    vec![
        accepted(
            "iat at the leeway's end",
            ISSUED_AT,
            claims(json!({"iat": within})),
            t(&format!("{within}")),
        ),
        accepted("iat long ago", ISSUED_AT, claims(json!({"iat": 1})), t("1")),
        accepted(
            "iat missing",
            ISSUED_AT,
            claims(json!({"iat": null})),
            stage.jwt().no_claim("iat"),
        ),
        refused("iat behind the leeway", ISSUED_AT, IAT, t(&format!("{}", within + 1))),
        refused("iat a fraction behind the leeway", ISSUED_AT, IAT, t(&format!("{within}.001"))),
        refused("iat in milliseconds", ISSUED_AT, TIME, t(&format!("{}", NOW * 1000))),
    ]
}

/// What is no number of seconds, as each of the three.
fn forms(stage: &Stage) -> Vec<Entry> {
    let no_time = [
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
    let no_json =
        ["NaN", "-Infinity", "1e999", "+1900000000", "1_900_000_000", "1900000000.", ".5e10"];
    let t = |name: &str, value: &str| stage.jwt().claim(name, value);
    let mut entries = Vec::new();
    for name in ["exp", "nbf", "iat"] {
        for value in no_time {
            entries.push(refused(format!("{name} {value}"), NUMERIC_DATE, TIME, t(name, value)));
        }
    }
    for value in no_json {
        entries.push(refused(
            format!("exp {value}"),
            "RFC 8259 section 6",
            NO_CLAIMS,
            t("exp", value),
        ));
    }
    entries
}

/// Whoever is told 403 asks for more scopes; a token that is over needs another answer, whatever else it lacks.
fn order(stage: &Stage) -> Vec<Entry> {
    const FIRST: &str = "RFC 6750 section 3.1";
    let expired = || stage.jwt().claim("exp", NOW - 60);
    let entry = |name: &str, token: Draft| refused(name, FIRST, EXPIRED, token);
    vec![
        entry("expired, and without scopes", expired().no_claim("scope")),
        entry("expired, and of another audience", expired().claim("aud", r#""https://o.example""#)),
        entry("expired, and without a subject", expired().no_claim("sub")),
        entry("expired, and of a machine", expired().claim("sub", r#""mch_1""#)),
        entry("expired, and not valid yet", expired().claim("nbf", NOW + 60)),
        refused("not valid yet, and without scopes", FIRST, NBF, {
            stage.jwt().claim("nbf", NOW + 60).no_claim("scope")
        }),
        refused(
            "expired, and of another issuer",
            FIRST,
            super::entry::ISSUER,
            expired().claim("iss", r#""https://clerk.other.example""#),
        ),
        refused(
            "expired, and of a foreign key",
            FIRST,
            super::entry::SIGNATURE,
            expired().signed(|input| super::keys::foreign().rs256(input)),
        ),
        narrow(
            "in its last second, and without scopes",
            FIRST,
            json!({"expiresAt": NOW - 4, "scopes": []}),
            stage.jwt().claim("exp", NOW - 4).no_claim("scope"),
        ),
    ]
}
