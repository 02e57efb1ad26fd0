//! Every type of token by every setting of what is accepted: good ones, expired, revoked and foreign
//! ones, and those that are nearly right.

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::{TokenType, VerifyErrorKind as Kind, verify_clerk_token};
use serde_json::json;

use super::{FRONTEND, Instance, earlier, scopes};
use crate::support::{Fixture, NOW, RESOURCE, call, guarded, resource};

const TYPES: [TokenType; 4] =
    [TokenType::OAuthToken, TokenType::ApiKey, TokenType::M2mToken, TokenType::SessionToken];

struct Row {
    name: &'static str,
    token: String,
    /// The type that decides whether it is verified at all; `None` if it has none.
    token_type: Option<TokenType>,
    /// The id of the caller if its type is accepted.
    verdict: Result<String, Kind>,
}

fn row(
    name: &'static str,
    token: String,
    token_type: impl Into<Option<TokenType>>,
    verdict: Result<&str, Kind>,
) -> Row {
    Row { name, token, token_type: token_type.into(), verdict: verdict.map(str::to_owned) }
}

fn api_keys(instance: &Instance, other: &Fixture) -> Vec<Row> {
    let clerk = &instance.fixture.clerk;
    let user = clerk.default_user_id();
    let key = || clerk.create_api_key().scopes(["mcp"]);
    let second = std::time::Duration::from_secs(1);
    let no_key = |name, token: &str, verdict| row(name, token.to_owned(), None, Err(verdict));
    let mut rows = vec![
        ("a key of a user", key().secret(), Ok(user)),
        ("a key with further scopes", key().scopes(["a", "mcp"]).secret(), Ok(user)),
        ("a key of an organization", key().subject("org_1").secret(), Ok("org_1")),
        ("a key of a machine", key().subject("mch_1").secret(), Ok("mch_1")),
        ("a key that expires later", key().expires_in(second * 60).secret(), Ok(user)),
        ("a key that has expired", key().expired(true).secret(), Err(Kind::Expired)),
        (
            "a key that expired in 1970",
            {
                // In seconds where milliseconds are due.
                key().record_member("expiration", NOW + 60).secret()
            },
            Err(Kind::Expired),
        ),
        ("a revoked key", key().revoked(true).secret(), Err(Kind::Revoked)),
        ("a key without scopes", clerk.create_api_key().secret(), Err(Kind::InsufficientScope)),
        (
            "a key with another scope",
            { clerk.create_api_key().scopes(["mcp:read", "MCP"]).secret() },
            Err(Kind::InsufficientScope),
        ),
        (
            "a key of another instance",
            { other.clerk.create_api_key().scopes(["mcp"]).secret() },
            Err(Kind::UnknownToken),
        ),
        (
            "a key with another subject",
            key().subject("client_1").secret(),
            Err(Kind::WrongTokenType),
        ),
        (
            "a response about an access token",
            { key().record_member("object", "clerk_idp_oauth_access_token").secret() },
            Err(Kind::Unavailable),
        ),
        (
            "the secret key of the machine",
            { instance.server.secret_key().to_owned() },
            Err(Kind::UnknownToken),
        ),
        ("a key with a dot", "ak_a.b".to_owned(), Err(Kind::Malformed)),
        ("a key of 10 kB", format!("ak_{}", "a".repeat(10_000)), Err(Kind::Malformed)),
        ("only the prefix of a key", "ak_".to_owned(), Err(Kind::Malformed)),
    ]
    .into_iter()
    .map(|(name, token, verdict)| row(name, token, TokenType::ApiKey, verdict))
    .collect::<Vec<_>>();
    let _ =
        clerk.create_api_key().id("ak_0123456789abcdef0123456789abcdef").scopes(["mcp"]).secret();
    rows.push(row(
        "the id of a key",
        "ak_0123456789abcdef0123456789abcdef".to_owned(),
        TokenType::ApiKey,
        Err(Kind::UnknownToken),
    ));
    rows.push(no_key("a key in upper case", &key().secret().to_uppercase(), Kind::Malformed));
    rows.push(no_key(
        "a key in mixed case",
        &key().secret().replace("ak_", "Ak_"),
        Kind::Malformed,
    ));
    rows.push(no_key("a secret key", clerk.secret_key(), Kind::WrongTokenType));
    rows
}

