//! Issuer, subject, client, organization and actor (RFC 9068 section 2.2), and duplicate claims.

use serde_json::{Value, json};

use super::entry::{
    Entry, INVALID_ACT, INVALID_CLAIMS_JSON, INVALID_STRING, MISSING_CLIENT_ID, MISSING_SUB,
    NOT_A_USER, SENDER_CONSTRAINED, TokenParams, WRONG_ISS, accepted, default_caller, rejected,
};

const ISS: &str = "RFC 9068 section 4";
const SUB: &str = "RFC 7519 section 4.1.2";
const CLIENT_ID: &str = "RFC 8693 section 4.3";
const UNIQUE: &str = "RFC 7519 section 4";
const ACTOR: &str = "RFC 8693 section 4.1";
const ORG_ID: &str = "Clerk: org_id is the organization's id, where user:org:read was granted";

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    [
        issuers,
        subjects,
        clients,
        organizations,
        actors,
        invalid_actors,
        duplicates,
        nested_duplicates,
        confirmations,
        others,
    ]
    .into_iter()
    .flat_map(|table| table(params))
    .collect()
}

/// The issuer is compared byte by byte: each of these is another issuer.
fn issuers(params: &TokenParams) -> Vec<Entry> {
    let issuer = params.issuer.as_str();
    let (scheme, authority) = issuer.split_once("://").unwrap();
    let (host, port) = authority.rsplit_once(':').unwrap();
    let t = |iss: Value| params.jwt().claim("iss", iss);
    let rows = [
        ("iss of another instance", json!("https://clerk.other.example")),
        ("iss that accepts connections", json!(params.forbidden_origin)),
        ("iss with a slash", json!(format!("{issuer}/"))),
        ("iss with a path", json!(format!("{issuer}/oauth"))),
        ("iss with a query", json!(format!("{issuer}?"))),
        ("iss with a fragment", json!(format!("{issuer}#"))),
        (
            "iss with its scheme in upper case",
            json!(format!("{}://{authority}", scheme.to_uppercase())),
        ),
        ("iss with the https scheme", json!(format!("https://{authority}"))),
        ("iss without a scheme", json!(authority)),
        ("iss without its port", json!(format!("{scheme}://{host}"))),
        ("iss at another port", json!(format!("{scheme}://{host}:1{port}"))),
        ("iss with another name of the host", json!(format!("{scheme}://localhost:{port}"))),
        ("iss with a user name", json!(format!("{scheme}://user@{authority}"))),
        ("iss as the user info of another host", json!(format!("{issuer}@evil.example"))),
        ("iss as a prefix of another host", json!(format!("{issuer}.evil.example"))),
        ("iss with a leading space", json!(format!(" {issuer}"))),
        ("iss with a trailing line break", json!(format!("{issuer}\n"))),
        ("iss with a trailing NUL", json!(format!("{issuer}\0"))),
        ("iss without its last character", json!(issuer[..issuer.len() - 1])),
        ("iss in a list", json!([issuer])),
        ("iss in an object", json!({"iss": issuer})),
        ("iss empty", json!("")),
        ("iss null", Value::Null),
        ("iss true", json!(true)),
    ];
    let mut entries: Vec<Entry> =
        rows.into_iter().map(|(name, iss)| rejected(name, ISS, WRONG_ISS, t(iss))).collect();
    entries.extend([
        rejected("iss missing", ISS, WRONG_ISS, params.jwt().without_claim("iss")),
        rejected("Iss in place of iss", ISS, WRONG_ISS, {
            params.jwt().without_claim("iss").claim("Iss", json!(issuer))
        }),
        accepted("iss with escaped slashes", "RFC 8259 section 7", default_caller(), {
            params.jwt().claim("iss", json!(issuer).to_string().replace('/', "\\/"))
        }),
    ]);
    entries
}

