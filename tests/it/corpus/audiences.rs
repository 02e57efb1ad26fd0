//! The audience (RFC 9068 section 4, RFC 8707): the token must name exactly this resource.

use serde_json::{Value, json};

use super::entry::{
    Entry, INVALID_AUD, MISSING_AUDIENCE, TokenParams, WRONG_AUDIENCE, accepted, rejected,
};
use super::jwt_builder::JwtBuilder;
use crate::support::RESOURCE;

const AUDIENCE: &str = "RFC 8725 section 3.9";
const SAME_URL: &str = "RFC 3986 section 6.2";
const FORM: &str = "RFC 7519 section 4.1.3";

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    [equivalent_urls, other_urls, lists, invalid_types]
        .into_iter()
        .flat_map(|table| table(params))
        .collect()
}

fn for_audience(params: &TokenParams, aud: Value) -> JwtBuilder {
    params.jwt().claim("aud", aud)
}

/// Forms of the resource URL that RFC 3986 makes equivalent.
fn equivalent_urls(params: &TokenParams) -> Vec<Entry> {
    let rows = [
        ("with scheme and host in upper case", "HTTPS://MCP.EXAMPLE.COM/mcp"),
        ("with its host in mixed case", "https://Mcp.Example.com/mcp"),
        ("with its default port", "https://mcp.example.com:443/mcp"),
    ];
    let equivalent = |(name, aud): (&str, &str)| {
        let differences = json!({"resource": aud, "extra": {"aud": [aud]}});
        accepted(format!("aud {name}"), SAME_URL, differences, for_audience(params, json!(aud)))
    };
    rows.into_iter().map(equivalent).collect()
}

const OTHER_URLS: [(&str, &str); 38] = [
    ("of another host", "https://other.example.com/mcp"),
    ("of the host alone", "https://mcp.example.com"),
    ("of the host with a slash", "https://mcp.example.com/"),
    ("with a trailing slash", "https://mcp.example.com/mcp/"),
    ("of a path below it", "https://mcp.example.com/mcp/admin"),
    ("of a longer path", "https://mcp.example.com/mcp2"),
    ("of a shorter path", "https://mcp.example.com/mc"),
    ("with its path in upper case", "https://mcp.example.com/MCP"),
    ("with a double slash", "https://mcp.example.com//mcp"),
    ("with .. in its path", "https://mcp.example.com/x/../mcp"),
    ("with its path percent-encoded", "https://mcp.example.com/%6Dcp"),
    ("with a query", "https://mcp.example.com/mcp?x=1"),
    ("with an empty query", "https://mcp.example.com/mcp?"),
    ("with a fragment", "https://mcp.example.com/mcp#x"),
    ("at another port", "https://mcp.example.com:8443/mcp"),
    ("at the default port of http", "https://mcp.example.com:80/mcp"),
    ("at its port with a leading zero", "https://mcp.example.com:0443/mcp"),
    ("with an empty port", "https://mcp.example.com:/mcp"),
    ("with two ports", "https://mcp.example.com:443:443/mcp"),
    ("with the http scheme", "http://mcp.example.com/mcp"),
    ("with the http scheme at port 443", "http://mcp.example.com:443/mcp"),
    ("without a scheme", "mcp.example.com/mcp"),
    ("relative to the scheme", "//mcp.example.com/mcp"),
    ("with a user name", "https://user@mcp.example.com/mcp"),
    ("as the user info of another host", "https://mcp.example.com@evil.example/mcp"),
    ("as a prefix of another host", "https://mcp.example.com.evil.example/mcp"),
    ("with a trailing dot after its host", "https://mcp.example.com./mcp"),
    ("of a subdomain", "https://x.mcp.example.com/mcp"),
    ("with a homoglyph in its host", "https://mcp.ex\u{430}mple.com/mcp"),
    ("with a backslash", "https://mcp.example.com\\mcp"),
    ("with a leading space", " https://mcp.example.com/mcp"),
    ("with a trailing space", "https://mcp.example.com/mcp "),
    ("with a trailing NUL", "https://mcp.example.com/mcp\0"),
    ("followed by another URL", "https://mcp.example.com/mcp https://o.example/mcp"),
    ("that is a wildcard host", "https://*.example.com/mcp"),
    ("that is an asterisk", "*"),
    ("that is empty", ""),
    ("that is the client id", "client_corpus"),
];

