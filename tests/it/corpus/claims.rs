//! Who issued the token, for whom, and by way of which client (RFC 9068 section 2.2).

use serde_json::{Value, json};

use super::entry::{
    ACT, Entry, ISSUER, NO_CLAIMS, NO_CLIENT, NO_SUB, Stage, TEXT, accepted, refused, usual,
};

const ISS: &str = "RFC 9068 section 4";
const SUB: &str = "RFC 7519 section 4.1.2";
const CLIENT_ID: &str = "RFC 8693 section 4.3";
const UNIQUE: &str = "RFC 7519 section 4";
const ACTOR: &str = "RFC 8693 section 4.1";
const ORG_ID: &str = "Clerk: org_id is the organization's id, where user:org:read was granted";

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    [issuers, subjects, clients, organizations, actors, bad_actors, twice, twice_within, others]
        .into_iter()
        .flat_map(|table| table(stage))
        .collect()
}

/// Byte by byte: each of these is somebody else.
fn issuers(stage: &Stage) -> Vec<Entry> {
    let issuer = stage.issuer.as_str();
    let (scheme, authority) = issuer.split_once("://").unwrap();
    let (host, port) = authority.rsplit_once(':').unwrap();
    let t = |iss: Value| stage.jwt().claim("iss", iss);
    let rows = [
        ("iss of another instance", json!("https://clerk.other.example")),
        ("iss that can be called", json!(stage.trap)),
        ("iss with a slash", json!(format!("{issuer}/"))),
        ("iss with a path", json!(format!("{issuer}/oauth"))),
        ("iss with a query", json!(format!("{issuer}?"))),
        ("iss with a fragment", json!(format!("{issuer}#"))),
        (
            "iss with its scheme in capitals",
            json!(format!("{}://{authority}", scheme.to_uppercase())),
        ),
        ("iss by https", json!(format!("https://{authority}"))),
        ("iss without a scheme", json!(authority)),
        ("iss without its port", json!(format!("{scheme}://{host}"))),
        ("iss at another port", json!(format!("{scheme}://{host}:1{port}"))),
        ("iss by another name of the host", json!(format!("{scheme}://localhost:{port}"))),
        ("iss with a user name", json!(format!("{scheme}://user@{authority}"))),
        ("iss as the user name of another host", json!(format!("{issuer}@evil.example"))),
        ("iss that goes on as another host", json!(format!("{issuer}.evil.example"))),
        ("iss with a space before it", json!(format!(" {issuer}"))),
        ("iss with a line end behind it", json!(format!("{issuer}\n"))),
        ("iss with a zero behind it", json!(format!("{issuer}\0"))),
        ("iss cut short", json!(issuer[..issuer.len() - 1])),
        ("iss in a list", json!([issuer])),
        ("iss in an object", json!({"iss": issuer})),
        ("iss empty", json!("")),
        ("iss null", Value::Null),
        ("iss true", json!(true)),
    ];
    let mut entries: Vec<Entry> =
        rows.into_iter().map(|(name, iss)| refused(name, ISS, ISSUER, t(iss))).collect();
    entries.extend([
        refused("iss missing", ISS, ISSUER, stage.jwt().no_claim("iss")),
        refused("iss in another case of its name", ISS, ISSUER, {
            stage.jwt().no_claim("iss").claim("Iss", json!(issuer))
        }),
        accepted("iss with its slashes escaped", "RFC 8259 section 7", usual(), {
            stage.jwt().claim("iss", json!(issuer).to_string().replace('/', "\\/"))
        }),
    ]);
    entries
}