fn subjects(params: &TokenParams) -> Vec<Entry> {
    let t = |sub: &str| params.jwt().claim("sub", sub);
    let invalid = |sub: &str| rejected(format!("sub {sub}"), SUB, INVALID_STRING, t(sub));
    let mut entries: Vec<Entry> =
        [r#""""#, "1", "true", r#"["user_corpus"]"#, r#"{"id":"user_corpus"}"#]
            .into_iter()
            .map(invalid)
            .collect();
    let kept = |name: &str, sub: &str| {
        accepted(name, SUB, json!({"extra": {"userId": sub}}), t(&json!(sub).to_string()))
    };
    entries.extend([
        rejected(
            "sub missing",
            "RFC 9068 section 2.2",
            MISSING_SUB,
            params.jwt().without_claim("sub"),
        ),
        rejected("sub null", "RFC 9068 section 2.2", MISSING_SUB, t("null")),
        kept("sub that contains mch_", "user_mch_1"),
        kept("sub of one character after its prefix", "user_-"),
        kept("sub of 2,000 characters", &format!("user_{}", "u".repeat(1995))),
    ]);
    // Clerk may add classes of tokens with subjects of their own.
    const USERS: &str = "Clerk: users have a sub that starts with user_";
    let other =
        |(name, sub): (&str, &str)| rejected(name, USERS, NOT_A_USER, t(&json!(sub).to_string()));
    let others = [
        ("sub without a known prefix", "service-1"),
        ("sub of an organization", "org_1"),
        ("sub of a client", "client_1"),
        ("sub of an instance", "ins_1"),
        ("sub that is only the prefix", "user_"),
        ("sub without the underscore", "user1"),
        ("sub with its prefix in upper case", "USER_1"),
        ("sub with a leading space", " user_corpus"),
        ("sub with a trailing line feed", "user_corpus\n"),
        ("sub with a NUL", "user_corpus\0"),
        ("sub with non-ASCII letters", "user_\u{e4}\u{1d11e}"),
        ("sub with a slash", "user_corpus/../user_admin"),
    ];
    entries.extend(others.into_iter().map(other));
    entries
}

fn clients(params: &TokenParams) -> Vec<Entry> {
    let t = |client_id: &str| params.jwt().claim("client_id", client_id);
    let invalid = |id: &str| rejected(format!("client_id {id}"), CLIENT_ID, INVALID_STRING, t(id));
    let mut entries: Vec<Entry> =
        [r#""""#, "1", "false", r#"["client_corpus"]"#, "{}"].into_iter().map(invalid).collect();
    let document = "https://app.example.com/client-metadata.json";
    entries.extend([
        rejected(
            "client_id missing",
            "RFC 9068 section 2.2",
            MISSING_CLIENT_ID,
            params.jwt().without_claim("client_id"),
        ),
        rejected("client_id null", "RFC 9068 section 2.2", MISSING_CLIENT_ID, t("null")),
        rejected("azp in place of client_id", "RFC 9068 section 2.2", MISSING_CLIENT_ID, {
            params.jwt().without_claim("client_id").claim("azp", r#""client_corpus""#)
        }),
        accepted(
            "client_id that is a URL",
            CLIENT_ID,
            json!({"clientId": document}),
            t(&json!(document).to_string()),
        ),
    ]);
    entries
}

fn organizations(params: &TokenParams) -> Vec<Entry> {
    let t = |org_id: &str| params.jwt().claim("org_id", org_id);
    let invalid = |id: &str| rejected(format!("org_id {id}"), ORG_ID, INVALID_STRING, t(id));
    let mut entries: Vec<Entry> =
        [r#""""#, "1", r#"["org_1"]"#, "{}"].into_iter().map(invalid).collect();
    entries.extend([
        accepted("org_id", ORG_ID, json!({"extra": {"orgId": "org_1"}}), t(r#""org_1""#)),
        accepted("org_id null", ORG_ID, default_caller(), t("null")),
    ]);
    entries
}

fn actors(params: &TokenParams) -> Vec<Entry> {
    let t = |act: Value| params.jwt().claim("act", act);
    let kept = |name: &str, act: Value| {
        accepted(name, ACTOR, json!({"extra": {"act": act.clone()}}), t(act))
    };
    let chain = |depth: usize| {
        (0..depth).fold(
            json!({"sub": "agent"}),
            |act, n| json!({"sub": format!("agent_{n}"), "act": act}),
        )
    };
    vec![
        kept("act", json!({"sub": "agent"})),
        kept("act with its issuer", json!({"sub": "agent", "iss": "https://i.example"})),
        kept("act chain of three", chain(2)),
        kept("act chain of ten", chain(9)),
        accepted("act null", ACTOR, default_caller(), t(Value::Null)),
        accepted(
            "act with null members",
            ACTOR,
            json!({"extra": {"act": {"sub": "agent"}}}),
            t(json!({"sub": "agent", "iss": null, "act": null})),
        ),
        accepted(
            "act with an unknown member",
            ACTOR,
            json!({"extra": {"act": {"sub": "agent"}}}),
            t(json!({"sub": "agent", "x": 1})),
        ),
    ]
}

fn invalid_actors(params: &TokenParams) -> Vec<Entry> {
    let act = |act: &str| {
        rejected(format!("act {act}"), ACTOR, INVALID_ACT, params.jwt().claim("act", act))
    };
    let rows = [
        r#""agent""#,
        "1",
        "true",
        "[]",
        r#"["agent"]"#,
        r#"["agent","https://i.example",null]"#,
        r#"[{"sub":"agent"}]"#,
        "{}",
        r#"{"sub":null}"#,
        r#"{"sub":""}"#,
        r#"{"sub":1}"#,
        r#"{"sub":["agent"]}"#,
        r#"{"iss":"https://i.example"}"#,
        r#"{"sub":"agent","iss":1}"#,
        r#"{"sub":"agent","act":"root"}"#,
        r#"{"sub":"agent","act":{}}"#,
        r#"{"sub":"agent","act":["root"]}"#,
        r#"{"sub":"agent","act":{"sub":"b","act":[]}}"#,
    ];
    let mut entries: Vec<Entry> = rows.into_iter().map(act).collect();
    let chain = |length: usize| {
        format!(r#"{}1{}"#, r#"{"sub":"a","act":"#.repeat(length), "}".repeat(length))
    };
    for length in [11, 100] {
        let act = chain(length).replace(r#","act":1}"#, "}");
        entries.push(rejected(
            format!("act chain of {length}"),
            "RFC 8259 section 9",
            INVALID_ACT,
            params.jwt().claim("act", act),
        ));
    }
    let unclosed = |_: String| r#"{"act":{"sub":"a","#.repeat(200);
    entries.extend([rejected(
        "act 200 deep, never closed",
        ACTOR,
        INVALID_CLAIMS_JSON,
        params.jwt().map_claims_json(unclosed),
    )]);
    entries
}

/// Each claim that matters, twice: with the valid value and with one that an attacker would choose.
fn duplicates(params: &TokenParams) -> Vec<Entry> {
    let claims = [
        ("iss", r#""https://evil.example""#),
        ("sub", r#""user_admin""#),
        ("client_id", r#""client_other""#),
        ("exp", "253402300799"),
        ("nbf", "0"),
        ("iat", "0"),
        ("aud", r#"["https://o.example"]"#),
        ("scope", r#""profile email admin""#),
        ("jti", r#""x""#),
    ];
    let mut entries = Vec::new();
    for (name, json) in claims {
        let (again, before) =
            (params.jwt().append_claim(name, json), params.jwt().prepend_claim(name, json));
        entries.push(rejected(
            format!("claim {name} duplicated after"),
            UNIQUE,
            INVALID_CLAIMS_JSON,
            again,
        ));
        entries.push(rejected(
            format!("claim {name} duplicated before"),
            UNIQUE,
            INVALID_CLAIMS_JSON,
            before,
        ));
    }
    for (name, json) in
        [("scp", r#"["profile"]"#), ("org_id", r#""org_1""#), ("act", "null"), ("x", "1")]
    {
        let token = params.jwt().append_claim(name, json).append_claim(name, json);
        entries.push(rejected(
            format!("claim {name} duplicated"),
            UNIQUE,
            INVALID_CLAIMS_JSON,
            token,
        ));
    }
    entries.extend([
        rejected("claim sub duplicated with an escaped name", UNIQUE, INVALID_CLAIMS_JSON, {
            params.jwt().append_claim(r"s\u0075b", r#""user_admin""#)
        }),
        rejected(
            "claim sub duplicated with null",
            UNIQUE,
            INVALID_CLAIMS_JSON,
            params.jwt().append_claim("sub", "null"),
        ),
    ]);
    entries
}

/// Who acts for the user must be read in one way only. Within other claims duplicates are not
/// forbidden; the last one counts.
fn nested_duplicates(params: &TokenParams) -> Vec<Entry> {
    let act = |name: &str, act: &str| {
        rejected(name, UNIQUE, INVALID_CLAIMS_JSON, params.jwt().claim("act", act))
    };
    vec![
        act("act with a duplicate sub", r#"{"sub":"agent","sub":"root"}"#),
        act("act with the same sub twice", r#"{"sub":"agent","sub":"agent"}"#),
        act("act with an escaped duplicate sub", r#"{"sub":"agent","s\u0075b":"root"}"#),
        act("act with a duplicate act", r#"{"sub":"a","act":{"sub":"b"},"act":null}"#),
        act(
            "act with a duplicate sub of the prior actor",
            r#"{"sub":"a","act":{"sub":"b","sub":"c"}}"#,
        ),
        accepted(
            "a duplicate name within a claim",
            UNIQUE,
            json!({"extra": {"claims": {"x": [{"y": 2}]}}}),
            params.jwt().claim("x", r#"[{"y":1,"y":2}]"#),
        ),
    ]
}

/// A token that is bound to a key of its client is not a bearer token (RFC 7800 section 3.1).
fn confirmations(params: &TokenParams) -> Vec<Entry> {
    let cnf = |rule, cnf: &str| {
        rejected(format!("cnf {cnf}"), rule, SENDER_CONSTRAINED, params.jwt().claim("cnf", cnf))
    };
    vec![
        cnf("RFC 9449 section 6.1", r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#),
        cnf(
            "RFC 8705 section 3.1",
            r#"{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#,
        ),
        cnf("RFC 7800 section 3.1", "{}"),
        cnf("RFC 7800 section 3.1", "[]"),
        cnf("RFC 7800 section 3.1", "false"),
    ]
}

fn others(params: &TokenParams) -> Vec<Entry> {
    let extra = |claims: Value| json!({"extra": {"claims": claims}});
    let t = || params.jwt();
    vec![
        accepted("a valid token", "RFC 9068 section 2.2", default_caller(), t()),
        rejected(
            "a subject that is the client itself",
            "RFC 9068 section 2.2",
            NOT_A_USER,
            t().claim("sub", json!("client_corpus")),
        ),
        accepted(
            "jti missing",
            "RFC 9068 section 4",
            extra(json!({"jti": null})),
            t().without_claim("jti"),
        ),
        accepted(
            "jti not a string",
            "RFC 9068 section 4",
            extra(json!({"jti": 1})),
            t().claim("jti", 1),
        ),
        accepted(
            "unknown claims",
            UNIQUE,
            extra(json!({"x": {"y": [1, 2.5, "z"]}})),
            t().claim("x", r#"{"y":[1,2.5,"z"]}"#),
        ),
        accepted(
            "claim names are case-sensitive",
            UNIQUE,
            extra(json!({"SUB": "user_admin"})),
            t().claim("SUB", r#""user_admin""#),
        ),
        accepted(
            "claims named like fields of AuthInfo",
            UNIQUE,
            extra(
                json!({"userId": "user_admin", "resource": "x", "scopes": ["admin"], "token": "x"}),
            ),
            {
                let t = t().claim("userId", r#""user_admin""#).claim("resource", r#""x""#);
                t.claim("scopes", r#"["admin"]"#).claim("token", r#""x""#)
            },
        ),
        accepted(
            "a claim named __proto__",
            UNIQUE,
            extra(json!({"__proto__": {"sub": "user_admin"}})),
            t().claim("__proto__", r#"{"sub":"user_admin"}"#),
        ),
    ]
}
