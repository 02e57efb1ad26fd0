//! API keys, machine tokens and session tokens, as the Backend API reports them and as JWTs.

use std::time::Duration;

use clerk_mcp_tools::testing::{FakeClerk, FakeMachine, Route};
use serde_json::{Value, json};

use super::{NOW, http, part, post_json, send, start_with_clock};

const API_KEY: &str = "/v1/api_keys/verify";
const MACHINE_TOKEN: &str = "/v1/m2m_tokens/verify";
const MILLISECONDS: u64 = NOW * 1000;

/// The status, and the body or the code of the error.
type Answer = (u16, Value);

async fn verify_key(clerk: &FakeClerk, secret: &str) -> Answer {
    let response = post_json(clerk, API_KEY, json!({ "secret": secret })).await;
    (response.status.as_u16(), response.json)
}

async fn verify_token(clerk: &FakeClerk, key: &str, token: &str) -> Answer {
    let request = http().post(format!("{}{MACHINE_TOKEN}", clerk.backend_api_url()));
    let body = json!({ "token": token }).to_string();
    let response = send(request.bearer_auth(key).body(body)).await;
    (response.status.as_u16(), response.json)
}

fn code((status, body): &Answer) -> (u16, &str) {
    (*status, body["errors"][0]["code"].as_str().unwrap_or_default())
}

/// Returns the object with these members changed.
fn with(mut object: Value, members: Value) -> Value {
    object.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    object
}

#[tokio::test]
async fn api_keys_have_the_form_of_clerk() {
    let (clerk, _) = start_with_clock().await;
    let user = clerk.default_user_id();
    let self_made = json!({
        "object": "api_key", "id": "ak_1", "type": "api_key", "subject": user, "name": "API key",
        "description": null, "claims": null, "scopes": [], "revoked": false,
        "revocation_reason": null, "expired": false, "expiration": null, "created_by": user,
        "last_used_at": null, "created_at": MILLISECONDS, "updated_at": MILLISECONDS,
    });
    let key = || clerk.create_api_key().id("ak_1");
    let hour = Duration::from_secs(3600);
    let rows = [
        (key(), json!({})),
        (key().name("CI"), json!({ "name": "CI" })),
        (key().subject("org_1"), json!({ "subject": "org_1", "created_by": null })),
        (key().subject("mch_1"), json!({ "subject": "mch_1", "created_by": null })),
        (key().scopes(["a", "b"]), json!({ "scopes": ["a", "b"] })),
        (key().claim("tier", 2).claim("x", "y"), json!({ "claims": { "tier": 2, "x": "y" } })),
        (key().expires_in(hour), json!({ "expiration": MILLISECONDS + 3_600_000 })),
        (key().expires_in(Duration::ZERO), json!({ "expiration": MILLISECONDS, "expired": true })),
        (key().expired(true), json!({ "expired": true })),
        (key().revoked(true), json!({ "revoked": true })),
        (key().record_member("object", "oauth"), json!({ "object": "oauth" })),
    ];
    for (index, (builder, changes)) in rows.into_iter().enumerate() {
        let secret = builder.secret();
        assert!(secret.starts_with("ak_"), "{secret}");
        let expected = with(self_made.clone(), changes);
        assert_eq!(verify_key(&clerk, &secret).await, (200, expected), "row {index}");
    }
    let without = key().without_record_member("claims").secret();
    assert_eq!(verify_key(&clerk, &without).await.1.get("claims"), None);
    let id = verify_key(&clerk, &clerk.create_api_key().secret()).await.1["id"].take();
    assert_eq!(id.as_str().unwrap().len(), "ak_".len() + 32);
}

#[tokio::test]
async fn api_keys_are_found_by_their_secret_only() {
    let (clerk, clock) = start_with_clock().await;
    let secret = clerk.create_api_key().id("ak_1").expires_in(Duration::from_secs(60)).secret();
    let machine = clerk.create_machine("server");
    for unknown in ["ak_1", "ak_unknown", &secret.to_uppercase(), machine.secret_key(), ""] {
        let answer = verify_key(&clerk, unknown).await;
        assert_eq!(code(&answer), (404, "resource_not_found"), "{unknown}");
    }
    let missing = post_json(&clerk, API_KEY, json!({ "token": secret })).await;
    assert_eq!(missing.status, 422);
    assert_eq!(missing.json["errors"][0]["message"], "secret must be included.");
    let with_machine_key = http()
        .post(format!("{}{API_KEY}", clerk.backend_api_url()))
        .bearer_auth(machine.secret_key())
        .body(json!({ "secret": secret }).to_string());
    assert_eq!(send(with_machine_key).await.status, 401);

    clock.advance(Duration::from_secs(60));
    assert!(clerk.revoke(&secret));
    let (status, key) = verify_key(&clerk, &secret).await;
    assert_eq!((status, &key["expired"], &key["revoked"]), (200, &json!(true), &json!(true)));
    let without_version = post_json(&clerk, "/api_keys/verify", json!({ "secret": secret })).await;
    assert_eq!((without_version.status.as_u16(), without_version.json), (200, key));
    let last = clerk.last_request(Route::VerifyApiKey).unwrap();
    assert_eq!(last.body, json!({ "secret": secret }).to_string());
    assert_eq!(clerk.calls(Route::VerifyApiKey), 9);
}