fn machine_tokens(instance: &Instance, other: &Fixture) -> Vec<Row> {
    let machine = instance.caller.id();
    let token = || instance.machine_token();
    let stranger = || earlier(instance.stranger.mint());
    let foreign = {
        let (server, caller) =
            (other.clerk.create_machine("server"), other.clerk.create_machine("caller"));
        caller.allow_calls_to(&server);
        caller
    };
    let rows = [
        ("an opaque token", token().opaque(), Ok(machine)),
        ("a JWT", token().jwt(), Ok(machine)),
        ("a JWT without cat", token().without_header("cat").jwt(), Ok(machine)),
        ("a JWT without typ", token().without_header("typ").jwt(), Ok(machine)),
        (
            "a JWT for the machine by its aud",
            { token().without_claim("scopes").claim("aud", instance.server.id()).jwt() },
            Ok(machine),
        ),
        (
            "a JWT for a list of machines",
            { token().claim("scopes", json!(["mch_x", instance.server.id()])).jwt() },
            Ok(machine),
        ),
        ("an expired opaque token", token().expired(true).opaque(), Err(Kind::Expired)),
        ("an expired JWT", token().expires_at(NOW - 10).jwt(), Err(Kind::Expired)),
        ("a JWT without exp", token().without_claim("exp").jwt(), Err(Kind::InvalidClaim)),
        ("a revoked opaque token", token().revoked(true).opaque(), Err(Kind::Revoked)),
        // Clerk does not know it with the key of this server's machine.
        ("an opaque token for another machine", stranger().opaque(), Err(Kind::UnknownToken)),
        ("a JWT for another machine", stranger().jwt(), Err(Kind::InvalidAudience)),
        ("a JWT for no machine", token().without_claim("scopes").jwt(), Err(Kind::InvalidAudience)),
        (
            "a JWT for a machine with a longer id",
            { token().claim("scopes", format!("{}x", instance.server.id())).jwt() },
            Err(Kind::InvalidAudience),
        ),
        (
            "a JWT with scopes of another type",
            { token().claim("scopes", json!({"a": instance.server.id()})).jwt() },
            Err(Kind::InvalidClaim),
        ),
        ("an opaque token of another instance", foreign.mint().opaque(), Err(Kind::UnknownToken)),
        (
            "a JWT of another issuer",
            { token().claim("iss", "https://clerk.other.example").jwt() },
            Err(Kind::InvalidIssuer),
        ),
        ("a JWT with another signature", token().foreign_key().jwt(), Err(Kind::InvalidSignature)),
        (
            "a JWT of a user among machine tokens",
            { token().record_member("subject", "user_1").opaque() },
            Err(Kind::WrongTokenType),
        ),
        (
            "a response about an API key",
            { token().record_member("object", "api_key").opaque() },
            Err(Kind::Unavailable),
        ),
        ("a token with a dot", "mt_a.b.c".to_owned(), Err(Kind::Malformed)),
    ];
    let typed = |(name, token, verdict)| row(name, token, TokenType::M2mToken, verdict);
    let mut rows: Vec<Row> = rows.into_iter().map(typed).collect();
    let untyped = [
        (
            "a machine with the cat of sessions",
            { token().header("cat", "cl_B7d4PD111AAA").jwt() },
            Kind::WrongTokenType,
        ),
        (
            "a machine with the cat of templates",
            { token().header("cat", "cl_B7d4PD222AAA").jwt() },
            Kind::WrongTokenType,
        ),
        (
            "a machine with typ at+jwt and cat",
            { token().header("typ", "at+jwt").jwt() },
            Kind::WrongTokenType,
        ),
        ("a machine token in upper case", token().opaque().replace("mt_", "MT_"), Kind::Malformed),
    ];
    rows.extend(untyped.map(|(name, token, kind)| row(name, token, None, Err(kind))));
    rows.push(row(
        "a machine with typ at+jwt",
        token().header("typ", "at+jwt").without_header("cat").claim("client_id", "c").jwt(),
        TokenType::OAuthToken,
        Err(Kind::WrongTokenType),
    ));
    rows
}

fn session_tokens(instance: &Instance) -> Vec<Row> {
    let clerk = &instance.fixture.clerk;
    let user = clerk.default_user_id();
    let token = || instance.session();
    let rows = [
        ("a session token", token().jwt(), Ok(user)),
        ("a session token without cat", token().without_header("cat").jwt(), Ok(user)),
        ("one of version 1", token().without_claim("v").jwt(), Ok(user)),
        ("an expired one", token().expires_at(NOW - 10).jwt(), Err(Kind::Expired)),
        (
            "one of another origin",
            { token().claim("azp", "https://evil.example").jwt() },
            Err(Kind::InvalidClaim),
        ),
        (
            "one whose origin has a slash",
            { token().claim("azp", format!("{FRONTEND}/")).jwt() },
            Err(Kind::InvalidClaim),
        ),
        (
            "one whose origin begins like the right one",
            { token().claim("azp", format!("{FRONTEND}.evil.example")).jwt() },
            Err(Kind::InvalidClaim),
        ),
        ("one without azp", token().without_claim("azp").jwt(), Err(Kind::InvalidClaim)),
        (
            "one with a list in azp",
            { token().claim("azp", json!([FRONTEND])).jwt() },
            Err(Kind::InvalidClaim),
        ),
        ("a pending one", token().claim("sts", "pending").jwt(), Err(Kind::InvalidClaim)),
        ("one of version 3", token().claim("v", 3).jwt(), Err(Kind::InvalidClaim)),
        ("one with another signature", token().foreign_key().jwt(), Err(Kind::InvalidSignature)),
        (
            "one of another issuer",
            { token().claim("iss", "https://clerk.other.example").jwt() },
            Err(Kind::InvalidIssuer),
        ),
    ];
    let typed = |(name, token, verdict)| row(name, token, TokenType::SessionToken, verdict);
    let mut rows: Vec<Row> = rows.into_iter().map(typed).collect();
    let untyped = [
        ("a session without sid", token().without_claim("sid").jwt()),
        ("a session without sid and cat", {
            token().without_claim("sid").without_header("cat").jwt()
        }),
        ("a session without typ", token().without_header("typ").jwt()),
        ("a session with the cat of machines", token().header("cat", "cl_B7d4PD333AAA").jwt()),
        ("a session with the cat of templates", token().header("cat", "cl_B7d4PD222AAA").jwt()),
        ("a session with typ at+jwt", token().header("typ", "at+jwt").jwt()),
        ("a session of a machine", token().subject(instance.caller.id()).jwt()),
        ("a session of an organization", token().subject("org_1").jwt()),
    ];
    rows.extend(untyped.map(|(name, token)| row(name, token, None, Err(Kind::WrongTokenType))));
    rows
}

