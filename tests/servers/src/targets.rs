//! The tools, prompts and resources of every server here, and what the policy requires of each.
//!
//! Every rule has a scope of its own, so that the scopes in a challenge tell which targets the
//! policy saw in a request. The caller has the scopes of one half of the targets.

use std::collections::BTreeSet;

use clerk_mcp_tools::access_policy::AccessPolicyBuilder;
use clerk_mcp_tools::{AccessPolicy, Scopes};
use url::Url;

/// What a server did, or was about to do, with a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ran {
    Method(String),
    Tool(String),
    Prompt(String),
    /// As the request spelled the URI.
    Resource(String),
}

/// The targets with an odd index are guarded: the caller lacks their scopes.
pub(crate) const TOOLS: [&str; 6] =
    ["list_files", "delete_file", "OPEN", "Delete_File", "open.file", "format-disk"];

pub(crate) const PROMPTS: [&str; 4] = ["summary", "salary", "Summary2", "SALARY"];

/// Templates of URIs, none of which matches what another one does.
pub(crate) const RESOURCES: [&str; 10] = [
    "file:///open/{+path}",
    "file:///vault/{+path}",
    "https://open.example/{+path}",
    "https://vault.example/{+path}",
    "users://{id}",
    "teams://{id}/notes",
    "skill://open/SKILL.md",
    "skill://vault/SKILL.md",
    "mem://open",
    "mem://vault",
];

/// Methods with a rule of their own, which adds to that of the target.
pub(crate) const METHODS: [&str; 6] = [
    "prompts/list",
    "resources/templates/list",
    "subscriptions/listen",
    "resources/subscribe",
    "acme/report",
    "acme/erase",
];

/// What a method without a rule needs; see `AccessPolicy`.
const DEFAULT: &str = "default";

const JUDGED_BY_TARGET: [&str; 3] = ["tools/call", "prompts/get", "completion/complete"];

const BASELINE: [&str; 9] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "skills/list",
    "tasks/list",
];

/// What the policies of a run do with what has no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Default {
    Deny,
    Scope,
    Baseline,
}

impl Default {
    pub(crate) const ALL: [Self; 3] = [Self::Deny, Self::Scope, Self::Baseline];
}

pub(crate) fn policy(default: Default) -> AccessPolicy {
    let builder = match default {
        Default::Deny => AccessPolicy::deny_by_default(),
        Default::Scope => AccessPolicy::scopes_by_default(scopes(&[DEFAULT.to_owned()])),
        Default::Baseline => AccessPolicy::baseline_by_default(),
    };
    with_rules(builder).build().unwrap()
}

fn with_rules(mut builder: AccessPolicyBuilder) -> AccessPolicyBuilder {
    for (index, name) in TOOLS.iter().enumerate() {
        builder = builder.tool(*name, scopes(&[scope("tool", index)]));
    }
    for (index, name) in PROMPTS.iter().enumerate() {
        builder = builder.prompt(*name, scopes(&[scope("prompt", index)]));
    }
    for (index, template) in RESOURCES.iter().enumerate() {
        builder = builder.resource(*template, scopes(&[scope("resource", index)]));
    }
    for (index, method) in METHODS.iter().enumerate() {
        builder = builder.method(*method, scopes(&[scope("method", index)]));
    }
    builder
}

fn scope(kind: &str, index: usize) -> String {
    format!("{kind}:{index}")
}

fn scopes(list: &[String]) -> Scopes {
    Scopes::parse(&list.join(" ")).unwrap()
}

/// The scopes of the half that the caller may use.
pub(crate) fn held() -> BTreeSet<String> {
    let kinds = [
        ("tool", TOOLS.len()),
        ("prompt", PROMPTS.len()),
        ("resource", RESOURCES.len()),
        ("method", METHODS.len()),
    ];
    let even = |(kind, count): (&'static str, usize)| {
        (0..count).step_by(2).map(move |index| scope(kind, index))
    };
    kinds.into_iter().flat_map(even).collect()
}