/// A server, a machine that may call it, and another machine.
async fn machines() -> (FakeClerk, [FakeMachine; 3]) {
    let (clerk, _) = start_with_clock().await;
    let machines = ["server", "CI", "other"].map(|name| clerk.create_machine(name));
    machines[1].allow_calls_to(&machines[0]);
    (clerk, machines)
}

#[tokio::test]
async fn machine_tokens_have_the_form_of_clerk() {
    let (clerk, [server, ci, _]) = machines().await;
    let day = MILLISECONDS + 86_400_000;
    let regular = json!({
        "object": "machine_to_machine_token", "id": "mt_1", "subject": ci.id(), "claims": null,
        "scopes": [server.id()], "revoked": false, "revocation_reason": null, "expired": false,
        "expiration": day, "last_used_at": null, "created_at": MILLISECONDS,
        "updated_at": MILLISECONDS,
    });
    let mint = || ci.mint().claim("jti", "mt_1");
    let rows = [
        (mint(), json!({})),
        (mint().scopes(["mch_1", "mch_2"]), json!({ "scopes": ["mch_1", "mch_2"] })),
        (mint().claim("run", 7), json!({ "claims": { "run": 7 } })),
        (mint().without_claim("exp"), json!({ "expiration": null })),
        (mint().expires_at(NOW), json!({ "expiration": MILLISECONDS, "expired": true })),
        (mint().revoked(true), json!({ "revoked": true })),
        (mint().subject("user_1"), json!({ "subject": "user_1" })),
        (mint().expired(true), json!({ "expired": true })),
        (mint().expiration("soon"), json!({ "expiration": "soon" })),
    ];
    for (index, (builder, changes)) in rows.into_iter().enumerate() {
        let token = builder.opaque();
        assert!(token.starts_with("mt_"), "{token}");
        let answer = verify_token(&clerk, clerk.secret_key(), &token).await;
        assert_eq!(answer, (200, with(regular.clone(), changes)), "row {index}");
    }
    let id = verify_token(&clerk, clerk.secret_key(), &ci.mint().opaque()).await.1["id"].take();
    assert!(id.as_str().unwrap().starts_with("mt_"));
}

#[tokio::test]
async fn a_machine_verifies_only_tokens_for_itself() {
    let (clerk, [server, ci, other]) = machines().await;
    let for_server = ci.mint().opaque();
    let for_nobody = other.mint().opaque();
    let of_server = server.mint().opaque();
    let (instance, unknown) = (clerk.secret_key(), "ak_unknown");
    for (key, token, expected) in [
        (server.secret_key(), &for_server, (200, "")),
        (ci.secret_key(), &for_server, (404, "resource_not_found")),
        (other.secret_key(), &for_server, (404, "resource_not_found")),
        (server.secret_key(), &for_nobody, (404, "resource_not_found")),
        (server.secret_key(), &of_server, (404, "resource_not_found")),
        (instance, &for_server, (200, "")),
        (instance, &for_nobody, (200, "")),
        (instance, &"mt_unknown".to_owned(), (404, "resource_not_found")),
        (instance, &ci.mint().jwt(), (404, "resource_not_found")),
        (instance, &clerk.create_api_key().secret(), (404, "resource_not_found")),
        (unknown, &for_server, (401, "clerk_key_invalid")),
        (server.id(), &for_server, (401, "clerk_key_invalid")),
        (&for_server, &for_server, (401, "clerk_key_invalid")),
    ] {
        let answer = verify_token(&clerk, key, token).await;
        assert_eq!(code(&answer), expected, "{key} {token}");
    }
    let no_key = http().post(format!("{}{MACHINE_TOKEN}", clerk.backend_api_url())).body("{}");
    let no_key = send(no_key).await;
    assert_eq!(no_key.json["errors"][0]["code"], "authorization_header_format_invalid");
    let missing = post_json(&clerk, MACHINE_TOKEN, json!({ "secret": for_server })).await;
    assert_eq!(missing.status, 422);
    assert_eq!(missing.json["errors"][0]["message"], "token must be included.");
    assert_eq!(clerk.calls(Route::VerifyMachineToken), 15);

    assert!(clerk.revoke(&for_server));
    let (_, token) = verify_token(&clerk, server.secret_key(), &for_server).await;
    assert_eq!(token["revoked"], true);
    let without_version = json!({ "token": for_server });
    assert_eq!(post_json(&clerk, "/m2m_tokens/verify", without_version).await.json, token);
}

