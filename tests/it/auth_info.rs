//! The serde form of `AuthInfo` is the TypeScript SDK's, and what is public is `Send + Sync`.

use clerk_mcp_tools::{AuthInfo, Scopes};
use serde_json::json;

use crate::support::{Fixture, NOW, RESOURCE};

#[test]
fn the_smallest_form_is_the_typescript_shape() {
    let caller = AuthInfo::for_user("user_1", "token".into()).client_id("client_1").build();
    let expected = json!({"token": "token", "clientId": "client_1", "scopes": [], "extra": {"userId": "user_1"}});
    assert_eq!(serde_json::to_value(&caller).unwrap(), expected);
    assert_eq!(serde_json::from_value::<AuthInfo>(expected).unwrap(), caller);
}

#[tokio::test]
async fn the_whole_form_reads_back_as_it_was() {
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

#[test]
fn public_types_cross_threads() {
    fn assert_shared<T: Send + Sync + 'static>() {}
    assert_shared::<AuthInfo>();
    assert_shared::<clerk_mcp_tools::ClerkVerifier>();
    assert_shared::<clerk_mcp_tools::clerk::ClerkClient>();
    assert_shared::<clerk_mcp_tools::ClerkMcp>();
    assert_shared::<clerk_mcp_tools::bearer_auth::BearerAuthLayer<clerk_mcp_tools::ClerkVerifier>>(
    );
    assert_shared::<clerk_mcp_tools::bearer_auth::BearerAuth<(), clerk_mcp_tools::ClerkVerifier>>();
    assert_shared::<clerk_mcp_tools::services::WellKnownLayer>();
    assert_shared::<clerk_mcp_tools::services::WellKnownService>();
    assert_shared::<clerk_mcp_tools::VerifyError>();
    assert_shared::<clerk_mcp_tools::ClerkError>();
    assert_shared::<clerk_mcp_tools::ConfigError>();
    assert_shared::<clerk_mcp_tools::response::ResponseBody>();
    assert_shared::<clerk_mcp_tools::testing::FakeClerk>();
}
