//! User data from the Backend API.

use clerk_mcp_tools::clerk::ClerkClient;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{ClerkErrorKind as Kind, SecretKey};

use crate::support::Fixture;

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
async fn failures_have_their_kinds() {
    let fixture = Fixture::new().await;
    let good = client(&fixture, fixture.clerk.secret_key());
    assert_eq!(good.get_user("user_nobody").await.unwrap_err().kind(), Kind::NotFound);
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
        assert_eq!(good.get_user(id).await.unwrap_err().kind(), Kind::InvalidRequest, "{id:?}");
    }
    assert_eq!(fixture.clerk.calls(Route::User), calls, "nothing of that was sent");

    let somebody_else = Fault::Body {
        status: 200,
        content_type: "application/json".into(),
        body: r#"{"id":"user_other"}"#.into(),
    };
    fixture.clerk.fault(Route::User, somebody_else);
    let error = good.get_user(fixture.clerk.default_user_id()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidResponse);
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let client =
        ClerkClient::builder().secret_key(SecretKey::parse("sk_test_a").unwrap()).build().unwrap();
    let mut call = std::pin::pin!(client.get_user("user_1"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(outcome) = call.as_mut().poll(&mut context) else {
        panic!("it waits")
    };
    assert_eq!(outcome.unwrap_err().kind(), Kind::InvalidRequest);
}
