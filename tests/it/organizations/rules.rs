//! Rules about roles and permissions: who passes, and what the others get.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{
    AccessPolicyLayer, LookUpMembership, RequestBody, Requirement,
};
use clerk_mcp_tools::bearer_auth::{AccessToken, BearerAuthLayer};
use clerk_mcp_tools::clerk::{ApiKeys, MachineTokens, SessionTokens};
use clerk_mcp_tools::instance::MachineId;
use clerk_mcp_tools::response::RejectionFormat;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{
    AccessPolicy, AuthInfo, AuthLayer, ClerkMcp, ClerkMcpBuilder, ConfigErrorKind, Membership,
    Organization, PermissionError, Rejection, RejectionReason, Scopes, VerifyError,
};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Full;
use tower::{Layer, service_fn};

use super::{EDITOR, WRITE, acme, calls, scopes, token, with_stale};
use crate::support::{
    EchoUser, Fixture, RESOURCE, TestResponse, TestService, collect_responses, post_message,
    resource,
};

const APP: &str = "https://app.example.com";

fn policy() -> AccessPolicy {
    AccessPolicy::deny_by_default()
        .tool("open", Scopes::none())
        .tool("member", Requirement::member())
        .tool("write", Requirement::permission(WRITE))
        .tool("admin", Requirement::role("org:admin"))
        .tool("staff", Requirement::any_role(["org:admin", EDITOR]))
        .tool("both", Requirement::permission(WRITE))
        .tool("both", scopes("files:write"))
        .prompt("write", Requirement::permission(WRITE))
        .resource("files:///{id}", Requirement::permission(WRITE))
        .method("acme/do", Requirement::permission(WRITE))
        .build()
        .unwrap()
}

fn builder(fixture: &Fixture) -> ClerkMcpBuilder {
    fixture.clerk_mcp_builder().access_policy(policy())
}

pub(super) fn service(clerk: &ClerkMcp) -> TestService {
    collect_responses(clerk.auth_layer().layer(EchoUser))
}

fn tool(name: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}"}}}}"#)
}

pub(super) async fn call_tool(
    service: &TestService,
    token: Option<&str>,
    name: &str,
) -> TestResponse {
    post_message(service, token, &[], &tool(name)).await
}

fn challenge(scope: &str) -> String {
    format!(
        "Bearer error=\"insufficient_scope\", \
         error_description=\"The access token lacks a required scope\", \
         resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", \
         scope=\"{scope}\""
    )
}

fn denied(error: PermissionError) -> String {
    let message = error.description();
    format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":-32000,"message":"{message}"}}}}"#)
}

