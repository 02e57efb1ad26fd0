//! The complete responses of the bearer-auth layer, byte by byte. Those during outages of Clerk are
//! in `faults`.

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::testing::Route;
use clerk_mcp_tools::{Rejection, RejectionReason, SecretKey, VerifyErrorKind as Kind};
use http::{HeaderValue, Method, StatusCode};

use crate::support::{Fixture, TestResponse, TestService, call, guarded, request, resource, send};

/// The challenge of a request without credentials.
pub(crate) const PLAIN_CHALLENGE: &str = "Bearer \
    resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"profile email\"";

/// The challenge with this error code and description.
pub(crate) fn challenge(code: &str, description: &str) -> String {
    let rest = PLAIN_CHALLENGE.strip_prefix("Bearer ").unwrap();
    format!("Bearer error=\"{code}\", error_description=\"{description}\", {rest}")
}

/// Asserts the whole response to a rejected request.
#[track_caller]
pub(crate) fn assert_rejection(
    response: &TestResponse,
    status: u16,
    code: &str,
    description: &str,
    challenge: Option<&str>,
    case: &str,
) {
    assert_eq!(response.status.as_u16(), status, "{case}");
    let body = format!(r#"{{"error":"{code}","error_description":"{description}"}}"#);
    assert_eq!(response.body, body, "{case}");
    let mut headers = vec![
        ("access-control-allow-origin", "*"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
    ];
    let exposed = |name| ("access-control-expose-headers", name);
    headers.extend(challenge.map(|_| exposed("WWW-Authenticate")));
    headers.extend(challenge.map(|challenge| ("www-authenticate", challenge)));
    headers.extend(response.header("retry-after").map(|_| exposed("Retry-After")));
    headers.extend(response.header("retry-after").map(|seconds| ("retry-after", seconds)));
    response.assert_headers(headers, case);
    assert_eq!(response.header("retry-after").is_some(), status == 503, "{case}");
}

/// Asserts the 401 response to an invalid token.
#[track_caller]
pub(crate) fn assert_invalid_token(response: &TestResponse, kind: Kind, case: &str) {
    let rejection = response.extensions.get::<Rejection>().unwrap();
    let description = description(kind, rejection.error().unwrap().detail().unwrap_or_default());
    let challenge = challenge("invalid_token", description);
    assert_rejection(response, 401, "invalid_token", description, Some(&challenge), case);
    assert_eq!(rejection.reason(), RejectionReason::InvalidToken(kind), "{case}");
    assert_eq!(rejection.error().unwrap().kind(), kind, "{case}");
}

/// That of a token whose type is known, and is not accepted, says which one it is.
fn description(kind: Kind, detail: &str) -> &'static str {
    let types = [
        ("is an API key,", "The token is an API key, which this server does not accept"),
        ("is a machine token,", "The token is a machine token, which this server does not accept"),
        ("is a session token,", "The token is a session token, which this server does not accept"),
    ];
    let of_type = types.into_iter().find(|(known, _)| detail.contains(known));
    of_type.map_or(kind.description(), |(_, description)| description)
}

async fn with_credentials(service: &TestService, values: &[&str]) -> TestResponse {
    let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
    send(service, request(Method::POST, "/mcp", &headers)).await
}

#[tokio::test]
async fn a_missing_token_is_401_without_an_error_code() {
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
        let response = with_credentials(&service, values).await;
        let case = format!("{values:?}");
        assert_rejection(
            &response,
            401,
            "unauthorized",
            "An access token is required",
            Some(PLAIN_CHALLENGE),
            &case,
        );
        assert_eq!(
            response.extensions.get::<Rejection>().unwrap().reason(),
            RejectionReason::MissingToken
        );
    }
}

