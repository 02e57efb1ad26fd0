//! What the token was issued for (RFC 9068 section 4, RFC 8707): this resource, by its whole name.

use serde_json::{Value, json};

use super::draft::Draft;
use super::entry::{AUD, Entry, NO_AUDIENCE, OTHER_AUDIENCE, Stage, accepted, refused};
use crate::support::RESOURCE;

const AUDIENCE: &str = "RFC 8725 section 3.9";
const SAME_URL: &str = "RFC 3986 section 6.2";
const FORM: &str = "RFC 7519 section 4.1.3";

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    [this_one, others, lists, forms].into_iter().flat_map(|table| table(stage)).collect()
}

fn for_audience(stage: &Stage, aud: Value) -> Draft {
    stage.jwt().claim("aud", aud)
}

/// Spellings of the resource that RFC 3986 makes equal.
fn this_one(stage: &Stage) -> Vec<Entry> {
    let rows = [
        ("in capitals up to its path", "HTTPS://MCP.EXAMPLE.COM/mcp"),
        ("with its host in mixed case", "https://Mcp.Example.com/mcp"),
        ("with its default port", "https://mcp.example.com:443/mcp"),
    ];
    let spelled = |(name, aud): (&str, &str)| {
        let differences = json!({"resource": aud, "extra": {"aud": [aud]}});
        accepted(format!("aud {name}"), SAME_URL, differences, for_audience(stage, json!(aud)))
    };
    rows.into_iter().map(spelled).collect()
}

const OTHERS: [(&str, &str); 38] = [
    ("of another host", "https://other.example.com/mcp"),
    ("of the host alone", "https://mcp.example.com"),
    ("of the host and a slash", "https://mcp.example.com/"),
    ("with a slash behind it", "https://mcp.example.com/mcp/"),
    ("of a path beneath it", "https://mcp.example.com/mcp/admin"),
    ("of a path that goes on", "https://mcp.example.com/mcp2"),
    ("of a path cut short", "https://mcp.example.com/mc"),
    ("with its path in capitals", "https://mcp.example.com/MCP"),
    ("with two slashes", "https://mcp.example.com//mcp"),
    ("with a step back in its path", "https://mcp.example.com/x/../mcp"),
    ("with its path percent-encoded", "https://mcp.example.com/%6Dcp"),
    ("with a query", "https://mcp.example.com/mcp?x=1"),
    ("with an empty query", "https://mcp.example.com/mcp?"),
    ("with a fragment", "https://mcp.example.com/mcp#x"),
    ("at another port", "https://mcp.example.com:8443/mcp"),
    ("at the port of http", "https://mcp.example.com:80/mcp"),
    ("at its port with a zero before it", "https://mcp.example.com:0443/mcp"),
    ("with an empty port", "https://mcp.example.com:/mcp"),
    ("with its port twice", "https://mcp.example.com:443:443/mcp"),
    ("by http", "http://mcp.example.com/mcp"),
    ("by http at the port of https", "http://mcp.example.com:443/mcp"),
    ("without a scheme", "mcp.example.com/mcp"),
    ("of any scheme", "//mcp.example.com/mcp"),
    ("with a user name", "https://user@mcp.example.com/mcp"),
    ("as the user name of another host", "https://mcp.example.com@evil.example/mcp"),
    ("that goes on as another host", "https://mcp.example.com.evil.example/mcp"),
    ("with a dot behind its host", "https://mcp.example.com./mcp"),
    ("of a host beneath it", "https://x.mcp.example.com/mcp"),
    ("in letters that look alike", "https://mcp.ex\u{430}mple.com/mcp"),
    ("with a backslash", "https://mcp.example.com\\mcp"),
    ("with a space before it", " https://mcp.example.com/mcp"),
    ("with a space behind it", "https://mcp.example.com/mcp "),
    ("with a zero behind it", "https://mcp.example.com/mcp\0"),
    ("with another behind a space", "https://mcp.example.com/mcp https://o.example/mcp"),
    ("that is a pattern", "https://*.example.com/mcp"),
    ("that is a star", "*"),
    ("empty", ""),
    ("of the client", "client_corpus"),
];

fn others(stage: &Stage) -> Vec<Entry> {
    let other = |(name, aud): (&str, &str)| {
        refused(format!("aud {name}"), AUDIENCE, OTHER_AUDIENCE, for_audience(stage, json!(aud)))
    };
    let mut entries: Vec<Entry> = OTHERS.into_iter().map(other).collect();
    entries.extend([
        refused(
            "aud of the issuer",
            AUDIENCE,
            OTHER_AUDIENCE,
            for_audience(stage, json!(stage.issuer)),
        ),
        refused("aud missing", "RFC 8707 section 2", NO_AUDIENCE, stage.jwt().no_claim("aud")),
        refused("aud null", "RFC 8707 section 2", NO_AUDIENCE, for_audience(stage, Value::Null)),
        refused(
            "aud in another case of its name",
            "RFC 8707 section 2",
            NO_AUDIENCE,
            stage.jwt().no_claim("aud").claim("Aud", json!(RESOURCE)),
        ),
        refused("resource in place of aud", "RFC 8707 section 2", NO_AUDIENCE, {
            stage.jwt().no_claim("aud").claim("resource", json!(RESOURCE))
        }),
        refused(
            "no aud, and no scopes either",
            "RFC 6750 section 3.1",
            NO_AUDIENCE,
            stage.jwt().no_claim("aud").no_claim("scope"),
        ),
    ]);
    entries
}

fn lists(stage: &Stage) -> Vec<Entry> {
    let other = "https://other.example.com/mcp";
    let among = |name: &str, aud: &[&str], resource: &str| {
        let differences = json!({"resource": resource, "extra": {"aud": aud}});
        accepted(name, FORM, differences, for_audience(stage, json!(aud)))
    };
    let many: Vec<String> = (0..50).map(|n| format!("https://{n}.example.com/mcp")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain([RESOURCE]).collect();
    vec![
        among("aud a list of one", &[RESOURCE], RESOURCE),
        among("aud a list, first", &[RESOURCE, other], RESOURCE),
        among("aud a list, last", &[other, RESOURCE], RESOURCE),
        among("aud a list of 51, last", &many, RESOURCE),
        among("aud a list with an empty text", &["", RESOURCE], RESOURCE),
        among("aud a list, twice", &[RESOURCE, "https://mcp.example.com:443/mcp"], RESOURCE),
        refused(
            "aud a list of others",
            AUDIENCE,
            OTHER_AUDIENCE,
            for_audience(stage, json!([other, "*"])),
        ),
        refused("aud an empty list", AUDIENCE, NO_AUDIENCE, for_audience(stage, json!([]))),
        refused(
            "aud a list of an empty text",
            AUDIENCE,
            OTHER_AUDIENCE,
            for_audience(stage, json!([""])),
        ),
        refused(
            "aud a list of the resource in two",
            AUDIENCE,
            OTHER_AUDIENCE,
            for_audience(stage, json!(["https://mcp.example.com", "/mcp"])),
        ),
    ]
}

fn forms(stage: &Stage) -> Vec<Entry> {
    let rows = [
        json!(1),
        json!(true),
        json!({}),
        json!({"0": RESOURCE}),
        json!([[RESOURCE]]),
        json!([RESOURCE, 1]),
        json!([RESOURCE, null]),
        json!([{"aud": RESOURCE}]),
    ];
    rows.into_iter()
        .map(|aud| refused(format!("aud {aud}"), FORM, AUD, for_audience(stage, aud)))
        .collect()
}