fn subjects(stage: &Stage) -> Vec<Entry> {
    let t = |sub: &str| stage.jwt().claim("sub", sub);
    let no_text = |sub: &str| refused(format!("sub {sub}"), SUB, TEXT, t(sub));
    let mut entries: Vec<Entry> =
        [r#""""#, "1", "true", r#"["user_corpus"]"#, r#"{"id":"user_corpus"}"#]
            .into_iter()
            .map(no_text)
            .collect();
    let kept = |name: &str, sub: &str| {
        accepted(name, SUB, json!({"extra": {"userId": sub}}), t(&json!(sub).to_string()))
    };
    entries.extend([
        refused("sub missing", "RFC 9068 section 2.2", NO_SUB, stage.jwt().no_claim("sub")),
        refused("sub null", "RFC 9068 section 2.2", NO_SUB, t("null")),
        kept("sub of any form", "service-1"),
        kept("sub in other letters", "user_\u{e4}\u{1d11e}"),
        kept("sub that has mch_ in it", "user_mch_1"),
        kept("sub of 2,000 characters", &"u".repeat(2000)),
    ]);
    entries
}

fn clients(stage: &Stage) -> Vec<Entry> {
    let t = |client_id: &str| stage.jwt().claim("client_id", client_id);
    let no_text = |id: &str| refused(format!("client_id {id}"), CLIENT_ID, TEXT, t(id));
    let mut entries: Vec<Entry> =
        [r#""""#, "1", "false", r#"["client_corpus"]"#, "{}"].into_iter().map(no_text).collect();
    let document = "https://app.example.com/client-metadata.json";
    entries.extend([
        refused(
            "client_id missing",
            "RFC 9068 section 2.2",
            NO_CLIENT,
            stage.jwt().no_claim("client_id"),
        ),
        refused("client_id null", "RFC 9068 section 2.2", NO_CLIENT, t("null")),
        refused("azp and no client_id", "RFC 9068 section 2.2", NO_CLIENT, {
            stage.jwt().no_claim("client_id").claim("azp", r#""client_corpus""#)
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

fn organizations(stage: &Stage) -> Vec<Entry> {
    let t = |org_id: &str| stage.jwt().claim("org_id", org_id);
    let no_text = |id: &str| refused(format!("org_id {id}"), ORG_ID, TEXT, t(id));
    let mut entries: Vec<Entry> =
        [r#""""#, "1", r#"["org_1"]"#, "{}"].into_iter().map(no_text).collect();
    entries.extend([
        accepted("org_id", ORG_ID, json!({"extra": {"orgId": "org_1"}}), t(r#""org_1""#)),
        accepted("org_id null", ORG_ID, usual(), t("null")),
    ]);
    entries
}

fn actors(stage: &Stage) -> Vec<Entry> {
    let t = |act: Value| stage.jwt().claim("act", act);
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
        kept("act of three", chain(2)),
        kept("act of a hundred", chain(99)),
        accepted("act null", ACTOR, usual(), t(Value::Null)),
        accepted(
            "act with nulls in it",
            ACTOR,
            json!({"extra": {"act": {"sub": "agent"}}}),
            t(json!({"sub": "agent", "iss": null, "act": null})),
        ),
        accepted(
            "act with a member that nobody knows",
            ACTOR,
            json!({"extra": {"act": {"sub": "agent"}}}),
            t(json!({"sub": "agent", "x": 1})),
        ),
    ]
}

fn bad_actors(stage: &Stage) -> Vec<Entry> {
    let act = |act: &str| refused(format!("act {act}"), ACTOR, ACT, stage.jwt().claim("act", act));
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
    let endless = |_: String| r#"{"act":{"sub":"a","#.repeat(200);
    entries.extend([refused(
        "act without end",
        ACTOR,
        NO_CLAIMS,
        stage.jwt().claims_text(endless),
    )]);
    entries
}

/// Each claim that something hangs on, named twice: as it should be, and as an attacker would like it.
fn twice(stage: &Stage) -> Vec<Entry> {
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
            (stage.jwt().claim_again(name, json), stage.jwt().claim_before(name, json));
        entries.push(refused(format!("claim {name} again"), UNIQUE, NO_CLAIMS, again));
        entries.push(refused(format!("claim {name} before"), UNIQUE, NO_CLAIMS, before));
    }
    for (name, json) in
        [("scp", r#"["profile"]"#), ("org_id", r#""org_1""#), ("act", "null"), ("x", "1")]
    {
        let token = stage.jwt().claim_again(name, json).claim_again(name, json);
        entries.push(refused(format!("claim {name} twice"), UNIQUE, NO_CLAIMS, token));
    }
    entries.extend([
        refused("claim sub again behind an escape", UNIQUE, NO_CLAIMS, {
            stage.jwt().claim_again(r"s\u0075b", r#""user_admin""#)
        }),
        refused("claim sub again, null", UNIQUE, NO_CLAIMS, stage.jwt().claim_again("sub", "null")),
    ]);
    entries
}

/// Further in, where no rule speaks of claims, the last one counts.
fn twice_within(stage: &Stage) -> Vec<Entry> {
    let act = |name: &str, act: &str, differences: Value| {
        let differences = json!({"extra": {"act": differences}});
        accepted(name, UNIQUE, differences, stage.jwt().claim("act", act))
    };
    vec![
        act("act with two subjects", r#"{"sub":"agent","sub":"root"}"#, json!({"sub": "root"})),
        act(
            "act with two acts",
            r#"{"sub":"a","act":{"sub":"b"},"act":null}"#,
            json!({"sub": "a"}),
        ),
        accepted(
            "a name twice within a claim",
            UNIQUE,
            json!({"extra": {"claims": {"x": [{"y": 2}]}}}),
            stage.jwt().claim("x", r#"[{"y":1,"y":2}]"#),
        ),
    ]
}

fn others(stage: &Stage) -> Vec<Entry> {
    let extra = |claims: Value| json!({"extra": {"claims": claims}});
    let t = || stage.jwt();
    vec![
        accepted("a good token", "RFC 9068 section 2.2", usual(), t()),
        accepted(
            "of a client for itself",
            "RFC 9068 section 2.2",
            json!({"extra": {"userId": "client_corpus"}}),
            t().claim("sub", json!("client_corpus")),
        ),
        accepted(
            "jti missing",
            "RFC 9068 section 4",
            extra(json!({"jti": null})),
            t().no_claim("jti"),
        ),
        accepted(
            "jti no text",
            "RFC 9068 section 4",
            extra(json!({"jti": 1})),
            t().claim("jti", 1),
        ),
        accepted(
            "claims that nobody knows",
            UNIQUE,
            extra(json!({"x": {"y": [1, 2.5, "z"]}})),
            t().claim("x", r#"{"y":[1,2.5,"z"]}"#),
        ),
        accepted(
            "a claim in another case is another claim",
            UNIQUE,
            extra(json!({"SUB": "user_admin"})),
            t().claim("SUB", r#""user_admin""#),
        ),
        accepted(
            "claims named like fields of ours",
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
            "a claim of Object.prototype",
            UNIQUE,
            extra(json!({"__proto__": {"sub": "user_admin"}})),
            t().claim("__proto__", r#"{"sub":"user_admin"}"#),
        ),
    ]
}
