//! What was granted: `scope`, a text, or `scp`, a list, which wins where both stand.

use serde_json::{Value, json};

use super::entry::{Entry, SCOPE, SCP, Stage, accepted, narrow, refused, usual};

const SCOPE_TEXT: &str = "RFC 6749 section 3.3";
const NARROW: &str = "RFC 6750 section 3.1";
const SCP_LIST: &str = "Clerk: scp is a list and wins over scope";

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    [texts, lists, both, forms].into_iter().flat_map(|table| table(stage)).collect()
}

fn scopes(list: &[&str]) -> Value {
    json!({"scopes": list})
}

fn texts(stage: &Stage) -> Vec<Entry> {
    let t = |scope: &str| stage.jwt().claim("scope", json!(scope));
    let enough = |name: &str, scope: &str, granted: &[&str]| {
        accepted(format!("scope {name}"), SCOPE_TEXT, scopes(granted), t(scope))
    };
    let too_few = |name: &str, scope: &str, granted: &[&str]| {
        narrow(format!("scope {name}"), NARROW, scopes(granted), t(scope))
    };
    let many: Vec<String> = (0..500).map(|n| format!("s{n}")).collect();
    let all: Vec<&str> = many.iter().map(String::as_str).chain(["profile", "email"]).collect();
    vec![
        enough("in another order", "email profile", &["email", "profile"]),
        enough("with spaces around and between", "  profile   email ", &["profile", "email"]),
        enough("named twice", "profile email profile", &["profile", "email"]),
        enough(
            "and more",
            "openid profile email user:org:read",
            &["openid", "profile", "email", "user:org:read"],
        ),
        enough("and one with a quote", "profile email ad\"min", &["profile", "email"]),
        enough("and one with a backslash", "profile email ad\\min", &["profile", "email"]),
        enough(
            "and one with a control character",
            "profile email ad\u{7}min",
            &["profile", "email"],
        ),
        enough("and one in other letters", "profile email \u{e4}", &["profile", "email"]),
        enough("of 502", &all.join(" "), &all),
        too_few("of one", "profile", &["profile"]),
        too_few("empty", "", &[]),
        too_few("of spaces", "   ", &[]),
        too_few("in capitals", "PROFILE EMAIL", &["PROFILE", "EMAIL"]),
        too_few("with commas", "profile,email", &["profile,email"]),
        too_few("with plus signs", "profile+email", &["profile+email"]),
        too_few("with percent signs", "profile%20email", &["profile%20email"]),
        too_few("with a tab", "profile\temail", &[]),
        too_few("with a line end", "profile\nemail", &[]),
        too_few("with a no-break space", "profile\u{a0}email", &[]),
        too_few("with a zero", "profile email\0", &["profile"]),
        too_few("that go on", "profiles emails", &["profiles", "emails"]),
        too_few("cut short", "profil emai", &["profil", "emai"]),
        too_few("that are patterns", "* .* profile:*", &["*", ".*", "profile:*"]),
        too_few("in letters that look alike", "pr\u{43e}file email", &["email"]),
        too_few("in quotes", "\"profile email\"", &[]),
    ]
}

fn lists(stage: &Stage) -> Vec<Entry> {
    let t = |scp: Value| stage.jwt().no_claim("scope").claim("scp", scp);
    let too_few = |name: &str, scp: Value, granted: &[&str]| {
        narrow(format!("scp {name}"), SCP_LIST, scopes(granted), t(scp))
    };
    vec![
        accepted("scp", SCP_LIST, usual(), t(json!(["profile", "email"]))),
        accepted("scp named twice", SCP_LIST, usual(), t(json!(["profile", "email", "email"]))),
        accepted("scp and an empty text", SCP_LIST, usual(), t(json!(["profile", "", "email"]))),
        too_few("empty", json!([]), &[]),
        too_few("of one", json!(["email"]), &["email"]),
        too_few("with two in one text", json!(["profile email"]), &[]),
        too_few("with a quote in it", json!(["profile", "e\"mail"]), &["profile"]),
        too_few("with a space behind it", json!(["profile", "email "]), &["profile"]),
    ]
}

fn both(stage: &Stage) -> Vec<Entry> {
    let t = |scope: &str, scp: Value| stage.jwt().claim("scope", json!(scope)).claim("scp", scp);
    vec![
        accepted(
            "scp with all, scope with less",
            SCP_LIST,
            usual(),
            t("x", json!(["profile", "email"])),
        ),
        narrow(
            "scp with less, scope with all",
            SCP_LIST,
            scopes(&["profile"]),
            t("profile email", json!(["profile"])),
        ),
        narrow(
            "scp with nothing, scope with all",
            SCP_LIST,
            scopes(&[]),
            t("profile email", json!([])),
        ),
        accepted("scp null, scope with all", SCP_LIST, usual(), t("profile email", Value::Null)),
        accepted("scp with all, scope no text", SCP_LIST, usual(), {
            stage.jwt().claim("scope", 1).claim("scp", json!(["profile", "email"]))
        }),
        refused(
            "scp a text, scope with all",
            SCP_LIST,
            SCP,
            t("profile email", json!("profile email")),
        ),
        narrow("neither scp nor scope", NARROW, scopes(&[]), stage.jwt().no_claim("scope")),
        narrow("scope null", NARROW, scopes(&[]), stage.jwt().claim("scope", "null")),
        narrow(
            "scopes in place of scope",
            NARROW,
            json!({"scopes": [], "extra": {"claims": {"scopes": ["profile", "email"]}}}),
            stage.jwt().no_claim("scope").claim("scopes", json!(["profile", "email"])),
        ),
    ]
}

fn forms(stage: &Stage) -> Vec<Entry> {
    let scope = |value: &str| {
        refused(format!("scope as {value}"), SCOPE_TEXT, SCOPE, stage.jwt().claim("scope", value))
    };
    let scp = |value: &str| {
        refused(format!("scp as {value}"), SCP_LIST, SCP, stage.jwt().claim("scp", value))
    };
    let no_texts = [r#"["profile","email"]"#, "1", "true", r#"{"profile":true}"#];
    let no_lists = [
        r#""""#,
        "1",
        "true",
        "{}",
        r#"{"0":"profile","1":"email"}"#,
        r#"["profile","email",1]"#,
        r#"["profile","email",null]"#,
        r#"[["profile","email"]]"#,
    ];
    no_texts.into_iter().map(scope).chain(no_lists.into_iter().map(scp)).collect()
}
