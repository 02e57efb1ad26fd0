//! The rules of an access policy, and the parsing of request bodies.

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, Operation, RequestBody, Requirement};
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ResourceUrl, Scopes};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use rmcp::model::{ClientRequest, Reference};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use url::Url;

use super::{config, some_scopes};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_rule_applies_to_its_name_only(
        (one, other) in ("[a-z]{1,6}", "[A-Z_.]{1,6}"),
        (scopes, more, rest) in (some_scopes(), some_scopes(), some_scopes()),
    ) {
        let call = |name: &'static str| move |subject: &str| match name {
            "tool" => Operation::new("tools/call").named(subject.to_owned()),
            _ => Operation::new("prompts/get").named(subject.to_owned()),
        };
        let builder =
            AccessPolicy::scopes_by_default(rest.clone()).tool(&one, scopes.clone());
        let rules = builder.clone().build().unwrap();
        let both = more.union(&scopes);
        let (scopes, more, rest) =
            (Requirement::from(scopes), Requirement::from(more), Requirement::from(rest));
        let (tool, prompt) = (call("tool"), call("prompt"));
        prop_assert_eq!(rules.required_by(&tool(&one)), scopes.clone());
        prop_assert_eq!(rules.required_by(&tool(&other)), rest.clone());
        prop_assert_eq!(rules.required_by(&prompt(&one)), rest.clone());
        let builder = builder.tool(&other, more.clone()).prompt(&one, more.clone());
        let rules = builder.clone().build().unwrap();
        prop_assert_eq!(rules.required_by(&tool(&one)), scopes.clone());
        prop_assert_eq!(rules.required_by(&tool(&other)), more.clone());
        // The scopes of the method come first.
        let rules = builder.method("tools/call", more.clone()).build().unwrap();
        prop_assert_eq!(rules.required_by(&tool(&one)), Requirement::from(both));
    }

    #[test]
    fn a_trailing_asterisk_matches_any_suffix(
        prefix in "x:[a-z/]{0,6}",
        uri in "x:[a-z]{0,3}(/[a-z]{1,3}){0,2}",
    ) {
        prop_assume!(!prefix.contains("//"));
        let scope = Scopes::parse("s").unwrap();
        let rules = AccessPolicy::baseline_by_default().resource(format!("{prefix}*"), scope.clone());
        let rules = rules.build().unwrap();
        let needed = rules.required_by(&Operation::new("resources/read").named(uri.clone()));
        // A server that ignores the last slash reads both as the same resource.
        let matches = format!("{uri}/").starts_with(&prefix);
        prop_assert_eq!(needed == scope.into(), matches, "{} {}", prefix, uri);
    }

    #[test]
    fn no_spelling_of_a_guarded_uri_avoids_its_rule(uri in spellings()) {
        let scope = Scopes::parse("s").unwrap();
        let rules = AccessPolicy::baseline_by_default()
            .resource("file:///vault/secret", scope.clone())
            .resource("https://vault.example/secret/{id}", scope.clone())
            .build()
            .unwrap();
        let needed = rules.required_by(&Operation::new("resources/read").named(uri.clone()));
        prop_assert!(!is_guarded(&uri) || needed == scope.into(), "{uri:?}");
    }

    #[test]
    fn other_members_of_a_message_do_not_matter(
        name in prop_oneof![Just("guarded".to_owned()), "\\PC{0,8}"],
        arguments in json_value(),
        others in proptest::collection::vec(("[a-z_]{1,8}", json_value()), 0..4),
        first in any::<bool>(),
    ) {
        let known = ["id", "method", "params", "name", "uri", "taskId"];
        let is_other = |name: &str| !known.contains(&name);
        let others = others.into_iter().filter(|(name, _)| is_other(name));
        let others: Vec<_> =
            others.map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        let is_unique = |member| others.iter().filter(|other| *other == member).count() == 1;
        prop_assume!(others.iter().all(is_unique));
        let params = format!("{{\"arguments\":{arguments},\"name\":{}}}", json!(name));
        let mut members =
            vec!["\"method\":\"tools/call\"".to_owned(), format!("\"params\":{params}")];
        members.splice(if first { 0..0 } else { 2..2 }, others.clone());
        let body = format!(" {{{}}}\n", members.join(", "));
        let expected = if name == "guarded" { StatusCode::FORBIDDEN } else { StatusCode::OK };
        prop_assert_eq!(response(body.clone()), expected, "{}", body);
    }

    #[test]
    fn whatever_rmcp_reads_as_a_target_is_judged(body in messages_with_targets()) {
        let status = response(body.clone());
        let targets = serde_json::from_str(&body).map(targets).unwrap_or_default();
        let is_guarded = targets.iter().any(|target| GUARDED.contains(&target.as_str()));
        prop_assert!(!is_guarded || status != StatusCode::OK, "{body}");
        // What is rejected has a guarded target, may mean any, or is ambiguous.
        let is_expected = [StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN];
        prop_assert!(is_expected.contains(&status), "{body}");
    }
}

