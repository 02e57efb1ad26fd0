//! The table of answers: what a client gets for what it sends, to the byte. What it gets while Clerk is down is in
//! `faults`.

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::testing::Route;
use clerk_mcp_tools::{Rejection, RejectionReason, SecretKey, VerifyErrorKind as Kind};
use http::{HeaderValue, Method, StatusCode};

use crate::support::{Answer, Fixture, TestService, call, guarded, request, resource, send};

pub(crate) const PLAIN: &str = "Bearer \
    resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"profile email\"";

pub(crate) fn challenge(code: &str, description: &str) -> String {
    let rest = PLAIN.strip_prefix("Bearer ").unwrap();
    format!("Bearer error=\"{code}\", error_description=\"{description}\", {rest}")
}

/// All of a refusal.
#[track_caller]
pub(crate) fn assert_refused(
    answer: &Answer,
    status: u16,
    code: &str,
    description: &str,
    challenge: Option<&str>,
    what: &str,
) {
    assert_eq!(answer.status.as_u16(), status, "{what}");
    let body = format!(r#"{{"error":"{code}","error_description":"{description}"}}"#);
    assert_eq!(answer.body, body, "{what}");
    let mut headers = vec![
        ("access-control-allow-origin", "*"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
    ];
    let exposed = |name| ("access-control-expose-headers", name);
    headers.extend(challenge.map(|_| exposed("WWW-Authenticate")));
    headers.extend(challenge.map(|challenge| ("www-authenticate", challenge)));
    headers.extend(answer.header("retry-after").map(|_| exposed("Retry-After")));
    headers.extend(answer.header("retry-after").map(|seconds| ("retry-after", seconds)));
    headers.sort();
    let headers: Vec<_> =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(answer.sorted_headers(), headers, "{what}");
    assert_eq!(answer.header("retry-after").is_some(), status == 503, "{what}");
}

#[track_caller]
pub(crate) fn assert_invalid(answer: &Answer, kind: Kind, what: &str) {
    let description = kind.description();
    let challenge = challenge("invalid_token", description);
    assert_refused(answer, 401, "invalid_token", description, Some(&challenge), what);
    let rejection = answer.extensions.get::<Rejection>().unwrap();
    assert_eq!(rejection.reason(), RejectionReason::InvalidToken(kind), "{what}");
    assert_eq!(rejection.error().unwrap().kind(), kind, "{what}");
}

async fn with_credentials(service: &TestService, values: &[&str]) -> Answer {
    let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
    send(service, request(Method::POST, "/mcp", &headers)).await
}

#[tokio::test]
async fn no_token_is_401_without_an_error() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let rows: [&[&str]; 7] = [
        &[],
        &[""],
        &["Bearer"],
        &["Bearer   "],
        &["bearer "],
        &["Basic dXNlcjpwYXNz"],
        &["DPoP abc"],
    ];
    for values in rows {
        let answer = with_credentials(&service, values).await;
        let what = format!("{values:?}");
        assert_refused(
            &answer,
            401,
            "unauthorized",
            "An access token is required",
            Some(PLAIN),
            &what,
        );
        assert_eq!(
            answer.extensions.get::<Rejection>().unwrap().reason(),
            RejectionReason::MissingToken
        );
    }
}

#[tokio::test]
async fn two_authorization_headers_are_400_and_neither_is_looked_at() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let good = format!("Bearer {}", fixture.jwt());
    let description = "More than one Authorization header was sent";
    for values in [
        [good.as_str(), good.as_str()],
        ["Basic dXNlcjpwYXNz", &good],
        [&good, "Basic dXNlcjpwYXNz"],
    ] {
        let answer = with_credentials(&service, &values).await;
        let challenge = challenge("invalid_request", description);
        assert_refused(
            &answer,
            400,
            "invalid_request",
            description,
            Some(&challenge),
            "two headers",
        );
    }
    assert_eq!(fixture.clerk.calls(Route::Jwks), 0);
}