#[tokio::test]
async fn machine_tokens_can_be_jwts() {
    let (clerk, [server, ci, other]) = machines().await;
    let token = ci.mint().claim("jti", "mt_1").claim("run", 7).jwt();
    let header =
        json!({ "alg": "RS256", "kid": clerk.key_id(), "typ": "JWT", "cat": "cl_B7d4PD333AAA" });
    assert_eq!(part(&token, 0), header);
    let claims = json!({
        "iss": clerk.issuer(), "sub": ci.id(), "jti": "mt_1", "iat": NOW, "nbf": NOW,
        "exp": NOW + 86_400, "scopes": server.id(), "run": 7,
    });
    assert_eq!(part(&token, 1), claims);
    assert_eq!(part(&other.mint().jwt(), 1).get("scopes"), None);

    // Tokens that are nearly right.
    let mint = || ci.mint().audience("a").scopes(["mch_1", "mch_2"]);
    let near_miss = mint().without_header("cat").header("typ", "at+jwt").foreign_key().jwt();
    assert_eq!(
        part(&near_miss, 0),
        json!({ "alg": "RS256", "kid": clerk.key_id(), "typ": "at+jwt" })
    );
    let claims = part(&near_miss, 1);
    assert_eq!((&claims["aud"], &claims["scopes"]), (&json!("a"), &json!("mch_1 mch_2")));
}

#[tokio::test]
async fn session_tokens_have_the_form_of_clerk() {
    let (clerk, _) = start_with_clock().await;
    let mint = || clerk.mint_session_token("https://app.example.com");
    let token = mint().claim("sid", "sess_1").claim("jti", "1").jwt();
    let header =
        json!({ "alg": "RS256", "kid": clerk.key_id(), "typ": "JWT", "cat": "cl_B7d4PD111AAA" });
    assert_eq!(part(&token, 0), header);
    let expected = json!({
        "iss": clerk.issuer(), "sub": clerk.default_user_id(), "jti": "1", "iat": NOW, "nbf": NOW,
        "exp": NOW + 60, "sid": "sess_1", "sts": "active", "azp": "https://app.example.com",
        "fva": [0, -1], "v": 2,
    });
    assert_eq!(part(&token, 1), expected);
    assert!(part(&mint().jwt(), 1)["sid"].as_str().unwrap().starts_with("sess_"));
    let of_organization = mint().organization("org_1").without_claim("azp").jwt();
    assert_eq!(part(&of_organization, 1)["o"], json!({ "id": "org_1" }));
    assert_eq!(part(&of_organization, 1).get("azp"), None);

    // The Backend API knows access tokens only.
    for token in [mint().jwt(), mint().opaque()] {
        let body = json!({ "access_token": token });
        let path = "/v1/oauth_applications/access_tokens/verify";
        assert_eq!(post_json(&clerk, path, body).await.status, 404);
    }
}

#[tokio::test]
async fn features_can_be_disabled() {
    let builder = FakeClerk::builder().without_api_keys().without_machine_tokens();
    let clerk = builder.start().await.unwrap();
    let server = clerk.create_machine("server");
    let token = server.mint().opaque();
    let key = verify_key(&clerk, &clerk.create_api_key().secret()).await;
    let expected = json!({
        "errors": [{
            "code": "feature_not_enabled",
            "message": "This feature is not enabled on this instance",
            "long_message": "This feature is not enabled on this instance",
        }],
        "clerk_trace_id": "0af7651916cd43dd8448eb211c80319c",
    });
    assert_eq!(key, (403, expected.clone()));
    assert_eq!(verify_token(&clerk, clerk.secret_key(), &token).await, (403, expected.clone()));
    assert_eq!(verify_token(&clerk, server.secret_key(), &token).await, (403, expected));
    assert_eq!(verify_token(&clerk, "ak_unknown", &token).await.0, 401);
}

#[tokio::test]
async fn the_environment_names_the_machine_of_the_server() {
    let (clerk, [server, ci, _]) = machines().await;
    let variables = ["CLERK_MACHINE_SECRET_KEY", "CLERK_MACHINE_ID"];
    assert_eq!(variables.map(|name| clerk.env_var(name)), [None, None]);
    for machine in [ci, server] {
        clerk.set_server_machine(&machine);
        let expected = [machine.secret_key(), machine.id()].map(|value| Some(value.to_owned()));
        assert_eq!(variables.map(|name| clerk.env_var(name)), expected);
    }
    assert_eq!(clerk.env_var("CLERK_FAPI").as_deref(), Some(clerk.issuer()));
    assert_eq!(clerk.env_var("CLERK_OTHER"), None);
}
