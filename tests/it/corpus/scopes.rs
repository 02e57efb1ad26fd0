//! The granted scopes: `scope`, a string, or `scp`, a list, which takes precedence.

use serde_json::{Value, json};

use super::entry::{
    Entry, INVALID_SCOPE, INVALID_SCP, TOO_MANY_SCOPES, TokenParams, accepted, default_caller,
    insufficient_scope, rejected,
};

const SCOPE_TEXT: &str = "RFC 6749 section 3.3";
const NARROW: &str = "RFC 6750 section 3.1";
const SCP_LIST: &str = "Clerk: scp is a list and wins over scope";

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    [strings, lists, both, invalid_types].into_iter().flat_map(|table| table(params)).collect()
}

fn scopes(list: &[&str]) -> Value {
    json!({"scopes": list})
}

fn strings(params: &TokenParams) -> Vec<Entry> {
    let t = |scope: &str| params.jwt().claim("scope", json!(scope));
    let sufficient = |name: &str, scope: &str, granted: &[&str]| {
        accepted(format!("scope {name}"), SCOPE_TEXT, scopes(granted), t(scope))
    };
    let insufficient = |name: &str, scope: &str, granted: &[&str]| {
        insufficient_scope(format!("scope {name}"), NARROW, scopes(granted), t(scope))
    };
    const LIMITS: &str = "RFC 7519 section 4";
    let many: Vec<String> = (0..199).map(|n| format!("s{n}")).collect();
    let some: Vec<&str> = ["profile"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let some_and = |scope: &str| format!("{} {scope}", some[1..].join(" "));
    vec![
        sufficient("in another order", "email profile", &["email", "profile"]),
        sufficient("with extra spaces", "  profile   email ", &["profile", "email"]),
        sufficient("with a duplicate", "profile email profile", &["profile", "email"]),
        sufficient(
            "with further scopes",
            "openid profile email user:org:read",
            &["openid", "profile", "email", "user:org:read"],
        ),
        sufficient("with a quote in another scope", "profile email ad\"min", &["profile", "email"]),
        sufficient(
            "with a backslash in another scope",
            "profile email ad\\min",
            &["profile", "email"],
        ),
        sufficient(
            "with a control character in another scope",
            "profile email ad\u{7}min",
            &["profile", "email"],
        ),
        sufficient(
            "with non-ASCII letters in another scope",
            "profile email \u{e4}",
            &["profile", "email"],
        ),
        insufficient("of 200 scopes", &some.join(" "), &some),
        rejected("scope of 201 scopes", LIMITS, TOO_MANY_SCOPES, t(&some_and("profile email"))),
        rejected(
            "scope of 201 strings, two of them equal",
            LIMITS,
            TOO_MANY_SCOPES,
            t(&some_and("s0 s0")),
        ),
        rejected(
            "scope of 8,000 spaces and letters",
            LIMITS,
            TOO_MANY_SCOPES,
            t(&"a ".repeat(4000)),
        ),
        insufficient("of one scope", "profile", &["profile"]),
        insufficient("empty", "", &[]),
        insufficient("of spaces only", "   ", &[]),
        insufficient("in upper case", "PROFILE EMAIL", &["PROFILE", "EMAIL"]),
        insufficient("with commas", "profile,email", &["profile,email"]),
        insufficient("with plus signs", "profile+email", &["profile+email"]),
        insufficient("with percent signs", "profile%20email", &["profile%20email"]),
        insufficient("with a tab", "profile\temail", &[]),
        insufficient("with a line break", "profile\nemail", &[]),
        insufficient("with a no-break space", "profile\u{a0}email", &[]),
        insufficient("with a NUL", "profile email\0", &["profile"]),
        insufficient("with longer names", "profiles emails", &["profiles", "emails"]),
        insufficient("with shorter names", "profil emai", &["profil", "emai"]),
        insufficient("with wildcards", "* .* profile:*", &["*", ".*", "profile:*"]),
        insufficient("with homoglyphs", "pr\u{43e}file email", &["email"]),
        insufficient("in quotes", "\"profile email\"", &[]),
    ]
}

fn lists(params: &TokenParams) -> Vec<Entry> {
    let t = |scp: Value| params.jwt().without_claim("scope").claim("scp", scp);
    let insufficient = |name: &str, scp: Value, granted: &[&str]| {
        insufficient_scope(format!("scp {name}"), SCP_LIST, scopes(granted), t(scp))
    };
    vec![
        accepted("scp", SCP_LIST, default_caller(), t(json!(["profile", "email"]))),
        accepted(
            "scp with a duplicate",
            SCP_LIST,
            default_caller(),
            t(json!(["profile", "email", "email"])),
        ),
        accepted(
            "scp with an empty string",
            SCP_LIST,
            default_caller(),
            t(json!(["profile", "", "email"])),
        ),
        insufficient("empty", json!([]), &[]),
        insufficient("of one scope", json!(["email"]), &["email"]),
        insufficient("with two scopes in one string", json!(["profile email"]), &[]),
        insufficient("with a quote in a scope", json!(["profile", "e\"mail"]), &["profile"]),
        insufficient(
            "with a trailing space in a scope",
            json!(["profile", "email "]),
            &["profile"],
        ),
    ]
}

fn both(params: &TokenParams) -> Vec<Entry> {
    let t = |scope: &str, scp: Value| params.jwt().claim("scope", json!(scope)).claim("scp", scp);
    vec![
        accepted(
            "sufficient scp, insufficient scope",
            SCP_LIST,
            default_caller(),
            t("x", json!(["profile", "email"])),
        ),
        insufficient_scope(
            "insufficient scp, sufficient scope",
            SCP_LIST,
            scopes(&["profile"]),
            t("profile email", json!(["profile"])),
        ),
        insufficient_scope(
            "empty scp, sufficient scope",
            SCP_LIST,
            scopes(&[]),
            t("profile email", json!([])),
        ),
        accepted(
            "scp null, sufficient scope",
            SCP_LIST,
            default_caller(),
            t("profile email", Value::Null),
        ),
        accepted("sufficient scp, scope not a string", SCP_LIST, default_caller(), {
            params.jwt().claim("scope", 1).claim("scp", json!(["profile", "email"]))
        }),
        rejected(
            "scp a string, sufficient scope",
            SCP_LIST,
            INVALID_SCP,
            t("profile email", json!("profile email")),
        ),
        insufficient_scope(
            "neither scp nor scope",
            NARROW,
            scopes(&[]),
            params.jwt().without_claim("scope"),
        ),
        insufficient_scope("scope null", NARROW, scopes(&[]), params.jwt().claim("scope", "null")),
        insufficient_scope(
            "scopes in place of scope",
            NARROW,
            json!({"scopes": [], "extra": {"claims": {"scopes": ["profile", "email"]}}}),
            params.jwt().without_claim("scope").claim("scopes", json!(["profile", "email"])),
        ),
    ]
}

fn invalid_types(params: &TokenParams) -> Vec<Entry> {
    let scope = |value: &str| {
        rejected(
            format!("scope as {value}"),
            SCOPE_TEXT,
            INVALID_SCOPE,
            params.jwt().claim("scope", value),
        )
    };
    let scp = |value: &str| {
        rejected(format!("scp as {value}"), SCP_LIST, INVALID_SCP, params.jwt().claim("scp", value))
    };
    let not_strings = [r#"["profile","email"]"#, "1", "true", r#"{"profile":true}"#];
    let not_lists = [
        r#""""#,
        "1",
        "true",
        "{}",
        r#"{"0":"profile","1":"email"}"#,
        r#"["profile","email",1]"#,
        r#"["profile","email",null]"#,
        r#"[["profile","email"]]"#,
    ];
    not_strings.into_iter().map(scope).chain(not_lists.into_iter().map(scp)).collect()
}
