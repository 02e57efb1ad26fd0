//! The JSON form of `AuthInfo`, which is that of the TypeScript SDK.

use clerk_mcp_tools::{AuthInfo, Scopes};
use serde_json::json;

use crate::support::{Fixture, NOW, RESOURCE};

#[test]
fn the_minimal_json_form_is_that_of_the_typescript_sdk() {
    let caller = AuthInfo::for_user("user_1", "token".into()).client_id("client_1").build();
    let expected = json!({"token": "token", "clientId": "client_1", "scopes": [], "extra": {"userId": "user_1"}});
    assert_eq!(serde_json::to_value(&caller).unwrap(), expected);
    assert_eq!(serde_json::from_value::<AuthInfo>(expected).unwrap(), caller);
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
            "act": {"sub": "agent_1"},
            "aud": [RESOURCE],
            "claims": {"jti": "1"},
        },
    });
    assert_eq!(serde_json::to_value(&caller).unwrap(), expected);
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
