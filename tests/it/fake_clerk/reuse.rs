//! A second use of a code or a refresh token revokes what the first use issued.

use clerk_mcp_tools::testing::FakeClerk;

use super::{REDIRECT_URI, code, exchange_code, is_revoked, refresh, sign_in, start};

const CODE: &str =
    "the authorization code is unknown, used or expired, or was issued to another client";
const REFRESH_TOKEN: &str =
    "the refresh token is unknown, used, expired or revoked, or was issued to another client";

/// OAuth 2.1 section 4.1.3.
#[tokio::test]
async fn a_second_use_of_a_code_revokes_the_tokens_of_the_first() {
    let (clerk, clock, client_id) = start().await;
    let code = code(&clerk, &client_id, &[("scope", "offline_access")]).await;
    let first = exchange_code(&clerk, &client_id, &code, &[]).await;
    let refreshed = refresh(&clerk, &client_id, &first.string("refresh_token"), &[]).await;
    let unrelated = sign_in(&clerk, &client_id).await;
    let other = clerk.register_client(REDIRECT_URI);
    exchange_code(&clerk, &other, &code, &[]).await.assert_error(400, "invalid_grant", CODE);
    assert!(!is_revoked(&clerk, &first.string("access_token")).await);

    // However late, and whatever else the request says.
    clock.advance(std::time::Duration::from_secs(3600));
    let again = exchange_code(&clerk, &client_id, &code, &[("code_verifier", "")]).await;
    again.assert_error(400, "invalid_grant", CODE);
    for token in [&first, &refreshed] {
        assert!(is_revoked(&clerk, &token.string("access_token")).await);
    }
    let token = refreshed.string("refresh_token");
    let response = refresh(&clerk, &client_id, &token, &[]).await;
    response.assert_error(400, "invalid_grant", REFRESH_TOKEN);
    assert!(!is_revoked(&clerk, &unrelated.string("access_token")).await);
    let token = unrelated.string("refresh_token");
    assert_eq!(refresh(&clerk, &client_id, &token, &[]).await.status, 200);
}

/// RFC 9700 section 4.14.2.
#[tokio::test]
async fn a_second_use_of_a_refresh_token_ends_the_grant() {
    for (revokes, status) in [(true, 400), (false, 200)] {
        let builder = FakeClerk::builder().revoke_on_refresh_token_reuse(revokes);
        let clerk = builder.start().await.unwrap();
        let client_id = clerk.register_client(REDIRECT_URI);
        let first = sign_in(&clerk, &client_id).await;
        let unrelated = sign_in(&clerk, &client_id).await;
        let used = first.string("refresh_token");
        let second = refresh(&clerk, &client_id, &used, &[]).await;
        let other = clerk.register_client(REDIRECT_URI);
        let foreign = refresh(&clerk, &other, &used, &[]).await;
        foreign.assert_error(400, "invalid_grant", REFRESH_TOKEN);
        assert!(!is_revoked(&clerk, &first.string("access_token")).await);

        let again = refresh(&clerk, &client_id, &used, &[]).await;
        again.assert_error(400, "invalid_grant", REFRESH_TOKEN);
        for token in [&first, &second] {
            assert_eq!(is_revoked(&clerk, &token.string("access_token")).await, revokes);
        }
        let token = second.string("refresh_token");
        assert_eq!(refresh(&clerk, &client_id, &token, &[]).await.status, status);
        assert!(!is_revoked(&clerk, &unrelated.string("access_token")).await);
        let token = unrelated.string("refresh_token");
        assert_eq!(refresh(&clerk, &client_id, &token, &[]).await.status, 200);
    }
}

#[tokio::test]
async fn reuse_is_on_by_default() {
    let (clerk, _, client_id) = start().await;
    let first = sign_in(&clerk, &client_id).await;
    let used = first.string("refresh_token");
    for status in [200, 400] {
        assert_eq!(refresh(&clerk, &client_id, &used, &[]).await.status, status);
    }
    assert!(is_revoked(&clerk, &first.string("access_token")).await);
}
