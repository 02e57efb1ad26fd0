//! Answers of Clerk about memberships that cannot be used.

use clerk_mcp_tools::access_policy::Requirement;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{AccessPolicy, ClerkErrorKind};
use serde_json::{Value, json};

use super::rules::{call_tool, service};
use super::{EDITOR, WRITE, acme, caller, calls, token, with_stale};
use crate::support::{Fixture, json_fault};

/// The regular answer, changed.
fn answers(fixture: &Fixture, organization: &str) -> Vec<(&'static str, Value)> {
    let entry = || {
        json!({
            "role": EDITOR,
            "permissions": [WRITE],
            "organization": {"id": organization},
            "public_user_data": {"user_id": fixture.clerk.default_user_id()},
        })
    };
    let one = |entry: Value| json!({"data": [entry], "total_count": 1});
    let with = |name: &str, value: Value| {
        let mut entry = entry();
        entry[name] = value;
        one(entry)
    };
    let mut without_permissions = entry();
    without_permissions.as_object_mut().unwrap().remove("permissions");
    vec![
        ("no permissions", one(without_permissions)),
        ("another user", with("public_user_data", json!({"user_id": "user_other"}))),
        ("another organization", with("organization", json!({"id": "org_other"}))),
        ("two entries", json!({"data": [entry(), entry()], "total_count": 2})),
        ("more than a page", json!({"data": [entry()], "total_count": 501})),
        ("an empty page of a longer list", json!({"data": [], "total_count": 1})),
        ("another object", json!({"object": "user"})),
    ]
}

#[tokio::test]
async fn each_is_an_error_that_lets_nobody_in_and_is_not_kept() {
    let fixture = Fixture::new().await;
    let acme = acme(&fixture);
    for (name, answer) in answers(&fixture, acme.id()) {
        let verifier = fixture.verifier();
        let member = caller(&fixture, &verifier, &acme).await;
        fixture.clerk.fault(Route::OrganizationMemberships, json_fault(answer.to_string()));
        let before = calls(&fixture);
        for _ in 0..2 {
            let error = verifier.membership(&member).await.unwrap_err();
            assert_eq!(error.kind(), ClerkErrorKind::InvalidResponse, "{name}");
        }
        assert_eq!(calls(&fixture) - before, 2, "{name}");
        fixture.clerk.heal_all();
        assert_eq!(verifier.membership(&member).await.unwrap().role(), Some(EDITOR), "{name}");

        // What was known is no excuse for an answer that cannot be used.
        let verifier = with_stale(fixture.verifier_builder()).build().unwrap();
        verifier.membership(&member).await.unwrap();
        fixture.clerk.fault(Route::OrganizationMemberships, json_fault(answer.to_string()));
        fixture.advance(30);
        let error = verifier.membership(&member).await.unwrap_err();
        assert_eq!(error.kind(), ClerkErrorKind::InvalidResponse, "{name}");
        fixture.clerk.heal_all();
    }
}

#[tokio::test]
async fn other_unusual_responses_are_errors_too() {
    let fixture = Fixture::new().await;
    let acme = acme(&fixture);
    let status = |status| Fault::Status { status, retry_after: None };
    use ClerkErrorKind::{InvalidResponse, Unauthorized, Unavailable};
    let rows = [
        (Fault::Truncated, Unavailable),
        (Fault::Endless, InvalidResponse),
        (Fault::Long { bytes: 1 << 20, announced: true }, InvalidResponse),
        (Fault::Redirect("https://evil.example".into()), InvalidResponse),
        // No error about an object of Clerk.
        (status(404), InvalidResponse),
        (status(400), InvalidResponse),
        (status(422), InvalidResponse),
        (status(401), Unauthorized),
        (json_fault("x"), InvalidResponse),
    ];
    for (fault, kind) in rows {
        let verifier = fixture.verifier();
        let member = caller(&fixture, &verifier, &acme).await;
        fixture.clerk.fault(Route::OrganizationMemberships, fault.clone());
        let error = verifier.membership(&member).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}");
        fixture.clerk.heal_all();
    }
}

#[tokio::test]
async fn a_request_gets_a_503_and_for_a_wrong_key_a_500() {
    let fixture = Fixture::new().await;
    let acme = acme(&fixture);
    let policy = AccessPolicy::deny_by_default().tool("write", Requirement::member());
    let clerk = fixture.clerk_mcp_builder().access_policy(policy.build().unwrap()).build().unwrap();
    let service = service(&clerk);
    let token = token(&fixture, &acme);
    let unusable = json_fault(r#"{"data":[]}"#);
    let wrong_key = Fault::Status { status: 401, retry_after: None };
    for (fault, status, code) in
        [(unusable, 503, "temporarily_unavailable"), (wrong_key, 500, "server_error")]
    {
        fixture.clerk.fault(Route::OrganizationMemberships, fault);
        let response = call_tool(&service, Some(&token), "write").await;
        assert_eq!(response.status.as_u16(), status);
        assert!(response.body.contains(&format!("\"error\":\"{code}\"")), "{}", response.body);
        assert_eq!(response.header("www-authenticate"), None);
    }
}