const GUARDED: [&str; 2] = ["guarded", "x:guarded"];

/// Returns the names and URIs that rmcp reads in a request.
fn targets(request: ClientRequest) -> Vec<String> {
    match request {
        ClientRequest::CompleteRequest(request) => match request.params.r#ref {
            Reference::Prompt(prompt) => vec![prompt.name],
            Reference::Resource(resource) => vec![resource.uri],
            _ => Vec::new(),
        },
        ClientRequest::SubscriptionsListenRequest(request) => {
            request.params.notifications.resource_subscriptions.unwrap_or_default()
        }
        ClientRequest::ReadResourceDirectoryRequest(request) => vec![request.params.uri],
        ClientRequest::GetSkillRequest(request) => vec![request.params.uri],
        ClientRequest::ReadResourceRequest(request) => vec![request.params.uri],
        ClientRequest::GetPromptRequest(request) => vec![request.params.name],
        ClientRequest::CallToolRequest(request) => vec![request.params.name.into_owned()],
        _ => Vec::new(),
    }
}

/// Messages of the methods with a target, most of them valid, with members in any order, twice, in
/// another case and of other types.
fn messages_with_targets() -> impl Strategy<Value = String> {
    let method = prop_oneof![
        3 => Just("completion/complete"),
        3 => Just("subscriptions/listen"),
        1 => Just("resources/directory/read"),
        1 => Just("skills/get"),
        1 => Just("resources/read"),
        1 => Just("prompts/get"),
        1 => Just("tools/call"),
    ];
    let name = || prop_oneof![Just(r#""guarded""#), Just(r#""open""#), Just(r#""gu\u0061rded""#)];
    let uri =
        || prop_oneof![Just(r#""x:guarded""#), Just(r#""x:open""#), Just(r#""x:gu\u0061rded""#)];
    let other = || prop_oneof![Just("null"), Just("1"), Just(r#"["guarded"]"#), Just("{}")];
    let member = |key: &'static str, value: BoxedStrategy<String>| {
        let spelling = prop_oneof![
            12 => Just(key.to_owned()),
            1 => Just(key.to_uppercase()),
            1 => Just(key.replacen('s', "\u{17f}", 1)),
        ];
        (spelling, value).prop_map(|(key, value)| format!("\"{key}\":{value}")).boxed()
    };
    let string = |value: BoxedStrategy<&'static str>| {
        prop_oneof![8 => value, 1 => other()].prop_map(str::to_owned).boxed()
    };
    let object = |members: Vec<BoxedStrategy<String>>| {
        let members = proptest::collection::vec(proptest::strategy::Union::new(members), 1..4);
        members.prop_map(|members| format!("{{{}}}", members.join(","))).boxed()
    };
    let kind = prop_oneof![Just(r#""ref/prompt""#), Just(r#""ref/resource""#), Just(r#""ref/x""#)];
    let reference = prop_oneof![
        8 => object(vec![
            member("type", string(kind.boxed())),
            member("name", string(name().boxed())),
            member("uri", string(uri().boxed())),
        ]),
        4 => (name(), uri(), any::<bool>()).prop_map(|(name, uri, is_prompt)| if is_prompt {
            format!(r#"{{"type":"ref/prompt","name":{name}}}"#)
        } else {
            format!(r#"{{"uri":{uri},"type":"ref/resource"}}"#)
        }),
        1 => name().prop_map(|name| format!(r#"["ref/prompt",{name}]"#)),
    ];
    let uris = proptest::collection::vec(string(uri().boxed()), 0..3);
    let uris = uris.prop_map(|uris| format!("[{}]", uris.join(",")));
    let notifications = object(vec![
        member("resourceSubscriptions", uris.boxed()),
        member("toolsListChanged", Just("true".to_owned()).boxed()),
    ]);
    let further = prop_oneof![
        member("ref", reference.clone().boxed()),
        member("notifications", notifications.clone()),
        member("name", string(name().boxed())),
        member("uri", string(uri().boxed())),
        member("taskId", string(name().boxed())),
    ];
    let own = (reference, notifications, uri(), name());
    (method, own, proptest::collection::vec(further, 0..2), any::<bool>()).prop_map(
        |(method, (reference, notifications, uri, name), mut members, own_first)| {
            let own = match method {
                "completion/complete" => {
                    format!(r#""ref":{reference},"argument":{{"name":"a","value":""}}"#)
                }
                "subscriptions/listen" => format!(r#""notifications":{notifications}"#),
                "prompts/get" | "tools/call" => format!(r#""name":{name}"#),
                _ => format!(r#""uri":{uri}"#),
            };
            members.insert(if own_first { 0 } else { members.len() }, own);
            format!(r#"{{"method":"{method}","params":{{{}}}}}"#, members.join(","))
        },
    )
}

/// Returns whether a server that parses URIs by the WHATWG standard, ignores what may be ignored,
/// and decodes once more reads a guarded resource.
fn is_guarded(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    if url.scheme() == "file" {
        let path = url.to_file_path().unwrap_or_default();
        let decoded = percent_decode(&path.to_string_lossy());
        return [path.to_string_lossy().into_owned(), decoded]
            .iter()
            .any(|path| path.trim_end_matches('/') == "/vault/secret");
    }
    let path = percent_decode(&percent_decode(url.path()));
    let id = path.strip_prefix("/secret/").map(|id| id.trim_end_matches('/'));
    url.scheme() == "https"
        && url.host_str() == Some("vault.example")
        && url.port_or_known_default() == Some(443)
        && id.is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Spellings of the guarded URIs, most of them unusual ones of the same resource.
fn spellings() -> impl Strategy<Value = String> {
    let start = prop_oneof![
        Just("file:///"),
        Just("file://localhost/"),
        Just("FILE:///"),
        Just("file:/"),
        Just("file:"),
        Just("file:\\\\\\"),
        Just("https://vault.example/"),
        Just("https://VAULT.example/"),
        Just("https://vault.example:443/"),
        Just("https://vault.example:0443/"),
        Just("https:vault.example/"),
        Just("https:///vault.example/"),
        Just("https://u:p@vault.example/"),
        Just("https://vault%2Eexample/"),
        Just("https://\u{ff56}ault.example/"),
        Just("ht\ntps://vault.example/"),
        Just(" https://vault.example/"),
    ];
    let segments = prop_oneof![Just("vault/secret"), Just("secret/1"), Just("secret/1?x=2")];
    let change = prop_oneof![
        Just(("", "")),
        Just(("secret", "%73ecret")),
        Just(("secret", "%2573ecret")),
        Just(("secret", "./secret")),
        Just(("secret", "x/../secret")),
        Just(("secret", "x/%2E%2e/secret")),
        Just(("secret", "/secret")),
        Just(("secret", "sec\tret")),
        Just(("/", "\\")),
        Just(("/", "%2F")),
        Just(("/", "%5C")),
        Just(("1", "%31")),
        Just(("1", "1%C0%AF")),
    ];
    let end = prop_oneof![Just(""), Just("/"), Just("#x"), Just("?x"), Just("/?x"), Just(" ")];
    (start, segments, proptest::collection::vec(change, 0..3), end).prop_map(
        |(start, segments, changes, end)| {
            let path = changes.iter().fold(segments.to_owned(), |path, (from, to)| {
                if from.is_empty() { path } else { path.replacen(from, to, 1) }
            });
            format!("{start}{path}{end}")
        },
    )
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{1,6}", inner, 0..3)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// The status of the response to a caller without scopes.
fn response(body: String) -> StatusCode {
    let scope = Scopes::parse("s").unwrap();
    let rules = AccessPolicy::baseline_by_default()
        .tool("guarded", scope.clone())
        .prompt("guarded", scope.clone())
        .resource("x:guarded", scope)
        .build()
        .unwrap();
    let resource = ResourceUrl::parse("https://mcp.example.com/mcp").unwrap();
    let service = AccessPolicyLayer::new(rules, resource).layer(service_fn(
        |_: Request<RequestBody<Full<Bytes>>>| async {
            Ok::<_, std::convert::Infallible>(Response::new(()))
        },
    ));
    let mut request = Request::post("/mcp").body(Full::from(body)).unwrap();
    request
        .extensions_mut()
        .insert(AuthInfo::for_user("user_1", "token".into()).client_id("client_1").build());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(service.oneshot(request)).unwrap().status()
}
