//! The rules for a JWT, its header and its claims, as `verify_clerk_token` applies them.

use std::time::Duration;

use clerk_mcp_tools::testing::{Route, TokenBuilder};
use clerk_mcp_tools::{
    Audience, AuthInfo, VerifyError, VerifyErrorKind as Kind, verify_clerk_token,
};
use serde_json::{Value, json};

use crate::support::{Fixture, NOW, RESOURCE};

type Change = fn(TokenBuilder) -> TokenBuilder;

async fn verify(fixture: &Fixture, change: Change) -> Result<AuthInfo, VerifyError> {
    let token = change(fixture.clerk.mint().audience(RESOURCE)).jwt();
    verify_clerk_token(&fixture.verifier(), &token).await
}

#[tokio::test]
async fn every_claim_is_available_in_auth_info() {
    let fixture = Fixture::new().await;
    let token = fixture
        .clerk
        .mint()
        .subject("user_1")
        .client_id("client_1")
        .scopes(["profile", "email", "profile"])
        .audiences(["https://other.example", RESOURCE])
        .organization("org_1")
        .actor(json!({"sub": "client_agent", "act": {"sub": "client_root", "iss": "https://i.example"}}))
        .expires_at(NOW + 10)
        .claim("jti", "token_1")
        .claim("custom", json!({"a": [1, null]}))
        .jwt();
    let caller = verify_clerk_token(&fixture.verifier(), &token).await.unwrap();
    assert_eq!(caller.token_for_this_server().expose(), token);
    assert_eq!((caller.user_id(), caller.client_id()), (Some("user_1"), Some("client_1")));
    assert_eq!(caller.scopes().to_string(), "profile email");
    assert_eq!(caller.expires_at(), Some(NOW + 10));
    assert_eq!(caller.resource(), Some(RESOURCE));
    assert_eq!(caller.audience(), ["https://other.example", RESOURCE]);
    assert_eq!(caller.org_id(), Some("org_1"));
    let actor = caller.actor().unwrap();
    assert_eq!((actor.sub.as_str(), &actor.iss), ("client_agent", &None));
    let previous = actor.act.as_deref().unwrap();
    assert_eq!(
        (previous.sub.as_str(), previous.iss.as_deref()),
        ("client_root", Some("https://i.example"))
    );
    assert_eq!(caller.claims()["jti"], "token_1");
    assert_eq!(caller.claims()["custom"], json!({"a": [1, null]}));
    assert!(caller.claims()["iat"].is_u64() && caller.claims()["nbf"].is_u64());
    for known in ["iss", "sub", "client_id", "exp", "aud", "scope", "org_id", "act"] {
        assert!(!caller.claims().contains_key(known), "{known}");
    }
    let null = json!(null);
    let nulls = fixture.clerk.mint().audience(RESOURCE).claim("iat", null.clone());
    let nulls = nulls.claim("nbf", null.clone()).claim("custom", null.clone()).jwt();
    let caller = verify_clerk_token(&fixture.verifier(), &nulls).await.unwrap();
    assert!(!caller.claims().contains_key("iat") && !caller.claims().contains_key("nbf"));
    assert_eq!(caller.claims()["custom"], null);
}

#[tokio::test]
async fn accepts_what_the_standards_allow() {
    let fixture = Fixture::new().await;
    let rows: [(&str, Change); 14] = [
        ("the long media type", |t| t.header("typ", "application/at+jwt")),
        ("a media type in upper case", |t| t.header("typ", "AT+JWT")),
        ("a key in the header, which is ignored", |t| {
            t.header("jwk", json!({"kty": "oct"})).header("jku", "https://e")
        }),
        ("a content type other than JWT", |t| t.header("cty", "json")),
        ("no iat, nbf and jti", |t| {
            t.without_claim("iat").without_claim("nbf").without_claim("jti")
        }),
        ("times with a fraction", |t| {
            t.claim("exp", NOW as f64 + 1.5).claim("nbf", NOW as f64 - 1.5)
        }),
        ("expired within the leeway", |t| t.expires_at(NOW - 4)),
        ("not yet valid within the leeway", |t| t.not_before(NOW + 5).issued_at(NOW + 5)),
        ("scp wins over scope", |t| t.scopes(["x"]).claim("scp", json!(["profile", "email"]))),
        ("no scopes at all", |t| t.without_claim("scope")),
        ("the resource with its host in upper case", |t| t.audience("HTTPS://MCP.Example.com/mcp")),
        ("the resource with its default port", |t| t.audience("https://mcp.example.com:443/mcp")),
        ("the last second of the year 9999", |t| t.expires_at(253_402_300_799)),
        ("null for optional members", |t| {
            let null = || Value::Null;
            let t = t.claim("act", null()).claim("org_id", null()).claim("nbf", null());
            t.claim("scp", null()).claim("cnf", null()).header("cat", null())
        }),
    ];
    for (case, change) in rows {
        let outcome = verify(&fixture, change).await;
        assert!(outcome.is_ok(), "{case}: {outcome:?}");
    }
}

