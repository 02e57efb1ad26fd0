//! The audit hook: called once for each request, with the final decision.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, RequestBody, Requirement, StepUp};
use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost};
use clerk_mcp_tools::response::{Decision, RejectionFormat};
use clerk_mcp_tools::testing::FakeOrganization;
use clerk_mcp_tools::{AccessPolicy, AuthInfo, AuthLayer, ClerkMcpBuilder};
use futures_util::FutureExt;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, service_fn};

use super::{bearer, builder, call_of, post, scopes, token};
use crate::support::{
    Fixture, RESOURCE, TestService, collect_responses, guarded, request, resource, send,
};

/// The decisions, each as a line.
#[derive(Clone, Default)]
struct Decisions(Arc<Mutex<Vec<String>>>);

impl Decisions {
    fn hook(&self) -> impl Fn(&Decision<'_>) + Send + Sync + 'static {
        let lines = Arc::clone(&self.0);
        move |decision| lines.lock().unwrap().push(line(decision))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn line(decision: &Decision<'_>) -> String {
    assert_eq!(decision.is_admitted(), decision.rejection().is_none());
    assert_eq!(decision.reason(), decision.rejection().map(|rejection| rejection.reason()));
    let operations: Vec<_> = decision
        .operations()
        .iter()
        .map(|one| format!("{} {}", one.method(), one.name().unwrap_or("-")))
        .collect();
    format!(
        "{} {} {} {operations:?} {} {}",
        decision.reason().map_or("admitted", |reason| reason.as_str()),
        decision.caller().and_then(AuthInfo::client_id).unwrap_or("-"),
        decision.token_type().map_or("-", |token_type| token_type.as_str()),
        decision.missing_scopes().map_or("-".to_owned(), |scopes| format!("<{scopes}>")),
        decision.resource().map_or("-", |resource| resource.as_str()),
    )
}

/// A line about the client of the tests.
fn of_client(reason: &str, operations: &str, missing: &str) -> String {
    format!("{reason} client_1 oauth_token [{operations}] {missing} {RESOURCE}")
}

#[tokio::test]
async fn the_hook_is_called_once_for_each_request() {
    let fixture = Fixture::new().await;
    let full = bearer(&token(&fixture, "profile email"));
    let few = bearer(&token(&fixture, "profile"));
    let (read, delete) = (call_of("read"), call_of("delete"));
    let named = [("mcp-method", "tools/call"), ("mcp-name", "x")];
    let with = |credentials: &str, body: &str| post(&[("authorization", credentials)], body);
    let get = |credentials: &str| request(Method::GET, "/mcp", &[("authorization", credentials)]);
    let preflight = [
        ("origin", "https://page.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    let rows: Vec<(Request<Full<Bytes>>, Option<String>)> = vec![
        (with(&full, &read), Some(of_client("admitted", "\"tools/call read\"", "-"))),
        // The second time, the token is known.
        (with(&full, &read), Some(of_client("admitted", "\"tools/call read\"", "-"))),
        (
            with(&full, r#"[{"method":"tools/list"},{"method":"ping"}]"#),
            Some(of_client("admitted", "\"tools/list -\", \"ping -\"", "-")),
        ),
        (get(&full), Some(of_client("admitted", "", "-"))),
        (
            with(&full, &delete),
            Some(of_client(
                "insufficient_scope",
                "\"tools/call delete\"",
                "<files:write files:admin>",
            )),
        ),
        (with(&full, &call_of("x")), Some(of_client("operation_denied", "\"tools/call x\"", "-"))),
        (with(&full, "{"), Some(of_client("parse_error", "", "-"))),
        (post(&[], &read), Some(format!("missing_token - - [] - {RESOURCE}"))),
        (post(&named, &read), Some(format!("missing_token - - [\"tools/call x\"] - {RESOURCE}"))),
        (with("Bearer a b", &read), Some(format!("malformed_token - - [] - {RESOURCE}"))),
        (request(Method::OPTIONS, "/mcp", &preflight), None),
    ];
    let decisions = Decisions::default();
    let clerk = builder(&fixture).on_decision(decisions.hook()).build().unwrap();
    let joined = guarded(clerk.auth_layer());
    let (outer, inner) = clerk.auth_layer().into_parts();
    let one_by_one = guarded(tower::layer::util::Stack::new(inner, outer));
    for (request, expected) in rows {
        for service in [&joined, &one_by_one] {
            send(service, request.clone()).await;
            let expected: Vec<String> = expected.clone().into_iter().collect();
            assert_eq!(decisions.take(), expected, "{request:?}");
        }
    }
    // Only where the layers are joined, the body is read of a request whose token lacks a scope.
    for (service, operations) in [(&joined, "\"tools/call delete\""), (&one_by_one, "")] {
        send(service, with(&few, &delete)).await;
        assert_eq!(decisions.take(), [of_client("insufficient_scope", operations, "<email>")]);
    }
}

#[tokio::test]
async fn a_rejection_as_a_tool_result_is_one_decision() {
    let fixture = Fixture::new().await;
    let decisions = Decisions::default();
    let clerk = builder(&fixture)
        .rejection_format(RejectionFormat::ToolResult)
        .on_decision(decisions.hook())
        .build()
        .unwrap();
    let service = guarded(clerk.auth_layer());
    let response = send(&service, post(&[], &call_of("read"))).await;
    assert_eq!(response.status, 200);
    assert_eq!(decisions.take(), [format!("missing_token - - [] - {RESOURCE}")]);
}

#[tokio::test]
async fn without_rules_the_hook_sees_the_operations_of_the_body() {
    let fixture = Fixture::new().await;
    let decisions = Decisions::default();
    let clerk = fixture.clerk_mcp_builder().on_decision(decisions.hook()).build().unwrap();
    let service = guarded(clerk.auth_layer());
    let full = bearer(&token(&fixture, "profile email"));
    let lying = [("authorization", full.as_str()), ("mcp-method", "tools/list")];
    for (headers, body, operations) in [
        (&lying[..1], call_of("x"), "\"tools/call x\""),
        (&lying[..1], "no message".to_owned(), ""),
        // Headers that contradict the body are not taken for what runs.
        (&lying[..], call_of("x"), ""),
    ] {
        assert_eq!(send(&service, post(headers, &body)).await.status, 200);
        assert_eq!(decisions.take(), [of_client("admitted", operations, "-")], "{body}");
    }
}

#[tokio::test]
async fn the_hook_of_a_bearer_layer_alone() {
    let fixture = Fixture::new().await;
    let decisions = Decisions::default();
    let hosts = ResourcesByHost::new([RESOURCE, "https://b.example/mcp"]).unwrap();
    let layer = BearerAuthLayer::with_resolver(fixture.verifier(), hosts)
        .optional()
        .on_decision(decisions.hook());
    let service = guarded(layer);
    let full = bearer(&token(&fixture, "profile"));
    let rows = [
        (vec![("authorization", full.as_str()), ("host", "mcp.example.com")], {
            of_client("admitted", "", "-")
        }),
        (vec![("host", "b.example")], "admitted - - [] - https://b.example/mcp".to_owned()),
        (vec![("host", "c.example")], "unknown_host - - [] - -".to_owned()),
    ];
    for (headers, expected) in rows {
        send(&service, post(&headers, "")).await;
        assert_eq!(decisions.take(), [expected], "{headers:?}");
    }
}

#[tokio::test]
async fn layers_that_are_joined_later_decide_once() {
    let fixture = Fixture::new().await;
    let decisions = Decisions::default();
    let policy =
        AccessPolicy::baseline_by_default().tool("delete", scopes("files:write")).build().unwrap();
    let layer = AuthLayer::new(
        BearerAuthLayer::new(fixture.verifier(), resource()),
        AccessPolicyLayer::new(policy, resource()),
    );
    let service = guarded(layer.on_decision(decisions.hook()));
    let full = bearer(&token(&fixture, "profile"));
    for (tool, expected) in [
        ("x", of_client("admitted", "\"tools/call x\"", "-")),
        ("delete", of_client("insufficient_scope", "\"tools/call delete\"", "<files:write>")),
    ] {
        send(&service, post(&[("authorization", &full)], &call_of(tool))).await;
        assert_eq!(decisions.take(), [expected]);
    }
}

/// A service whose handler asks for the scopes that the header `x-needs` names, never responds to
/// `x-hangs` and panics on `x-panics`.
fn asking(layer: AuthLayer) -> TestService {
    let service = service_fn(|request: Request<RequestBody<Full<Bytes>>>| async move {
        let (parts, _) = request.into_parts();
        if parts.headers.contains_key("x-hangs") {
            std::future::pending::<()>().await;
        }
        assert!(!parts.headers.contains_key("x-panics"), "a panic that a test expects");
        if let (Some(step_up), Some(needed)) =
            (StepUp::from_parts(&parts), parts.headers.get("x-needs"))
        {
            let _ = step_up.require_scopes(&scopes(needed.to_str().unwrap()));
        }
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    collect_responses(layer.layer(service))
}

#[tokio::test]
async fn a_handler_that_asks_for_scopes_changes_the_one_decision() {
    let fixture = Fixture::new().await;
    let decisions = Decisions::default();
    let clerk =
        builder(&fixture).step_up_from_handlers().on_decision(decisions.hook()).build().unwrap();
    let mut service = asking(clerk.auth_layer());
    let full = bearer(&token(&fixture, "profile email"));
    let call = |header: &'static str| {
        post(&[("authorization", &full), (header, "email files:write")], &call_of("read"))
    };
    let read = "\"tools/call read\"";
    let admitted = || of_client("admitted", read, "-");

    assert_eq!(send(&service, call("x-nothing")).await.status, 200);
    assert_eq!(decisions.take(), [admitted()]);
    assert_eq!(send(&service, call("x-needs")).await.status, 403);
    assert_eq!(decisions.take(), [of_client("insufficient_scope", read, "<files:write>")]);

    // The client goes away, or the handler panics: it may have run.
    let hanging = service.call(call("x-hangs"));
    assert!(hanging.now_or_never().is_none());
    assert_eq!(decisions.take(), [admitted()]);
    let panicking = AssertUnwindSafe(service.call(call("x-panics"))).catch_unwind();
    assert!(panicking.await.is_err());
    assert_eq!(decisions.take(), [admitted()]);

    // What is rejected before is rejected once.
    send(&service, post(&[("authorization", &full)], &call_of("delete"))).await;
    assert_eq!(
        decisions.take(),
        [of_client("insufficient_scope", "\"tools/call delete\"", "<files:write files:admin>")]
    );
}

#[tokio::test]
async fn a_rule_about_members_is_one_decision() {
    let fixture = Fixture::new().await;
    let decisions = Decisions::default();
    let policy = AccessPolicy::baseline_by_default()
        .tool("publish", Requirement::permission("org:posts:publish"))
        .build()
        .unwrap();
    let build = |builder: ClerkMcpBuilder| {
        let builder = builder.access_policy(policy.clone()).on_decision(decisions.hook());
        asking(builder.build().unwrap().auth_layer())
    };
    let plain = build(fixture.clerk_mcp_builder());
    let stepping_up = build(fixture.clerk_mcp_builder().step_up_from_handlers());
    let acme = fixture.clerk.create_organization("Acme");
    acme.set_member(fixture.clerk.default_user_id(), "org:editor", ["org:posts:publish"]);
    let other = fixture.clerk.create_organization("Other");
    other.set_member(fixture.clerk.default_user_id(), "org:editor", ["org:posts:read"]);
    let of = |organization: &FakeOrganization| {
        let mint = fixture.clerk.mint().audience(RESOURCE).client_id("client_1");
        let mint = mint.scopes(["profile", "email", "user:org:read"]);
        bearer(&mint.organization(organization.id()).jwt())
    };
    let nobody = bearer(&token(&fixture, "profile email"));
    let rows = [
        (of(&acme), 200, "admitted", "-"),
        // Now it is known.
        (of(&acme), 200, "admitted", "-"),
        (of(&other), 403, "role_not_sufficient", "-"),
        (of(&other), 403, "role_not_sufficient", "-"),
        (nobody, 403, "insufficient_scope", "<user:org:read>"),
    ];
    for service in [&plain, &stepping_up] {
        for (credentials, status, reason, missing) in &rows {
            let request = post(&[("authorization", credentials)], &call_of("publish"));
            assert_eq!(send(service, request).await.status, *status, "{reason}");
            let expected = of_client(reason, "\"tools/call publish\"", missing);
            assert_eq!(decisions.take(), [expected]);
        }
    }
}

/// Whatever the hook does, a rejected request does not reach the service, and the next one is served.
#[tokio::test]
async fn a_hook_that_panics_ends_its_own_request_only() {
    const LARGE: usize = 40 * 1024;
    let fixture = Fixture::new().await;
    let policy =
        AccessPolicy::baseline_by_default().tool("delete", scopes("files:write")).build().unwrap();
    let served = Arc::new(AtomicUsize::new(0));
    for step_up in [false, true] {
        let policy_layer = AccessPolicyLayer::new(policy.clone(), resource());
        let policy_layer =
            if step_up { policy_layer.step_up_from_handlers() } else { policy_layer };
        let layer = AuthLayer::new(
            BearerAuthLayer::new(fixture.verifier(), resource()),
            // One large body at a time.
            policy_layer.max_total_body_bytes(LARGE),
        );
        let panics = Arc::new(AtomicBool::new(true));
        let layer = layer.on_decision({
            let panics = Arc::clone(&panics);
            move |_| assert!(!panics.load(Ordering::Relaxed), "a panic that a test expects")
        });
        let counter = Arc::clone(&served);
        let mut service =
            collect_responses(layer.layer(service_fn(move |_: Request<RequestBody<_>>| {
                counter.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
            })));
        let full = bearer(&token(&fixture, "profile"));
        let call = |credentials: &str, tool: &str| {
            let body = call_of(tool) + &" ".repeat(LARGE);
            post(&[("authorization", credentials)], &body)
        };
        let rows = [(full.as_str(), "read", 200), (&full, "delete", 403), ("Bearer a", "x", 401)];
        for (credentials, tool, status) in rows {
            panics.store(true, Ordering::Relaxed);
            served.store(0, Ordering::Relaxed);
            let request = call(credentials, tool);
            let request = AssertUnwindSafe(async { service.call(request).await }).catch_unwind();
            assert!(request.await.is_err(), "{tool}");
            // Only where the handler may reject the request, the decision comes after it.
            let is_served = usize::from(status == 200 && step_up);
            assert_eq!(served.load(Ordering::Relaxed), is_served, "{tool}");

            panics.store(false, Ordering::Relaxed);
            let response = send(&service, call(credentials, tool)).await;
            assert_eq!(response.status, status, "{tool}");
        }
    }
}

/// Such as a server inside of a gateway that uses this crate as well.
#[tokio::test]
async fn a_guarded_service_inside_of_another_decides_by_itself() {
    let fixture = Fixture::new().await;
    let [outer, inner] = [Decisions::default(), Decisions::default()];
    let guard = |decisions: &Decisions, tool: &str| {
        let policy =
            AccessPolicy::baseline_by_default().tool(tool, scopes("files:write")).build().unwrap();
        let builder = fixture.clerk_mcp_builder().access_policy(policy).step_up_from_handlers();
        builder.on_decision(decisions.hook()).build().unwrap().auth_layer()
    };
    let inside = asking(guard(&inner, "delete"));
    let service = collect_responses(guard(&outer, "write").layer(service_fn(
        move |request: Request<RequestBody<Full<Bytes>>>| {
            let mut inside = inside.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let response = inside.call(Request::from_parts(parts, Full::from(body))).await?;
                let mut copy = Response::new(Full::from(response.body));
                (*copy.status_mut(), *copy.headers_mut()) = (response.status, response.headers);
                *copy.extensions_mut() = response.extensions;
                Ok::<_, Infallible>(copy)
            }
        },
    )));
    let full = bearer(&token(&fixture, "profile email"));
    let operation = |tool: &str| format!("\"tools/call {tool}\"");
    let admitted = |tool: &str| vec![of_client("admitted", &operation(tool), "-")];
    let lacking =
        |tool: &str| vec![of_client("insufficient_scope", &operation(tool), "<files:write>")];
    let rows = [
        ("read", "x-nothing", 200, admitted("read"), admitted("read")),
        ("delete", "x-nothing", 403, admitted("delete"), lacking("delete")),
        ("write", "x-nothing", 403, lacking("write"), vec![]),
        // The handler asks the layer that is next to it.
        ("read", "x-needs", 403, admitted("read"), lacking("read")),
    ];
    for (tool, header, status, by_outer, by_inner) in rows {
        let headers = [("authorization", full.as_str()), (header, "files:write")];
        let response = send(&service, post(&headers, &call_of(tool))).await;
        assert_eq!(response.status, status, "{tool} {header}");
        assert_eq!(outer.take(), by_outer, "{tool} {header}");
        assert_eq!(inner.take(), by_inner, "{tool} {header}");
        let challenges = response.headers.get_all("www-authenticate").iter().count();
        assert_eq!(challenges, usize::from(status == 403), "{tool} {header}");
    }
}