/// What the policy has to require of what a server did. A name without a target is that of nothing,
/// and needs no scope here.
pub(crate) fn required(ran: &Ran, default: Default) -> BTreeSet<String> {
    let named = |kind, names: &[&str], name: &str| {
        names.iter().position(|known| *known == name).map(|index| scope(kind, index))
    };
    match ran {
        Ran::Tool(name) => named("tool", &TOOLS, name).into_iter().collect(),
        Ran::Prompt(name) => named("prompt", &PROMPTS, name).into_iter().collect(),
        Ran::Resource(uri) => {
            readings(uri).into_iter().map(|index| scope("resource", index)).collect()
        }
        Ran::Method(method) => {
            let by_target = JUDGED_BY_TARGET.contains(&method.as_str())
                || method == "skills/get"
                || method.starts_with("resources/");
            let is_open = by_target
                || BASELINE.contains(&method.as_str())
                || method.starts_with("notifications/");
            match named("method", &METHODS, method) {
                Some(scope) => [scope].into(),
                None if default == Default::Scope && !is_open => [DEFAULT.to_owned()].into(),
                None => BTreeSet::new(),
            }
        }
    }
}

/// Returns the resources that some server may read for a URI: as it is, normalized by the WHATWG URL
/// standard, decoded, in lower case, without query, fragment and last slash, as a path of the file
/// system, and by the templates of tower-mcp and of pmcp.
pub(crate) fn readings(uri: &str) -> BTreeSet<usize> {
    let mut spellings = vec![uri.to_owned(), rfc3986(uri)];
    if let Ok(url) = Url::parse(uri) {
        let mut bare = url.clone();
        bare.set_fragment(None);
        bare.set_query(None);
        spellings.extend([url.to_string(), bare.to_string()]);
        if url.scheme() == "file"
            && let Ok(path) = url.to_file_path()
        {
            spellings.push(format!("file://{}", path.display()));
        }
        if let Some(host) = url.host_str() {
            spellings.push(format!("{}://{host}{}", url.scheme(), url.path()));
        }
    }
    let mut more = Vec::new();
    for spelling in &spellings {
        let decoded = decode(spelling);
        more.push(decode(&decoded));
        more.push(decoded);
        let without = spelling.split(['?', '#']).next().unwrap_or_default();
        more.extend([without.to_owned(), without.trim_end_matches('/').to_owned()]);
        more.push(lower_authority(without));
    }
    spellings.extend(more);
    let matching = |template: &&str| spellings.iter().any(|uri| matches(template, uri));
    RESOURCES
        .iter()
        .enumerate()
        .filter(|(_, template)| matching(template))
        .map(|(index, _)| index)
        .collect()
}

/// RFC 3986 section 6.2.2 and the default ports of 6.2.3: lower case, decoded unreserved characters,
/// no dot segments, neither user nor default port.
fn rfc3986(uri: &str) -> String {
    let mut plain = String::new();
    let mut rest = uri;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.map(char::from) {
            Some(byte) if byte.is_ascii_alphanumeric() || "-._~".contains(byte) => plain.push(byte),
            Some(byte) => plain.push_str(&format!("%{:02X}", byte as u32)),
            None => {
                plain.push('%');
                rest = after;
                continue;
            }
        }
        rest = &after[2..];
    }
    plain.push_str(rest);
    let lower = lower_authority(&plain);
    let Some((scheme, rest)) = lower.split_once("://") else {
        return lower;
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.strip_suffix(":443").unwrap_or(host);
    let mut segments = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{scheme}://{host}{slash}{}", segments.join("/"))
}

fn lower_authority(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    format!("{}://{}{path}", scheme.to_ascii_lowercase(), authority.to_ascii_lowercase())
}

fn decode(text: &str) -> String {
    let mut decoded = Vec::new();
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        let hex = bytes.get(index + 1..index + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if bytes[index] == b'%' => {
                decoded.push(byte);
                index += 3;
            }
            _ => {
                decoded.push(bytes[index]);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Matches with `{id}` as one byte or more without a slash, and `{+path}` as any string.
fn matches(template: &str, uri: &str) -> bool {
    let Some((before, rest)) = template.split_once('{') else {
        return template == uri;
    };
    let Some((name, after)) = rest.split_once('}') else {
        return false;
    };
    let Some(inside) = uri.strip_prefix(before).and_then(|uri| uri.strip_suffix(after)) else {
        return false;
    };
    !inside.is_empty() && (name.starts_with('+') || !inside.contains('/'))
}
