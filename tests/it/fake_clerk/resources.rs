//! Resource indicators (RFC 8707) and the audience of tokens, as Clerk decides it.

use clerk_mcp_tools::testing::{FakeClerk, TokenFormat};
use serde_json::{Value, json};

use super::{REDIRECT_URI, RESOURCE, claims, code, exchange_code, post_json, refresh, start};

const OTHER: &str = "https://other.example.com/mcp";
const OFFLINE: (&str, &str) = ("scope", "profile offline_access");

#[tokio::test]
async fn a_resource_of_the_token_request_was_part_of_the_authorization_request() {
    let (clerk, _, client_id) = start().await;
    for (approved, requested, expected) in [
        (vec![], vec![], Ok(json!(null))),
        (vec![RESOURCE], vec![], Ok(json!(RESOURCE))),
        (vec![RESOURCE], vec![RESOURCE], Ok(json!(RESOURCE))),
        (vec![RESOURCE, OTHER], vec![], Ok(json!([RESOURCE, OTHER]))),
        (vec![RESOURCE, OTHER], vec![OTHER], Ok(json!(OTHER))),
        (vec![], vec![RESOURCE], Err(())),
        (vec![RESOURCE], vec![OTHER], Err(())),
        (vec![RESOURCE], vec!["https://mcp.example.com/mcp/"], Err(())),
    ] {
        let parameters = |resources: &[&'static str]| -> Vec<(&str, &str)> {
            resources.iter().map(|resource| ("resource", *resource)).collect()
        };
        let code = code(&clerk, &client_id, &parameters(&approved)).await;
        let response = exchange_code(&clerk, &client_id, &code, &parameters(&requested)).await;
        match expected {
            Ok(audience) => assert_eq!(claims(&response.string("access_token"))["aud"], audience),
            Err(()) => response.assert_error(
                400,
                "invalid_target",
                "resource was not part of the authorization request",
            ),
        }
    }
}

/// Signs in for `resources` and returns the audience of the token and that of its refresh.
async fn audiences(clerk: &FakeClerk, resources: &[&str]) -> [Value; 2] {
    let client_id = clerk.register_client(REDIRECT_URI);
    let mut changes = vec![OFFLINE];
    changes.extend(resources.iter().map(|resource| ("resource", *resource)));
    let code = code(clerk, &client_id, &changes).await;
    let first = exchange_code(clerk, &client_id, &code, &[]).await;
    let second = refresh(clerk, &client_id, &first.string("refresh_token"), &[]).await;
    [first, second].map(|response| claims(&response.string("access_token"))["aud"].take())
}

#[tokio::test]
async fn only_registered_resources_become_the_audience() {
    // Before the first resource is registered: whatever URL an MCP server can have.
    let clerk = FakeClerk::start().await.unwrap();
    for (requested, is_audience) in [
        (RESOURCE, true),
        ("http://localhost:3000/mcp", true),
        ("http://[::1]:3000/mcp", true),
        ("http://mcp.example.com/mcp", false),
        ("urn:example:mcp", false),
    ] {
        let expected = if is_audience { json!(requested) } else { json!(null) };
        let audiences = audiences(&clerk, &[requested]).await;
        assert_eq!(audiences, [expected.clone(), expected], "{requested}");
    }

    // Afterwards: the registered ones, byte for byte.
    let clerk = FakeClerk::builder().register_resource(RESOURCE).start().await.unwrap();
    for (requested, expected) in [
        (vec![RESOURCE], json!(RESOURCE)),
        (vec![OTHER, RESOURCE], json!(RESOURCE)),
        (vec![OTHER], json!(null)),
        (vec!["https://mcp.example.com/mcp?client=codex"], json!(null)),
        (vec!["https://mcp.example.com/mcp/"], json!(null)),
        (vec!["https://MCP.example.com/mcp"], json!(null)),
    ] {
        let audiences = audiences(&clerk, &requested).await;
        assert_eq!(audiences, [expected.clone(), expected], "{requested:?}");
    }
    clerk.register_resource(OTHER);
    let expected = json!([OTHER, RESOURCE]);
    assert_eq!(audiences(&clerk, &[OTHER, RESOURCE]).await, [expected.clone(), expected]);
}

#[tokio::test]
async fn an_instance_can_leave_the_audience_out() {
    let clerk = FakeClerk::builder().include_audience(false).start().await.unwrap();
    assert_eq!(audiences(&clerk, &[RESOURCE]).await, [json!(null), json!(null)]);
    clerk.set_token_format(TokenFormat::Opaque);
    let token = clerk.sign_in().resource(RESOURCE).access_token().await.unwrap();
    let body = json!({ "access_token": token });
    let verified = post_json(&clerk, "/v1/oauth_applications/access_tokens/verify", body).await;
    assert_eq!((verified.status.as_u16(), verified.json.get("aud")), (200, None));
}

#[tokio::test]
async fn a_grant_that_was_made_without_an_audience_keeps_none() {
    let (clerk, _, client_id) = start().await;
    let sign_in = async || {
        let code = code(&clerk, &client_id, &[OFFLINE, ("resource", RESOURCE)]).await;
        exchange_code(&clerk, &client_id, &code, &[]).await
    };
    let refreshed = async |token: &str| {
        let response = refresh(&clerk, &client_id, token, &[("resource", RESOURCE)]).await;
        let audience = claims(&response.string("access_token"))["aud"].take();
        (audience, response.string("refresh_token"))
    };
    // The setting is off, then the resource is not registered.
    clerk.set_include_audience(false);
    let without_setting = sign_in().await.string("refresh_token");
    clerk.set_include_audience(true);
    clerk.register_resource(OTHER);
    let without_resource = sign_in().await.string("refresh_token");
    clerk.register_resource(RESOURCE);
    for token in [without_setting, without_resource] {
        let (audience, next) = refreshed(&token).await;
        assert_eq!(audience, json!(null));
        assert_eq!(refreshed(&next).await.0, json!(null));
    }

    // A new sign-in has one, until the setting is off again.
    let (audience, next) = refreshed(&sign_in().await.string("refresh_token")).await;
    assert_eq!(audience, json!(RESOURCE));
    clerk.set_include_audience(false);
    assert_eq!(refreshed(&next).await.0, json!(null));
}