#[tokio::test]
async fn rejects_each_violation_with_its_kind() {
    let fixture = Fixture::new().await;
    let rows: [(&str, Change, Kind); 67] = [
        ("typ missing", |t| t.without_header("typ"), Kind::WrongTokenType),
        ("typ of a session token", |t| t.header("typ", "JWT"), Kind::WrongTokenType),
        ("typ with a parameter", |t| t.header("typ", "at+jwt; x"), Kind::WrongTokenType),
        ("typ not a string", |t| t.header("typ", json!(["at+jwt"])), Kind::WrongTokenType),
        ("cat of machines", |t| t.header("cat", "cl_B7d4PD333AAA"), Kind::WrongTokenType),
        ("cat of templates", |t| t.header("cat", "cl_B7d4PD222AAA"), Kind::WrongTokenType),
        ("cat of sessions", |t| t.header("cat", "cl_B7d4PD111AAA"), Kind::WrongTokenType),
        ("cat not a string", |t| t.header("cat", 1), Kind::WrongTokenType),
        ("cat of a class that is not known", |t| t.header("cat", "cl_new"), Kind::WrongTokenType),
        ("an organization", |t| t.subject("org_1"), Kind::WrongTokenType),
        ("a user id with a line feed", |t| t.subject("user_1\n"), Kind::WrongTokenType),
        ("cnf", |t| t.claim("cnf", json!({"jkt": "x"})), Kind::InvalidClaim),
        ("201 scopes", |t| t.scopes((0..201).map(|n| n.to_string())), Kind::InvalidClaim),
        (
            "act of eleven",
            |t| {
                t.actor((0..10).fold(json!({"sub": "a"}), |act, _| json!({"sub": "a", "act": act})))
            },
            Kind::InvalidClaim,
        ),
        (
            "a duplicate member of act",
            |t| t.raw_claims(r#"{"act":{"sub":"user_1","sub":"user_2"}}"#),
            Kind::InvalidClaim,
        ),
        ("a machine", |t| t.subject("mch_1"), Kind::WrongTokenType),
        ("alg missing", |t| t.without_header("alg"), Kind::UnsupportedAlgorithm),
        ("alg none", |t| t.header("alg", "none"), Kind::UnsupportedAlgorithm),
        ("alg None", |t| t.header("alg", "None"), Kind::UnsupportedAlgorithm),
        ("alg empty", |t| t.header("alg", ""), Kind::UnsupportedAlgorithm),
        ("alg rs256", |t| t.header("alg", "rs256"), Kind::UnsupportedAlgorithm),
        ("alg HS256", |t| t.header("alg", "HS256"), Kind::UnsupportedAlgorithm),
        ("alg ES256", |t| t.header("alg", "ES256"), Kind::UnsupportedAlgorithm),
        ("alg PS256", |t| t.header("alg", "PS256"), Kind::UnsupportedAlgorithm),
        ("alg other than the key's", |t| t.header("alg", "RS512"), Kind::UnsupportedAlgorithm),
        ("crit", |t| t.header("crit", json!([])), Kind::Malformed),
        ("b64", |t| t.header("b64", false), Kind::Malformed),
        ("cty JWT", |t| t.header("cty", "JWT"), Kind::Malformed),
        ("cty of a JWT media type", |t| t.header("cty", "application/at+jwt"), Kind::Malformed),
        ("enc, as in a JWE", |t| t.header("enc", "A256GCM"), Kind::Malformed),
        ("kid missing", |t| t.without_header("kid"), Kind::UnknownKey),
        ("kid empty", |t| t.header("kid", ""), Kind::UnknownKey),
        ("kid not a string", |t| t.header("kid", 1), Kind::Malformed),
        (
            "a duplicate header member",
            |t| t.raw_header(r#"{"alg":"RS256","alg":"RS256","typ":"at+jwt"}"#),
            Kind::Malformed,
        ),
        ("a header that is a list", |t| t.raw_header("[]"), Kind::Malformed),
        ("a header followed by another object", |t| t.raw_header("{} {}"), Kind::Malformed),
        (
            "a signature by another key under the same kid",
            TokenBuilder::foreign_key,
            Kind::InvalidSignature,
        ),
        ("an empty signature", |t| t.signature([]), Kind::InvalidSignature),
        ("a signature of zeros", |t| t.signature([0; 256]), Kind::InvalidSignature),
        ("claims that are a list", |t| t.raw_claims("[]"), Kind::InvalidClaim),
        ("claims that are not JSON", |t| t.raw_claims("{"), Kind::InvalidClaim),
        (
            "a duplicate claim",
            |t| t.raw_claims(r#"{"sub":"user_1","sub":"user_2"}"#),
            Kind::InvalidClaim,
        ),
        ("iss missing", |t| t.without_claim("iss"), Kind::InvalidIssuer),
        (
            "iss of another instance",
            |t| t.claim("iss", "https://clerk.other.example"),
            Kind::InvalidIssuer,
        ),
        ("iss not a string", |t| t.claim("iss", json!(["x"])), Kind::InvalidIssuer),
        ("exp missing", |t| t.without_claim("exp"), Kind::InvalidClaim),
        ("exp a string", |t| t.claim("exp", "1900000000"), Kind::InvalidClaim),
        ("exp null", |t| t.claim("exp", Value::Null), Kind::InvalidClaim),
        ("exp negative", |t| t.claim("exp", -1), Kind::InvalidClaim),
        ("exp in milliseconds", |t| t.expires_at((NOW + 60) * 1000), Kind::InvalidClaim),
        ("exp out of range", |t| t.expires_at(u64::MAX), Kind::InvalidClaim),
        ("exp at the end of the leeway", |t| t.expires_at(NOW - 5), Kind::Expired),
        ("nbf after the leeway", |t| t.not_before(NOW + 6), Kind::NotYetValid),
        ("iat after the leeway", |t| t.issued_at(NOW + 6), Kind::NotYetValid),
        ("nbf a string", |t| t.claim("nbf", "0"), Kind::InvalidClaim),
        ("sub missing", |t| t.without_claim("sub"), Kind::InvalidClaim),
        ("sub empty", |t| t.subject(""), Kind::InvalidClaim),
        (
            "client_id missing, as in a session token",
            |t| t.without_claim("client_id"),
            Kind::InvalidClaim,
        ),
        ("scope a list", |t| t.claim("scope", json!(["profile"])), Kind::InvalidClaim),
        ("scp a string", |t| t.claim("scp", "profile"), Kind::InvalidClaim),
        ("scp with a number", |t| t.claim("scp", json!(["profile", 1])), Kind::InvalidClaim),
        ("act a list", |t| t.actor(json!(["agent"])), Kind::InvalidClaim),
        (
            "act within act a list",
            |t| t.actor(json!({"sub": "agent", "act": ["root"]})),
            Kind::InvalidClaim,
        ),
        ("act with an empty sub", |t| t.actor(json!({"sub": ""})), Kind::InvalidClaim),
        ("aud an object", |t| t.claim("aud", json!({})), Kind::InvalidClaim),
        (
            "aud a prefix of the resource",
            |t| t.audience("https://mcp.example.com"),
            Kind::InvalidAudience,
        ),
        ("aud an empty list", |t| t.audiences([""; 0]), Kind::InvalidAudience),
    ];
    for (case, change, kind) in rows {
        let outcome = verify(&fixture, change).await.map_err(|error| error.kind());
        assert_eq!(outcome.map(|caller| caller.user_id().map(str::to_owned)), Err(kind), "{case}");
    }
}

#[tokio::test]
async fn the_issuer_is_compared_byte_by_byte() {
    let fixture = Fixture::new().await;
    let issuer = fixture.clerk.issuer();
    for other in [
        format!("{issuer}/"),
        issuer.to_uppercase(),
        issuer.replace("http:", "https:"),
        format!(" {issuer}"),
    ] {
        let token = fixture.clerk.mint().audience(RESOURCE).claim("iss", other.clone()).jwt();
        let error = verify_clerk_token(&fixture.verifier(), &token).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidIssuer, "{other}");
    }
}

#[tokio::test]
async fn a_token_expires_at_the_exact_second() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().leeway(Duration::ZERO).build().unwrap();
    let token = fixture.clerk.mint().audience(RESOURCE).expires_at(NOW + 10).jwt();
    fixture.advance(9);
    assert!(verify_clerk_token(&verifier, &token).await.is_ok());
    fixture.advance(1);
    assert_eq!(verify_clerk_token(&verifier, &token).await.unwrap_err().kind(), Kind::Expired);
}

#[tokio::test]
async fn rejects_alternative_encodings_of_a_valid_token() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let valid = fixture.earlier_jwt();
    assert!(verify_clerk_token(&verifier, &valid).await.is_ok());
    let (rest, signature) = valid.rsplit_once('.').unwrap();
    let (header, claims) = rest.split_once('.').unwrap();
    // The last base64url character of 256 bytes has two unused bits, which must be zero.
    let last = signature.chars().last().unwrap();
    let other_last = if last == 'A' { 'B' } else { char::from(last as u8 + 1) };
    let non_canonical = format!("{}{other_last}", &signature[..signature.len() - 1]);
    let rows = [
        format!("{valid}="),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}.{}", signature.replace('-', "+").replace('_', "/") + "+"),
        format!("{header}.{claims}.{non_canonical}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{header}..{signature}"),
        format!(".{claims}.{signature}"),
        format!("{valid}."),
    ];
    for token in rows {
        let kind = verify_clerk_token(&verifier, &token).await.unwrap_err().kind();
        assert!(matches!(kind, Kind::Malformed | Kind::InvalidSignature), "{token}: {kind:?}");
    }
}

