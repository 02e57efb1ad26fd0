//! Proof Key for Code Exchange (RFC 7636).

use clerk_mcp_tools::testing::FakeClerk;

use super::{CHALLENGE, REDIRECT_URI, VERIFIER, authorize, code, exchange_code};

const FORM: &str = "code_verifier is not 43 to 128 unreserved characters";
const MISMATCH: &str = "code_verifier does not match the code_challenge";

#[tokio::test]
async fn a_code_challenge_is_a_sha_256_digest_in_base64url() {
    let clerk = FakeClerk::start().await.unwrap();
    let client_id = clerk.register_client(REDIRECT_URI);
    for challenge in [
        CHALLENGE.replace('-', "+"),
        CHALLENGE.replace('-', "="),
        format!("{CHALLENGE}="),
        format!("{CHALLENGE}A"),
        CHALLENGE[1..].to_owned(),
    ] {
        let response = authorize(&clerk, &client_id, &[("code_challenge", &challenge)]).await;
        assert_eq!(response.redirect_parameter("error").unwrap(), "invalid_request", "{challenge}");
        assert_eq!(
            response.redirect_parameter("error_description").unwrap(),
            "code_challenge is not a SHA-256 digest in base64url"
        );
        assert_eq!(response.redirect_parameter("code"), None);
    }
}

#[tokio::test]
async fn a_code_verifier_is_43_to_128_unreserved_characters() {
    let clerk = FakeClerk::start().await.unwrap();
    let client_id = clerk.register_client(REDIRECT_URI);
    let with = |end: &str| format!("{}{end}", "a".repeat(43));
    for (verifier, error, description) in [
        ("a".to_owned(), "invalid_request", FORM),
        ("a".repeat(42), "invalid_request", FORM),
        ("a".repeat(129), "invalid_request", FORM),
        (with(" "), "invalid_request", FORM),
        (with("ü"), "invalid_request", FORM),
        (with("+"), "invalid_request", FORM),
        (with("="), "invalid_request", FORM),
        (String::new(), "invalid_request", "code_verifier is missing: PKCE is required"),
        ("a".repeat(43), "invalid_grant", MISMATCH),
        ("a".repeat(128), "invalid_grant", MISMATCH),
        (with("-._~"), "invalid_grant", MISMATCH),
    ] {
        let code = code(&clerk, &client_id, &[]).await;
        let response =
            exchange_code(&clerk, &client_id, &code, &[("code_verifier", &verifier)]).await;
        response.assert_error(400, error, description);
        // The code was used up.
        let again = exchange_code(&clerk, &client_id, &code, &[("code_verifier", VERIFIER)]).await;
        assert_eq!(again.error(), (400, "invalid_grant"), "{verifier}");
    }
}