fn oauth_tokens(instance: &Instance) -> Vec<Row> {
    let clerk = &instance.fixture.clerk;
    let user = clerk.default_user_id();
    let token = || clerk.mint().scopes(["mcp"]).audience(RESOURCE).issued_at(NOW - 3600);
    let token = || token().expires_at(NOW + 60);
    let rows = [
        ("an access token", token().jwt(), Ok(user)),
        ("an opaque access token", token().opaque(), Ok(user)),
        ("an expired access token", token().expires_at(NOW - 10).jwt(), Err(Kind::Expired)),
        (
            "an access token with azp and sid",
            { token().claim("azp", FRONTEND).claim("sid", "sess_1").jwt() },
            Ok(user),
        ),
        (
            "an access token for another resource",
            { token().audience("https://other.example").jwt() },
            Err(Kind::InvalidAudience),
        ),
        (
            "a response about a machine token",
            { token().record_member("object", "machine_to_machine_token").opaque() },
            Err(Kind::Unavailable),
        ),
    ];
    let typed = |(name, token, verdict)| row(name, token, TokenType::OAuthToken, verdict);
    rows.into_iter().map(typed).collect()
}

/// Returns the description of the rejection of a type that is not accepted.
fn description(token_type: TokenType) -> &'static str {
    match token_type {
        TokenType::ApiKey => "The token is an API key, which this server does not accept",
        TokenType::M2mToken => "The token is a machine token, which this server does not accept",
        TokenType::SessionToken => {
            "The token is a session token, which this server does not accept"
        }
        _ => "The token is an OAuth access token, which this server does not accept",
    }
}

async fn check(instance: &Instance, rows: &[Row], accepted: &[TokenType]) {
    // A layer of its own for each verdict, so that neither answers from the cache of the other.
    let (verifier, in_layer) = (instance.verifier(accepted), instance.verifier(accepted));
    verifier.warm_up().await.unwrap();
    let layer = BearerAuthLayer::new(in_layer, resource()).required_scopes(scopes("mcp"));
    let service = guarded(layer);
    for row in rows {
        let case = format!("{} where {accepted:?} are accepted", row.name);
        let is_accepted = row.token_type.is_none_or(|of_row| accepted.contains(&of_row));
        let expected = match &row.verdict {
            verdict if is_accepted => verdict.clone(),
            _ => Err(Kind::WrongTokenType),
        };
        let calls = instance.calls();
        for attempt in ["first", "second"] {
            let outcome = verify_clerk_token(&verifier, &row.token).await;
            let outcome = outcome.map(|caller| {
                assert_eq!(Some(caller.token_type()), row.token_type, "{case}");
                assert!(caller.scopes().contains("mcp"), "{case}");
                caller.principal().id().to_owned()
            });
            assert_eq!(outcome.map_err(|error| error.kind()), expected, "{case}, {attempt}");
        }
        let response = call(&service, &row.token).await;
        let status = match expected {
            Ok(_) => 200,
            Err(Kind::InsufficientScope) => 403,
            Err(Kind::Unavailable) => 503,
            Err(_) => 401,
        };
        assert_eq!(response.status, status, "{case}");
        let Some(token_type) = row.token_type.filter(|_| !is_accepted) else { continue };
        assert_eq!(instance.calls(), calls, "{case}: it was called for");
        let description = description(token_type);
        let challenge = response.header("www-authenticate").unwrap();
        assert!(challenge.contains(&format!("error_description=\"{description}\"")), "{case}");
        let body = json!({"error": "invalid_token", "error_description": description});
        assert_eq!(response.body, body.to_string(), "{case}");
    }
}

#[tokio::test]
async fn every_type_by_every_setting_gets_its_verdict() {
    let (instance, other) = (Instance::new().await, Fixture::new().await);
    let mut rows = oauth_tokens(&instance);
    rows.extend(api_keys(&instance, &other));
    rows.extend(machine_tokens(&instance, &other));
    rows.extend(session_tokens(&instance));
    let subsets = 1..1_u32 << TYPES.len();
    for subset in subsets {
        let is_in = |index: &usize| subset & (1 << index) != 0;
        let accepted: Vec<_> = (0..TYPES.len()).filter(is_in).map(|i| TYPES[i]).collect();
        check(&instance, &rows, &accepted).await;
    }
}