#[tokio::test]
async fn malformed_tokens_do_not_cause_a_fetch_of_the_keys() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let valid = fixture.jwt();
    let (rest, signature) = valid.rsplit_once('.').unwrap();
    let (header, claims) = rest.split_once('.').unwrap();
    for claims in [
        format!("{claims}="),
        format!("{claims}+"),
        format!(" {claims}"),
        format!("{claims}.{claims}"),
    ] {
        let token = format!("{header}.{claims}.{signature}");
        let kind = verify_clerk_token(&verifier, &token).await.unwrap_err().kind();
        assert_eq!(kind, Kind::Malformed, "{token}");
    }
    assert_eq!(fixture.clerk.calls(Route::Jwks), 0);
}

#[tokio::test]
async fn the_audience_check_can_be_relaxed() {
    let fixture = Fixture::new().await;
    let none = fixture.clerk.mint().jwt();
    let other = fixture.clerk.mint().audience("https://other.example/mcp").jwt();
    let empty = fixture.clerk.mint().audiences([""; 0]).jwt();
    let rows = [
        (Audience::Require, Err(Kind::InvalidAudience), Err(Kind::InvalidAudience)),
        (Audience::IfPresent, Ok(None), Err(Kind::InvalidAudience)),
        (Audience::Any, Ok(None), Ok(None)),
    ];
    for (mode, without_aud, with_other_aud) in rows {
        let verifier = fixture.verifier_builder().audience(mode).build().unwrap();
        for (token, expected) in
            [(&none, without_aud), (&other, with_other_aud.clone()), (&empty, with_other_aud)]
        {
            let outcome = verify_clerk_token(&verifier, token).await;
            let outcome = outcome
                .map(|caller| caller.resource().map(str::to_owned))
                .map_err(|error| error.kind());
            assert_eq!(outcome, expected, "{mode:?}");
        }
        assert!(verify_clerk_token(&verifier, &fixture.jwt()).await.is_ok(), "{mode:?}");
    }
}

