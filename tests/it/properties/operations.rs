//! The rules of an access policy, and the parsing of request bodies.

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, Operation, RequestBody};
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ResourceUrl, Scopes};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

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
            AccessPolicy::builder().tool(&one, scopes.clone()).default_scopes(rest.clone());
        let rules = builder.clone().build().unwrap();
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
        prop_assert_eq!(rules.required_by(&tool(&one)), more.union(&scopes));
    }

    #[test]
    fn a_trailing_asterisk_matches_any_suffix(
        prefix in "x:[a-z/]{0,6}",
        uri in "x:[a-z]{0,3}(/[a-z]{1,3}){0,2}",
    ) {
        prop_assume!(!prefix.contains("//"));
        let scope = Scopes::parse("s").unwrap();
        let rules = AccessPolicy::builder().resource(format!("{prefix}*"), scope.clone());
        let rules = rules.build().unwrap();
        let needed = rules.required_by(&Operation::new("resources/read").named(uri.clone()));
        prop_assert_eq!(needed == scope, uri.starts_with(&prefix), "{} {}", prefix, uri);
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
    let rules =
        AccessPolicy::builder().tool("guarded", Scopes::parse("s").unwrap()).build().unwrap();
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