#[tokio::test]
async fn two_authorization_headers_are_400_without_verification() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let valid = format!("Bearer {}", fixture.jwt());
    let description = "More than one Authorization header was sent";
    for values in [
        [valid.as_str(), valid.as_str()],
        ["Basic dXNlcjpwYXNz", &valid],
        [&valid, "Basic dXNlcjpwYXNz"],
    ] {
        let response = with_credentials(&service, &values).await;
        let challenge = challenge("invalid_request", description);
        assert_rejection(
            &response,
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
async fn a_valid_token_passes_with_any_case_and_spacing_of_the_scheme() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    for token in [fixture.jwt(), fixture.opaque()] {
        for scheme in ["Bearer ", "bearer ", "BEARER    "] {
            let response = with_credentials(&service, &[&format!("{scheme}{token}")]).await;
            assert_eq!(
                (response.status, response.body.as_str()),
                (StatusCode::OK, fixture.clerk.default_user_id())
            );
            assert_eq!(response.sorted_headers(), [], "the layer adds no headers to the response");
        }
    }
}

#[tokio::test]
async fn an_invalid_token_is_401_invalid_token() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let mint = || fixture.clerk.mint().audience(crate::support::RESOURCE);
    let now = crate::support::NOW;
    let valid = fixture.jwt();
    let rows = [
        ("two words", format!("{valid} {valid}"), Kind::Malformed),
        ("a comma", format!("{valid},"), Kind::Malformed),
        ("neither a JWT nor an opaque token", "abc".to_owned(), Kind::Malformed),
        ("four parts", format!("{valid}.x"), Kind::Malformed),
        ("too long", format!("{valid}{}", "A".repeat(16 * 1024)), Kind::Malformed),
        ("a header that is not JSON", mint().raw_header("{").jwt(), Kind::Malformed),
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
        (
            "a signature by another key",
            mint().issued_at(now - 3600).foreign_key().jwt(),
            Kind::InvalidSignature,
        ),
        (
            "another issuer",
            mint().claim("iss", "https://clerk.evil.example").jwt(),
            Kind::InvalidIssuer,
        ),
        ("no expiry", mint().without_claim("exp").jwt(), Kind::InvalidClaim),
        ("expired", mint().expires_at(now - 60).jwt(), Kind::Expired),
        ("not yet valid", mint().not_before(now + 60).jwt(), Kind::NotYetValid),
        (
            "another audience",
            fixture.clerk.mint().audience("https://o.example/mcp").jwt(),
            Kind::InvalidAudience,
        ),
        ("no audience", fixture.clerk.mint().jwt(), Kind::InvalidAudience),
        ("an unknown opaque token", "oat_unknown".to_owned(), Kind::UnknownToken),
        ("a revoked opaque token", mint().revoked(true).opaque(), Kind::Revoked),
        ("an expired opaque token", mint().expired(true).opaque(), Kind::Expired),
        (
            "an opaque token for another audience",
            fixture.clerk.mint().opaque(),
            Kind::InvalidAudience,
        ),
    ];
    for (case, token, kind) in rows {
        assert_invalid_token(&call(&service, &token).await, kind, case);
    }
}

#[tokio::test]
async fn non_ascii_bytes_in_the_header_are_401_invalid_token() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let mut request = request(Method::POST, "/mcp", &[]);
    let value = HeaderValue::from_bytes(b"Bearer \xff\xfe\xfd").unwrap();
    request.headers_mut().insert("authorization", value);
    assert_invalid_token(&send(&service, request).await, Kind::Malformed, "non-ASCII bytes");
}

#[tokio::test]
async fn missing_scopes_are_403_with_all_required_scopes_unless_the_token_is_invalid() {
    let fixture = Fixture::new().await;
    let service = guarded(fixture.layer());
    let mint = || fixture.clerk.mint().audience(crate::support::RESOURCE);
    let description = "The access token lacks a required scope";
    let challenge = challenge("insufficient_scope", description);
    for scopes in [vec!["profile"], vec![], vec!["Profile", "Email"]] {
        for token in [mint().scopes(scopes.clone()).jwt(), mint().scopes(scopes.clone()).opaque()] {
            let response = call(&service, &token).await;
            assert_rejection(
                &response,
                403,
                "insufficient_scope",
                description,
                Some(&challenge),
                &format!("{scopes:?}"),
            );
        }
    }
    let expired = mint().scopes(["profile"]).expires_at(crate::support::NOW - 60).jwt();
    assert_invalid_token(
        &call(&service, &expired).await,
        Kind::Expired,
        "expired and without scopes",
    );
}

#[tokio::test]
async fn a_misconfigured_server_is_500_without_a_challenge() {
    let fixture = Fixture::new().await;
    let description = Kind::Misconfigured.description();

    let without_key =
        BearerAuthLayer::new(fixture.public_verifier_builder().build().unwrap(), resource());
    let response = call(&guarded(without_key), &fixture.opaque()).await;
    assert_rejection(&response, 500, "server_error", description, None, "no secret key");
    assert_eq!(fixture.clerk.calls(Route::VerifyAccessToken), 0);

    let wrong_key = SecretKey::parse("sk_test_wrong").unwrap();
    let wrong_key = fixture.public_verifier_builder().secret_key(wrong_key).build().unwrap();
    let response =
        call(&guarded(BearerAuthLayer::new(wrong_key, resource())), &fixture.opaque()).await;
    assert_rejection(
        &response,
        500,
        "server_error",
        description,
        None,
        "Clerk rejects the secret key",
    );
}