fn other_urls(params: &TokenParams) -> Vec<Entry> {
    let other = |(name, aud): (&str, &str)| {
        rejected(format!("aud {name}"), AUDIENCE, WRONG_AUDIENCE, for_audience(params, json!(aud)))
    };
    let mut entries: Vec<Entry> = OTHER_URLS.into_iter().map(other).collect();
    entries.extend([
        rejected(
            "aud that is the issuer",
            AUDIENCE,
            WRONG_AUDIENCE,
            for_audience(params, json!(params.issuer)),
        ),
        rejected(
            "aud missing",
            "RFC 8707 section 2",
            MISSING_AUDIENCE,
            params.jwt().without_claim("aud"),
        ),
        rejected(
            "aud null",
            "RFC 8707 section 2",
            MISSING_AUDIENCE,
            for_audience(params, Value::Null),
        ),
        rejected(
            "Aud in place of aud",
            "RFC 8707 section 2",
            MISSING_AUDIENCE,
            params.jwt().without_claim("aud").claim("Aud", json!(RESOURCE)),
        ),
        rejected("resource in place of aud", "RFC 8707 section 2", MISSING_AUDIENCE, {
            params.jwt().without_claim("aud").claim("resource", json!(RESOURCE))
        }),
        rejected(
            "no aud and no scope",
            "RFC 6750 section 3.1",
            MISSING_AUDIENCE,
            params.jwt().without_claim("aud").without_claim("scope"),
        ),
    ]);
    entries
}

fn lists(params: &TokenParams) -> Vec<Entry> {
    let other = "https://other.example.com/mcp";
    let among = |name: &str, aud: &[&str], resource: &str| {
        let differences = json!({"resource": resource, "extra": {"aud": aud}});
        accepted(name, FORM, differences, for_audience(params, json!(aud)))
    };
    let many: Vec<String> = (0..50).map(|n| format!("https://{n}.example.com/mcp")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain([RESOURCE]).collect();
    vec![
        among("aud a list of one URL", &[RESOURCE], RESOURCE),
        among("aud a list with the resource first", &[RESOURCE, other], RESOURCE),
        among("aud a list with the resource last", &[other, RESOURCE], RESOURCE),
        among("aud a list of 51 URLs with the resource last", &many, RESOURCE),
        among("aud a list with an empty string", &["", RESOURCE], RESOURCE),
        among(
            "aud a list with the resource twice",
            &[RESOURCE, "https://mcp.example.com:443/mcp"],
            RESOURCE,
        ),
        rejected(
            "aud a list of other values",
            AUDIENCE,
            WRONG_AUDIENCE,
            for_audience(params, json!([other, "*"])),
        ),
        rejected("aud an empty list", AUDIENCE, MISSING_AUDIENCE, for_audience(params, json!([]))),
        rejected(
            "aud a list of an empty string",
            AUDIENCE,
            WRONG_AUDIENCE,
            for_audience(params, json!([""])),
        ),
        rejected(
            "aud a list with the resource split in two",
            AUDIENCE,
            WRONG_AUDIENCE,
            for_audience(params, json!(["https://mcp.example.com", "/mcp"])),
        ),
    ]
}

fn invalid_types(params: &TokenParams) -> Vec<Entry> {
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
        .map(|aud| rejected(format!("aud {aud}"), FORM, INVALID_AUD, for_audience(params, aud)))
        .collect()
}