/// Asserts that the response is a 403 that no client answers with another sign-in.
#[track_caller]
fn assert_denied(response: &TestResponse, error: PermissionError, case: &str) {
    assert_eq!(response.status.as_u16(), 403, "{case}");
    assert_eq!(response.body, denied(error), "{case}");
    let headers = [
        ("access-control-allow-origin", "*"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
    ];
    response.assert_headers(headers, case);
    let rejection = response.extensions.get::<Rejection>().unwrap();
    assert_eq!(rejection.reason(), RejectionReason::Permission(error), "{case}");
}

#[tokio::test]
async fn role_and_permissions_decide_about_every_kind_of_operation() {
    let fixture = Fixture::new().await;
    let service = service(&builder(&fixture).build().unwrap());
    let user = fixture.clerk.default_user_id();
    let acme = acme(&fixture);
    let admins = fixture.clerk.create_organization("Admins");
    admins.set_member(user, "org:admin", [""; 0]);
    let other = fixture.clerk.create_organization("Other");
    use PermissionError::{NotMember, RoleNotSufficient};
    let get = |name: &str| tool(name).replace("tools/call", "prompts/get");
    let read = tool("x").replace("tools/call", "resources/read");
    let read = read.replace("\"name\":\"x\"", "\"uri\":\"files:///a\"");
    let rows = [
        (&acme, tool("open"), None),
        (&acme, tool("member"), None),
        (&acme, tool("write"), None),
        (&acme, tool("staff"), None),
        (&acme, get("write"), None),
        (&acme, read.clone(), None),
        (&acme, tool("x").replace("tools/call", "acme/do"), None),
        (&acme, tool("admin"), Some(RoleNotSufficient)),
        (&admins, tool("member"), None),
        (&admins, tool("admin"), None),
        (&admins, tool("staff"), None),
        (&admins, tool("write"), Some(RoleNotSufficient)),
        (&admins, get("write"), Some(RoleNotSufficient)),
        (&admins, read.clone(), Some(RoleNotSufficient)),
        (&admins, tool("x").replace("tools/call", "acme/do"), Some(RoleNotSufficient)),
        (&other, tool("open"), None),
        (&other, tool("member"), Some(NotMember)),
        (&other, tool("write"), Some(NotMember)),
        (&other, tool("admin"), Some(NotMember)),
        (&other, read, Some(NotMember)),
    ];
    for (organization, body, expected) in rows {
        let token = token(&fixture, organization);
        let response = post_message(&service, Some(&token), &[], &body).await;
        match expected {
            None => assert_eq!((response.status.as_u16(), response.body.as_str()), (200, user)),
            Some(error) => assert_denied(&response, error, &body),
        }
    }
    assert_eq!(calls(&fixture), 3, "one for each organization");
}

#[tokio::test]
async fn what_is_missing_decides_the_answer() {
    let fixture = Fixture::new().await;
    let service = service(&builder(&fixture).build().unwrap());
    let acme = acme(&fixture);
    let mint = |list: &str| fixture.clerk.mint().audience(RESOURCE).scopes(list.split(' '));
    let with_org = |list: &str| mint(list).organization(acme.id());
    let rows = [
        // `user:org:read` was not granted: a step-up that names it, with all the rest.
        (mint("profile email"), "member", Err("profile email user:org:read")),
        (mint("profile email"), "admin", Err("profile email user:org:read")),
        (mint("profile email"), "both", Err("profile email files:write user:org:read")),
        (mint("profile email files:write"), "both", Err("profile email files:write user:org:read")),
        (
            mint("profile email user:org:read"),
            "both",
            Err("profile email files:write user:org:read"),
        ),
        (with_org("profile email"), "both", Err("profile email files:write user:org:read")),
        // The scope of the operation first: role and permissions are not looked up.
        (with_org("profile email files:write"), "both", Ok(None)),
        (with_org("profile email"), "member", Ok(None)),
        // It was granted, and the user selected the personal account.
        (mint("profile email user:org:read"), "member", Ok(Some(PermissionError::NoOrganization))),
        (
            mint("profile email user:org:read files:write"),
            "both",
            Ok(Some(PermissionError::NoOrganization)),
        ),
    ];
    for (mint, name, expected) in rows {
        let token = mint.jwt();
        let response = call_tool(&service, Some(&token), name).await;
        match expected {
            Err(scope) => {
                assert_eq!(response.status.as_u16(), 403, "{scope}");
                assert_eq!(response.header("www-authenticate"), Some(&*challenge(scope)), "{name}");
            }
            Ok(None) => assert_eq!(response.status.as_u16(), 200, "{name}"),
            Ok(Some(error)) => assert_denied(&response, error, name),
        }
    }
    assert_eq!(calls(&fixture), 1);
}

#[tokio::test]
async fn other_credentials_are_never_asked_for_a_consent() {
    let fixture = Fixture::new().await;
    let server = fixture.clerk.create_machine("server");
    let caller = fixture.clerk.create_machine("caller");
    caller.allow_calls_to(&server);
    let verifier = fixture
        .verifier_builder()
        .accept_api_keys(ApiKeys::any_key_of_the_instance())
        .accept_machine_tokens(
            MachineTokens::for_machine(MachineId::parse(server.id()).unwrap())
                .granting(scopes("profile email")),
        )
        .accept_session_tokens(
            SessionTokens::from_authorized_parties([APP])
                .unwrap()
                .granting(scopes("profile email")),
        )
        .build()
        .unwrap();
    let service = service(&builder(&fixture).verifier(verifier).build().unwrap());
    let acme = acme(&fixture);
    let session = |organization: Option<&str>| {
        let builder = fixture.clerk.mint_session_token(APP);
        match organization {
            Some(id) => builder.organization(id).jwt(),
            None => builder.jwt(),
        }
    };
    let key = |subject: &str| {
        let key = fixture.clerk.create_api_key().subject(subject).scopes(["profile", "email"]);
        key.secret()
    };
    use PermissionError::{NoOrganization, NotUser, RoleNotSufficient};
    let rows = [
        ("a session", session(Some(acme.id())), "write", None),
        ("a session", session(Some(acme.id())), "admin", Some(RoleNotSufficient)),
        ("a session without an organization", session(None), "member", Some(NoOrganization)),
        ("a machine", caller.mint().jwt(), "member", Some(NotUser)),
        ("the key of a user", key(fixture.clerk.default_user_id()), "member", Some(NoOrganization)),
        ("the key of an organization", key(acme.id()), "member", Some(NotUser)),
    ];
    for (case, token, name, expected) in rows {
        let response = call_tool(&service, Some(&token), name).await;
        match expected {
            None => assert_eq!(response.status.as_u16(), 200, "{case} {}", response.body),
            Some(error) => assert_denied(&response, error, case),
        }
    }
    // A session token of version 2 brings role and permissions along.
    assert_eq!(calls(&fixture), 0);
}

#[tokio::test]
async fn without_a_token_the_caller_is_asked_to_sign_in_with_the_scope() {
    let fixture = Fixture::new().await;
    let service = service(&builder(&fixture).optional().build().unwrap());
    let response = call_tool(&service, None, "both").await;
    assert_eq!(response.status.as_u16(), 401);
    let challenge = response.header("www-authenticate").unwrap();
    assert!(challenge.ends_with("scope=\"profile email files:write user:org:read\""));
    assert_eq!(call_tool(&service, None, "open").await.status.as_u16(), 200);
    // One that has expired names it as well.
    let acme = acme(&fixture);
    let expired = fixture.clerk.mint().audience(RESOURCE).organization(acme.id());
    let expired = expired.expires_at(crate::support::NOW - 60).jwt();
    let response = call_tool(&service, Some(&expired), "write").await;
    assert_eq!(response.status.as_u16(), 401);
    let challenge = response.header("www-authenticate").unwrap();
    assert!(challenge.ends_with("scope=\"profile email user:org:read\""), "{challenge}");
}

#[tokio::test]
async fn an_outage_is_a_503_for_these_operations_only() {
    let fixture = Fixture::new().await;
    let service = service(&builder(&fixture).build().unwrap());
    let acme = acme(&fixture);
    let token = token(&fixture, &acme);
    fixture
        .clerk
        .fault(Route::OrganizationMemberships, Fault::Status { status: 429, retry_after: Some(9) });
    let response = call_tool(&service, Some(&token), "write").await;
    assert_eq!(response.status.as_u16(), 503);
    let body = r#"{"error":"temporarily_unavailable","error_description":"The authorization server cannot be asked at the moment"}"#;
    assert_eq!(response.body, body);
    let headers = [
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "Retry-After"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
        ("retry-after", "9"),
    ];
    response.assert_headers(headers, "429");
    let rejection = response.extensions.get::<Rejection>().unwrap();
    assert_eq!(rejection.reason(), RejectionReason::AuthorizationServerUnavailable);
    assert_eq!(call_tool(&service, Some(&token), "open").await.status.as_u16(), 200);
    fixture.clerk.heal_all();
    fixture.advance(9);
    assert_eq!(call_tool(&service, Some(&token), "write").await.status.as_u16(), 200);
}

#[tokio::test]
async fn members_do_not_notice_an_outage_if_the_server_wants_it() {
    let fixture = Fixture::new().await;
    let verifier = with_stale(fixture.verifier_builder()).build().unwrap();
    let service = service(&builder(&fixture).verifier(verifier).build().unwrap());
    let token = token(&fixture, &acme(&fixture));
    assert_eq!(call_tool(&service, Some(&token), "write").await.status.as_u16(), 200);
    fixture
        .clerk
        .fault(Route::OrganizationMemberships, Fault::Status { status: 429, retry_after: None });
    for _ in 0..59 {
        fixture.advance(10);
        assert_eq!(call_tool(&service, Some(&token), "write").await.status.as_u16(), 200);
    }
    fixture.advance(10);
    assert_eq!(call_tool(&service, Some(&token), "write").await.status.as_u16(), 503);
}

#[tokio::test]
async fn operations_without_such_a_rule_look_nothing_up() {
    let fixture = Fixture::new().await;
    let service = service(&builder(&fixture).build().unwrap());
    let token = token(&fixture, &acme(&fixture));
    let list = tool("x").replace("tools/call", "tools/list");
    for body in [tool("open"), list, "{\"method\":\"ping\"}".to_owned()] {
        assert_eq!(
            post_message(&service, Some(&token), &[], &body).await.status.as_u16(),
            200,
            "{body}"
        );
    }
    assert_eq!(calls(&fixture), 0);
}

#[tokio::test]
async fn a_batch_needs_what_all_of_its_calls_need() {
    let fixture = Fixture::new().await;
    let service = service(&builder(&fixture).build().unwrap());
    let token = token(&fixture, &acme(&fixture));
    let rows = [(["open", "write"], 200), (["write", "staff"], 200), (["write", "admin"], 403)];
    for (names, status) in rows {
        let batch = format!("[{},{}]", tool(names[0]), tool(names[1]));
        let response = post_message(&service, Some(&token), &[], &batch).await;
        assert_eq!(response.status.as_u16(), status, "{names:?}");
        if status == 403 {
            // Without an id, which a batch does not have.
            let error = denied(PermissionError::RoleNotSufficient).replace("\"id\":7,", "");
            assert_eq!(response.body, error);
        }
    }
}

/// ChatGPT reads no status of a tool call, but a tool result with a challenge would make it sign
/// in.
#[tokio::test]
async fn a_role_that_does_not_suffice_is_no_tool_result() {
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).rejection_format(RejectionFormat::ToolResult).build().unwrap();
    let service = service(&clerk);
    let acme = acme(&fixture);
    let response = call_tool(&service, Some(&token(&fixture, &acme)), "admin").await;
    assert_denied(&response, PermissionError::RoleNotSufficient, "tool result");
    let without = fixture.clerk.mint().audience(RESOURCE).jwt();
    let response = call_tool(&service, Some(&without), "admin").await;
    assert_eq!(response.status.as_u16(), 200);
    assert!(response.body.contains("profile email user:org:read"), "{}", response.body);
}

