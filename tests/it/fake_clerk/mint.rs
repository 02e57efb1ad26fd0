//! Minted tokens: keys, claims, headers and signatures.

use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clerk_mcp_tools::testing::{FakeClerk, ManualClock};
use serde_json::{Value, json};

use super::{RESOURCE, claims, get, part, post_json};

/// Returns whether the token is signed by the key with this id.
fn is_signed_by(jwks: &Value, kid: &str, jwt: &str) -> bool {
    let keys = jwks["keys"].as_array().unwrap();
    let Some(key) = keys.iter().find(|key| key["kid"] == kid) else {
        return false;
    };
    let integer = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let (n, e) = (integer("n"), integer("e"));
    let (message, signature) = jwt.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    RsaPublicKeyComponents { n, e }
        .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
        .is_ok()
}

#[tokio::test]
async fn tokens_are_signed_by_the_published_key() {
    let clerk = FakeClerk::start().await.unwrap();
    let token = clerk.mint().jwt();
    let served = get(&clerk, "/.well-known/jwks.json").await.json;
    assert_eq!(served, clerk.jwks());
    let key = &served["keys"][0];
    assert_eq!(
        (&key["kty"], &key["use"], &key["alg"]),
        (&json!("RSA"), &json!("sig"), &json!("RS256"))
    );
    assert!(is_signed_by(&served, &clerk.key_id(), &token));
    assert_eq!(part(&token, 0)["kid"], clerk.key_id());

    let pem = clerk.jwt_key();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, STANDARD.decode(base64).unwrap());
    let (message, signature) = token.rsplit_once('.').unwrap();
    key.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
}

#[tokio::test]
async fn keys_rotate() {
    let clerk = FakeClerk::start().await.unwrap();
    let (first, token) = (clerk.key_id(), clerk.mint().jwt());
    clerk.add_key().unwrap();
    assert_ne!(clerk.key_id(), first);
    assert!(is_signed_by(&clerk.jwks(), &first, &token));
    assert!(is_signed_by(&clerk.jwks(), &clerk.key_id(), &clerk.mint().jwt()));

    clerk.publish_jwk(json!({ "kty": "OKP", "crv": "Ed25519" }));
    clerk.rotate_keys().unwrap();
    assert!(!is_signed_by(&clerk.jwks(), &first, &token));
    assert!(is_signed_by(&clerk.jwks(), &clerk.key_id(), &clerk.mint().jwt()));
    assert_eq!(clerk.jwks()["keys"][0]["kty"], "OKP");
    assert_eq!(clerk.jwks()["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_foreign_key_signs_with_the_same_kid() {
    let clerk = FakeClerk::start().await.unwrap();
    let token = clerk.mint().foreign_key().jwt();

    assert_eq!(part(&token, 0)["kid"], clerk.key_id());
    assert!(!is_signed_by(&clerk.jwks(), &clerk.key_id(), &token));
    let verify = "/v1/oauth_applications/access_tokens/verify";
    assert_eq!(post_json(&clerk, verify, json!({ "access_token": token })).await.status, 404);
    let own = clerk.mint().revoked(true).jwt();
    assert_eq!(
        post_json(&clerk, verify, json!({ "access_token": own })).await.json["revoked"],
        true
    );
}

#[tokio::test]
async fn every_claim_can_be_set() {
    let clock = ManualClock::new(1_000);
    let clerk = FakeClerk::builder()
        .clock(clock)
        .token_lifetime(Duration::from_secs(60))
        .start()
        .await
        .unwrap();
    assert_eq!(claims(&clerk.mint().jwt())["exp"], 1_060);

    let mint =
        clerk.mint().subject("user_1").client_id("client_1").scopes(["a", "b"]).audience(RESOURCE);
    let mint = mint
        .organization("org_1")
        .actor(json!({ "sub": "user_2" }))
        .issued_at(1)
        .not_before(2)
        .expires_at(3);
    let token = mint.without_claim("jti").claim("scp", json!(["c"])).jwt();
    let expected = json!({
        "iss": clerk.issuer(), "sub": "user_1", "client_id": "client_1", "scope": "a b", "aud": RESOURCE,
        "org_id": "org_1", "act": { "sub": "user_2" }, "iat": 1, "nbf": 2, "exp": 3, "scp": ["c"],
    });
    assert_eq!(claims(&token), expected);
    assert_eq!(claims(&clerk.mint().audiences(["a", "b"]).jwt())["aud"], json!(["a", "b"]));
    assert_eq!(claims(&clerk.mint().expires_in(Duration::from_secs(5)).jwt())["exp"], 1_005);
}

#[tokio::test]
async fn headers_claims_and_signatures_can_be_invalid() {
    let clerk = FakeClerk::start().await.unwrap();
    let token =
        clerk.mint().header("typ", "JWT").header("crit", json!(["x"])).without_header("kid").jwt();
    assert_eq!(part(&token, 0), json!({ "alg": "RS256", "typ": "JWT", "crit": ["x"] }));

    let token = clerk.mint().raw_header("{").raw_claims(r#"{"sub":1,"sub":2}"#).signature([]).jwt();
    let text = |index| URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
    assert_eq!(
        (text(0), text(1), text(2)),
        (b"{".to_vec(), br#"{"sub":1,"sub":2}"#.to_vec(), Vec::new())
    );
}
