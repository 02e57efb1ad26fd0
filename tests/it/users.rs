//! User data, fetched from the Backend API.

use clerk_mcp_tools::clerk::ClerkClient;
use clerk_mcp_tools::testing::Route;
use clerk_mcp_tools::{ClerkErrorKind as Kind, SecretKey};

use crate::support::{Fixture, json_fault};

fn client(fixture: &Fixture, key: &str) -> ClerkClient {
    ClerkClient::builder()
        .secret_key(SecretKey::parse(key).unwrap())
        .backend_api(fixture.clerk.backend_api_url().parse().unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_user_is_fetched_with_the_secret_key() {
    let fixture = Fixture::new().await;
    let id = fixture.clerk.default_user_id();
    let user = client(&fixture, fixture.clerk.secret_key()).get_user(id).await.unwrap();
    assert_eq!(user.id, id);
    assert_eq!(user.primary_email_address(), Some("ada@example.com"));
    assert_eq!(user.extra["object"], "user");
    let sent = fixture.clerk.last_request(Route::User).unwrap();
    assert_eq!(sent.path, format!("/v1/users/{id}"));
    assert_eq!(sent.headers["authorization"], format!("Bearer {}", fixture.clerk.secret_key()));
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    let fixture = Fixture::new().await;
    let client_with_key = client(&fixture, fixture.clerk.secret_key());
    assert_eq!(client_with_key.get_user("user_nobody").await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(
        client(&fixture, "sk_test_wrong").get_user("user_1").await.unwrap_err().kind(),
        Kind::Unauthorized
    );
    let calls = fixture.clerk.calls(Route::User);
    for id in [
        "",
        "../users",
        "user_1/metadata",
        "user_1?x",
        "user 1",
        "user_1\n",
        "üser",
        &"u".repeat(129),
    ] {
        assert_eq!(
            client_with_key.get_user(id).await.unwrap_err().kind(),
            Kind::InvalidRequest,
            "{id:?}"
        );
    }
    assert_eq!(fixture.clerk.calls(Route::User), calls, "an invalid id was sent");

    fixture.clerk.fault(Route::User, json_fault(r#"{"id":"user_other"}"#));
    let error = client_with_key.get_user(fixture.clerk.default_user_id()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidResponse);
}

/// What Clerk sends is an object; a list of values in the order of the fields is something else.
#[test]
fn a_list_is_neither_a_user_nor_an_email_address() {
    use clerk_mcp_tools::clerk::{EmailAddress, User};
    use clerk_mcp_tools::metadata::AuthorizationServerMetadata;
    let user = r#"["user_1",null,null,null,null,null,[],{}]"#;
    assert!(serde_json::from_str::<User>(user).is_err());
    assert!(serde_json::from_str::<EmailAddress>(r#"["idn_1","a@example.com",{}]"#).is_err());
    let metadata = r#"["https://clerk.example.com"]"#;
    assert!(serde_json::from_str::<AuthorizationServerMetadata>(metadata).is_err());
}