#[tokio::test]
async fn a_good_token_passes_in_every_spelling_of_the_header() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    for token in [fixture.jwt(), fixture.opaque()] {
        for scheme in ["Bearer ", "bearer ", "BEARER    "] {
            let answer = with_credentials(&service, &[&format!("{scheme}{token}")]).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (StatusCode::OK, fixture.clerk.default_user_id())
            );
            assert_eq!(
                answer.sorted_headers(),
                [],
                "nothing is added to the answer of the service"
            );
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_401_invalid_token() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let mint = || fixture.clerk.mint().audience(crate::support::RESOURCE);
    let now = crate::support::NOW;
    let good = fixture.jwt();
    let rows = [
        ("two words", format!("{good} {good}"), Kind::Malformed),
        ("a comma", format!("{good},"), Kind::Malformed),
        ("no token at all", "abc".to_owned(), Kind::Malformed),
        ("four parts", format!("{good}.x"), Kind::Malformed),
        ("over-long", format!("{good}{}", "A".repeat(8 * 1024)), Kind::Malformed),
        ("a header that is no JSON", mint().raw_header("{").jwt(), Kind::Malformed),
        (
            "a critical extension",
            mint().header("crit", serde_json::json!(["exp"])).jwt(),
            Kind::Malformed,
        ),
        ("a session token", mint().header("typ", "JWT").jwt(), Kind::WrongTokenType),
        ("a machine token", "mt_abc".to_owned(), Kind::WrongTokenType),
        ("an API key", "ak_abc".to_owned(), Kind::WrongTokenType),
        ("a secret key", "sk_test_abc".to_owned(), Kind::WrongTokenType),
        ("no algorithm", mint().header("alg", "none").jwt(), Kind::UnsupportedAlgorithm),
        ("a symmetric algorithm", mint().header("alg", "HS256").jwt(), Kind::UnsupportedAlgorithm),
        ("an unknown key", mint().header("kid", "ins_other").jwt(), Kind::UnknownKey),
        ("somebody else's signature", mint().foreign_key().jwt(), Kind::InvalidSignature),
        (
            "another issuer",
            mint().claim("iss", "https://clerk.evil.example").jwt(),
            Kind::InvalidIssuer,
        ),
        ("no expiry", mint().without_claim("exp").jwt(), Kind::InvalidClaim),
        ("expired", mint().expires_at(now - 60).jwt(), Kind::Expired),
        ("not valid yet", mint().not_before(now + 60).jwt(), Kind::NotYetValid),
        (
            "another audience",
            fixture.clerk.mint().audience("https://o.example/mcp").jwt(),
            Kind::InvalidAudience,
        ),
        ("no audience", fixture.clerk.mint().jwt(), Kind::InvalidAudience),
        ("an opaque token nobody knows", "oat_unknown".to_owned(), Kind::UnknownToken),
        ("an opaque token that was revoked", mint().revoked(true).opaque(), Kind::Revoked),
        ("an opaque token that has expired", mint().expired(true).opaque(), Kind::Expired),
        (
            "an opaque token for another audience",
            fixture.clerk.mint().opaque(),
            Kind::InvalidAudience,
        ),
    ];
    for (what, token, kind) in rows {
        assert_invalid(&call(&service, &token).await, kind, what);
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_401_invalid_token() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let mut request = request(Method::POST, "/mcp", &[]);
    let value = HeaderValue::from_bytes(b"Bearer \xff\xfe\xfd").unwrap();
    request.headers_mut().insert("authorization", value);
    assert_invalid(&send(&service, request).await, Kind::Malformed, "bytes");
}

#[tokio::test]
async fn scopes_come_last_and_are_403_with_all_that_are_needed() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let mint = || fixture.clerk.mint().audience(crate::support::RESOURCE);
    let description = "The access token lacks a required scope";
    let challenge = challenge("insufficient_scope", description);
    for scopes in [vec!["profile"], vec![], vec!["Profile", "Email"]] {
        for token in [mint().scopes(scopes.clone()).jwt(), mint().scopes(scopes.clone()).opaque()] {
            let answer = call(&service, &token).await;
            assert_refused(
                &answer,
                403,
                "insufficient_scope",
                description,
                Some(&challenge),
                &format!("{scopes:?}"),
            );
        }
    }
    let expired = mint().scopes(["profile"]).expires_at(crate::support::NOW - 60).jwt();
    assert_invalid(&call(&service, &expired).await, Kind::Expired, "expired and without scopes");
}

#[tokio::test]
async fn a_server_that_is_not_set_up_is_500_and_gives_no_challenge() {
    let fixture = Fixture::new().await;
    let description = Kind::Misconfigured.description();

    let without_key =
        BearerAuthLayer::new(fixture.public_verifier_builder().build().unwrap(), resource());
    let answer = call(&guarded(without_key), &fixture.opaque()).await;
    assert_refused(&answer, 500, "server_error", description, None, "no secret key");
    assert_eq!(fixture.clerk.calls(Route::VerifyAccessToken), 0);

    let wrong_key = SecretKey::parse("sk_test_wrong").unwrap();
    let wrong_key = fixture.public_verifier_builder().secret_key(wrong_key).build().unwrap();
    let answer =
        call(&guarded(BearerAuthLayer::new(wrong_key, resource())), &fixture.opaque()).await;
    assert_refused(&answer, 500, "server_error", description, None, "Clerk refuses the secret key");
}