#[tokio::test]
async fn lists_follow_the_membership() {
    const TOOLS: &str = r#"{"id":1,"result":{"tools":[{"name":"open"},{"name":"write"},{"name":"admin"},{"name":"both"}]}}"#;
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).filter_lists().build().unwrap();
    let inner = service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from(TOOLS)).unwrap())
    });
    let service = collect_responses(clerk.auth_layer().layer(inner));
    let acme = acme(&fixture);
    let other = fixture.clerk.create_organization("Other");
    let without = fixture.clerk.mint().audience(RESOURCE).jwt();
    let list = tool("x").replace("tools/call", "tools/list");
    let names = async |token: &str| {
        let response = post_message(&service, Some(token), &[], &list).await;
        assert_eq!(response.status.as_u16(), 200);
        assert_eq!(response.header("vary"), Some("Authorization"));
        let message: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        let tools = message["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&token(&fixture, &acme)).await, ["open", "write"]);
    assert_eq!(names(&token(&fixture, &other)).await, ["open"]);
    assert_eq!(names(&without).await, ["open"]);
    assert_eq!(calls(&fixture), 2);
    // A list protects nothing: in an outage it shows what its caller may perhaps use.
    fixture.clerk.fault(Route::OrganizationMemberships, Fault::Down);
    fixture.advance(30);
    assert_eq!(names(&token(&fixture, &other)).await, ["open", "write", "admin"]);
    assert_eq!(names(&without).await, ["open"]);
}

#[tokio::test]
async fn a_server_without_tower_gets_the_same_answers() {
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).build().unwrap();
    let acme = acme(&fixture);
    let service = service(&clerk);
    let mint = || fixture.clerk.mint().audience(RESOURCE);
    for (token, name) in [
        (token(&fixture, &acme), "write"),
        (token(&fixture, &acme), "admin"),
        (token(&fixture, &acme), "both"),
        (mint().jwt(), "member"),
        (mint().jwt(), "unknown"),
    ] {
        let expected = call_tool(&service, Some(&token), name).await;
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        let caller = clerk.authenticate(&headers).await.unwrap();
        let body = tool(name);
        let outcome =
            clerk.authorize(&Method::POST, &headers, body.as_bytes(), Some(&caller)).await;
        match outcome {
            Ok(()) => assert_eq!(expected.status.as_u16(), 200, "{name}"),
            Err(rejection) => {
                let response = TestResponse::read(clerk.reject(rejection)).await;
                assert_eq!((response.status, &response.body), (expected.status, &expected.body));
                assert_eq!(response.sorted_headers(), expected.sorted_headers(), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_handler_can_require_the_same() {
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).build().unwrap();
    let acme = acme(&fixture);
    let member = super::caller(&fixture, clerk.verifier(), &acme).await;
    assert!(clerk.require(&member, Requirement::permission(WRITE)).await.is_ok());
    assert!(clerk.require(&member, scopes("profile")).await.is_ok());
    use RejectionReason::{InsufficientScope, OperationDenied, Permission};
    let rows = [
        (Requirement::role("org:admin"), Permission(PermissionError::RoleNotSufficient)),
        (Requirement::Denied, OperationDenied),
        (scopes("other").into(), InsufficientScope),
        (Requirement::member().and(&scopes("other").into()), InsufficientScope),
    ];
    for (requirement, expected) in rows {
        let rejection = clerk.require(&member, requirement.clone()).await.unwrap_err();
        assert_eq!(rejection.reason(), expected, "{requirement:?}");
    }
    let membership = clerk.membership(&member).await.unwrap();
    assert!(membership.has_permission(WRITE));
    clerk.forget_user(fixture.clerk.default_user_id());
    clerk.forget_organization(acme.id());
}

#[test]
fn rules_that_could_not_be_applied_are_errors() {
    use ConfigErrorKind::{Conflict, Invalid, Missing};
    let verifier = || {
        let api = clerk_mcp_tools::instance::FrontendApi::parse("https://clerk.example.com");
        clerk_mcp_tools::ClerkVerifier::builder().frontend_api(api.unwrap())
    };
    let with_key =
        || verifier().secret_key(clerk_mcp_tools::SecretKey::parse("sk_test_1").unwrap());
    let with_sessions = || {
        let sessions = SessionTokens::from_authorized_parties([APP]).unwrap();
        with_key().accept_session_tokens(sessions)
    };
    let permission = Requirement::permission;
    let rows = [
        (verifier(), permission(WRITE), Some((Missing, "CLERK_SECRET_KEY", "is required"))),
        (verifier(), Requirement::member(), Some((Missing, "CLERK_SECRET_KEY", "is required"))),
        (with_key(), permission(WRITE), None),
        (with_key(), permission("files:write"), Some((Invalid, "access_policy", "neither a role"))),
        (
            with_key(),
            Requirement::role("admin"),
            Some((Invalid, "access_policy", "neither a role")),
        ),
        (with_key(), permission("org:sys_memberships:read"), None),
        (
            with_sessions(),
            permission("org:sys_memberships:read"),
            Some((Conflict, "access_policy", "session tokens")),
        ),
        (with_sessions(), permission(WRITE), None),
    ];
    for (verifier, requirement, expected) in rows {
        let policy = AccessPolicy::deny_by_default().tool("a", requirement.clone());
        let built = ClerkMcp::builder()
            .resource(resource())
            .verifier(verifier.build().unwrap())
            .access_policy(policy.build().unwrap())
            .build();
        let error = built.err();
        let found = error.as_ref().map(|error| (error.kind(), error.setting()));
        assert_eq!(found, expected.map(|(kind, setting, _)| (kind, setting)), "{requirement:?}");
        if let (Some(error), Some((_, _, text))) = (error, expected) {
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}

/// Names its members by the id of the organization.
struct Staff;

#[async_trait::async_trait]
impl LookUpMembership for Staff {
    async fn look_up(&self, caller: &AuthInfo) -> Result<Membership, VerifyError> {
        tokio::time::sleep(Duration::ZERO).await;
        let organization = Organization::new("org_1").with_role("org:admin");
        Ok(match caller.user_id() {
            Some("user_1") => Membership::Member(organization),
            _ => Membership::NotMember,
        })
    }
}

#[tokio::test]
async fn members_can_be_looked_up_elsewhere_and_without_a_source_nobody_is_one() {
    let verify = |token: AccessToken| async move {
        let user = token.expose().to_owned();
        Ok(AuthInfo::for_user(user, token).org_id("org_1").build())
    };
    let policy = AccessPolicy::deny_by_default().tool("a", Requirement::role("org:admin"));
    let policy = AccessPolicyLayer::new(policy.build().unwrap(), resource());
    let bearer = || BearerAuthLayer::new(verify, resource());
    let layer = AuthLayer::new(bearer(), policy.clone().look_up_memberships(Staff));
    let service = collect_responses(layer.layer(EchoUser));
    assert_eq!(call_tool(&service, Some("user_1"), "a").await.status.as_u16(), 200);
    let response = call_tool(&service, Some("user_2"), "a").await;
    assert_denied(&response, PermissionError::NotMember, "user_2");

    let service = collect_responses(AuthLayer::new(bearer(), policy).layer(EchoUser));
    let response = call_tool(&service, Some("user_1"), "a").await;
    assert_eq!(response.status.as_u16(), 500);
    assert_eq!(response.header("www-authenticate"), None);
}

#[tokio::test]
async fn a_body_counts_as_long_as_its_request_waits() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let layer = AccessPolicyLayer::new(policy(), resource())
        .look_up_memberships(verifier.clone())
        // Besides the first 16 KiB of each.
        .max_total_body_bytes(64 * 1024);
    let layer = AuthLayer::new(BearerAuthLayer::new(verifier, resource()), layer);
    let service = collect_responses(layer.layer(EchoUser));
    let token = token(&fixture, &acme(&fixture));
    let body = format!("{}{}", tool("write"), " ".repeat(60 * 1024));
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::OrganizationMemberships, fault);
    let waiting = tokio::spawn({
        let (service, token, body) = (service.clone(), token.clone(), body.clone());
        async move { post_message(&service, Some(&token), &[], &body).await }
    });
    gate.arrived(1).await;
    assert_eq!(post_message(&service, Some(&token), &[], &body).await.status.as_u16(), 503);
    gate.open();
    assert_eq!(waiting.await.unwrap().status.as_u16(), 200);
    assert_eq!(post_message(&service, Some(&token), &[], &body).await.status.as_u16(), 200);
}

/// A client that goes away does not end the look-up that others wait for.
#[tokio::test]
async fn a_request_that_is_dropped_does_not_stop_the_others() {
    let fixture = Fixture::new().await;
    let service = service(&builder(&fixture).build().unwrap());
    let token = token(&fixture, &acme(&fixture));
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::OrganizationMemberships, fault);
    let spawn = || {
        let (service, token) = (service.clone(), token.clone());
        tokio::spawn(async move { call_tool(&service, Some(&token), "write").await })
    };
    let first = spawn();
    gate.arrived(1).await;
    let second = spawn();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.is_err());
    gate.open();
    assert_eq!(second.await.unwrap().status.as_u16(), 200);
    assert_eq!(calls(&fixture), 1);
}