#[tokio::test]
async fn requiring_an_audience_needs_a_resource() {
    let fixture = Fixture::new().await;
    let builder = || {
        clerk_mcp_tools::ClerkVerifier::builder()
            .frontend_api(
                clerk_mcp_tools::instance::FrontendApi::parse(fixture.clerk.frontend_api_url())
                    .unwrap(),
            )
            .clock(fixture.clock.clone())
    };
    let error = verify_clerk_token(&builder().build().unwrap(), &fixture.jwt()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Misconfigured);
    assert!(error.detail().unwrap().contains("MCP_RESOURCE_URL"));
    let any = builder().audience(Audience::Any).build().unwrap();
    assert!(verify_clerk_token(&any, &fixture.jwt()).await.is_ok());
}

#[tokio::test]
async fn a_pem_key_needs_no_request_to_clerk() {
    let fixture = Fixture::new().await;
    let pem = fixture.clerk.jwt_key();
    let forms = [
        pem.clone(),
        pem.replace('\n', "\\n"),
        pem.replace('\n', "\\r\\n"),
        pem.replace('\n', "\r\n"),
        format!(" \n{}\t\n", pem.replace('\n', "\n    ")),
    ];
    for pem in forms {
        let verifier = fixture.verifier_builder().jwt_key(pem.parse().unwrap()).build().unwrap();
        assert!(verify_clerk_token(&verifier, &fixture.jwt()).await.is_ok());
        let foreign = fixture.clerk.mint().audience(RESOURCE).foreign_key().jwt();
        assert_eq!(
            verify_clerk_token(&verifier, &foreign).await.unwrap_err().kind(),
            Kind::InvalidSignature
        );
        let rs512 = fixture.clerk.mint().audience(RESOURCE).header("alg", "RS512").jwt();
        assert_eq!(
            verify_clerk_token(&verifier, &rs512).await.unwrap_err().kind(),
            Kind::UnsupportedAlgorithm
        );
    }
    assert_eq!(fixture.clerk.calls(Route::Jwks) + fixture.clerk.calls(Route::BackendJwks), 0);
}
