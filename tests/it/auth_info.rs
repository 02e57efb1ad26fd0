//! The JSON form of `AuthInfo`, which is that of the TypeScript SDK.

use std::collections::HashSet;

use clerk_mcp_tools::{AuthInfo, PrincipalKind, Scopes};
use serde_json::json;

use crate::support::{Fixture, NOW, RESOURCE};

#[test]
fn the_minimal_json_form_is_that_of_the_typescript_sdk() {
    let caller = AuthInfo::for_user("user_1", "token".into()).client_id("client_1").build();
    let expected = json!({"token": "token", "clientId": "client_1", "scopes": [], "extra": {"userId": "user_1"}});
    assert_eq!(serde_json::to_value(caller.serde_form_with_token()).unwrap(), expected);
    assert_eq!(serde_json::from_value::<AuthInfo>(expected).unwrap(), caller);
}

#[test]
fn the_json_form_has_the_token_only_on_request() {
    let builder = || AuthInfo::for_user("user_1", "oat_secret".into()).client_id("client_1");
    let form = serde_json::to_value(builder().build()).unwrap();
    let expected = json!({"clientId": "client_1", "scopes": [], "extra": {"userId": "user_1"}});
    assert_eq!(form, expected);
    let read: AuthInfo = serde_json::from_value(form).unwrap();
    assert_eq!((read.user_id(), read.token_for_this_server().expose()), (Some("user_1"), ""));
    assert_ne!(read, builder().build());
}

#[tokio::test]
async fn the_full_json_form_round_trips() {
    let fixture = Fixture::new().await;
    let token = fixture
        .clerk
        .mint()
        .subject("user_1")
        .client_id("client_1")
        .audience(RESOURCE)
        .organization("org_1")
        .actor(json!({"sub": "agent_1"}))
        .expires_at(NOW + 60)
        .without_claim("iat")
        .without_claim("nbf")
        .claim("jti", "1")
        .jwt();
    let caller = clerk_mcp_tools::verify_clerk_token(&fixture.verifier(), &token).await.unwrap();
    let expected = json!({
        "token": token,
        "clientId": "client_1",
        "scopes": ["profile", "email"],
        "expiresAt": NOW + 60,
        "resource": RESOURCE,
        "extra": {
            "userId": "user_1",
            "orgId": "org_1",
            "issuer": fixture.clerk.issuer(),
            "act": {"sub": "agent_1"},
            "aud": [RESOURCE],
            "claims": {"jti": "1"},
        },
    });
    assert_eq!(serde_json::to_value(caller.serde_form_with_token()).unwrap(), expected);
    assert_eq!(serde_json::from_value::<AuthInfo>(expected).unwrap(), caller);
}

#[test]
fn is_found_in_the_parts_of_a_request() {
    let caller = AuthInfo::for_user("user_1", "token".into())
        .client_id("client_1")
        .scopes(Scopes::parse("a").unwrap())
        .build();
    let (mut parts, ()) = http::Request::new(()).into_parts();
    assert_eq!(AuthInfo::from_parts(&parts), None);
    parts.extensions.insert(caller.clone());
    assert_eq!(AuthInfo::from_parts(&parts), Some(&caller));
}

#[test]
fn users_organizations_and_machines_are_told_apart() {
    let token = || "token".into();
    let user = AuthInfo::for_user("user_1", token()).org_id("org_1").build();
    let organization = AuthInfo::for_organization("org_1", token()).build();
    let machine = AuthInfo::for_machine("mch_1", token()).build();
    let rows = [
        (&user, PrincipalKind::User, "user_1", Some("user_1"), Some("org_1")),
        (&organization, PrincipalKind::Organization, "org_1", None, Some("org_1")),
        (&machine, PrincipalKind::Machine, "mch_1", None, None),
    ];
    let extras = [
        json!({"userId": "user_1", "orgId": "org_1"}),
        json!({"orgId": "org_1"}),
        json!({"machineId": "mch_1"}),
    ];
    for ((caller, kind, id, user_id, org_id), extra) in rows.into_iter().zip(extras) {
        let principal = caller.principal();
        assert_eq!((principal.kind(), principal.id(), principal.issuer()), (kind, id, None));
        assert_eq!((caller.user_id(), caller.org_id()), (user_id, org_id), "{id}");
        let form = serde_json::to_value(caller.serde_form_with_token()).unwrap();
        assert_eq!(form["extra"], extra, "{id}");
        assert_eq!(serde_json::from_value::<AuthInfo>(form).unwrap(), *caller, "{id}");
    }
    let nobody = json!({"token": "token", "scopes": [], "extra": {}});
    let error = serde_json::from_value::<AuthInfo>(nobody).unwrap_err();
    assert!(error.to_string().contains("userId"), "{error}");
}

#[test]
fn a_principal_differs_by_issuer_kind_and_id() {
    let token = || "token".into();
    let callers = [
        AuthInfo::for_user("a", token()),
        AuthInfo::for_user("b", token()),
        AuthInfo::for_machine("a", token()),
        AuthInfo::for_organization("a", token()),
        AuthInfo::for_user("a", token()).issuer("https://a.example"),
        AuthInfo::for_user("a", token()).issuer("https://b.example"),
    ]
    .map(clerk_mcp_tools::AuthInfoBuilder::build);
    let keys: HashSet<_> = callers.iter().map(AuthInfo::principal).collect();
    let strings: HashSet<_> = callers.iter().map(|c| c.principal().to_string()).collect();
    assert_eq!((keys.len(), strings.len()), (callers.len(), callers.len()));
    let same = AuthInfo::for_user("a", "another".into()).scopes(Scopes::parse("x").unwrap());
    assert_eq!(same.build().principal(), callers[0].principal());
}

#[tokio::test]
async fn both_formats_of_a_users_token_have_one_principal() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let mut principals = Vec::new();
    for token in [fixture.jwt(), fixture.opaque()] {
        let caller = clerk_mcp_tools::verify_clerk_token(&verifier, &token).await.unwrap();
        principals.push(caller.principal().clone());
    }
    assert_eq!(principals[0], principals[1]);
    assert_eq!(principals[0].issuer(), Some(fixture.clerk.issuer()));
}
