//! The compared crates, each with the smallest setup that its documentation shows: issuer, audience
//! and key set.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{ClerkVerifier, ClerkVerifierBuilder, ResourceUrl, verify_clerk_token};
use http::{Request, Response};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tower::{Layer, Service, service_fn};

use crate::{Candidate, RESOURCE, TOKENS};

type NotMeasured = (&'static str, String);
type Claims = Map<String, Value>;

pub(crate) fn all(
    clerk: &FakeClerk,
    tokens: &[String],
    runtime: &Runtime,
) -> (Vec<Candidate>, Vec<NotMeasured>) {
    // Before the crates that would choose RustCrypto, or panic since both backends are there.
    let chosen = jsonwebtoken_11::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    assert!(chosen.is_ok(), "another backend was chosen before");
    let mut candidates = vec![
        baseline(clerk, tokens),
        clerk_mcp_tools_new_token(clerk, runtime),
        clerk_mcp_tools_without_cache(clerk, runtime),
        clerk_mcp_tools_cached_token(clerk, runtime),
        jsonwebtoken(clerk),
    ];
    let mut not_measured = Vec::new();
    let peers = [
        ("jwt-authorizer", jwt_authorizer(clerk, runtime)),
        ("axum-jwt-auth", axum_jwt_auth(clerk, runtime)),
        ("tower-oauth2-resource-server", tower_oauth2_resource_server(clerk, runtime)),
        ("oauth-resource-server", oauth_resource_server(clerk)),
        ("rmcp-server-kit", rmcp_server_kit(clerk, runtime)),
        ("clerk-rs", clerk_rs(clerk, runtime)),
    ];
    for (package, peer) in peers {
        match peer {
            Ok(peer) => candidates.push(peer),
            Err(why) => not_measured.push((package, why)),
        }
    }
    (candidates, not_measured)
}

fn baseline(clerk: &FakeClerk, tokens: &[String]) -> Candidate {
    let key = parsed_key(clerk);
    let signed: Vec<(String, Vec<u8>)> = tokens
        .iter()
        .map(|token| {
            let (message, signature) = token.rsplit_once('.').unwrap();
            (message.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
        })
        .collect();
    Candidate {
        package: "aws-lc-rs",
        call: "`ParsedPublicKey::verify_sig`",
        note: "the baseline: only the signature, already decoded",
        verifies_the_token: false,
        verify: Box::new(move |number, _| {
            let (message, signature) = &signed[number];
            key.verify_sig(message.as_bytes(), signature).unwrap();
        }),
    }
}

fn parsed_key(clerk: &FakeClerk) -> ParsedPublicKey {
    let jwks = clerk.jwks();
    let part =
        |name: &str| URL_SAFE_NO_PAD.decode(jwks["keys"][0][name].as_str().unwrap()).unwrap();
    let (n, e) = (part("n"), part("e"));
    RsaPublicKeyComponents { n: &n, e: &e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .unwrap()
}

fn verifier(
    clerk: &FakeClerk,
    runtime: &Runtime,
    set: fn(ClerkVerifierBuilder) -> ClerkVerifierBuilder,
) -> ClerkVerifier {
    let builder = ClerkVerifier::builder()
        .frontend_api(FrontendApi::parse(clerk.frontend_api_url()).unwrap())
        .resource(ResourceUrl::parse(RESOURCE).unwrap());
    let verifier = set(builder).build().unwrap();
    runtime.block_on(verifier.warm_up()).unwrap();
    verifier
}

fn clerk_mcp_tools_new_token(clerk: &FakeClerk, runtime: &Runtime) -> Candidate {
    // A small cache is soon full, as in a server that has run for a while.
    let verifier = verifier(clerk, runtime, |builder| builder.token_cache_bytes(1024 * 1024));
    Candidate {
        package: "clerk-mcp-tools",
        call: "`verify_clerk_token`, a new token",
        note: "caches the token",
        verifies_the_token: true,
        verify: Box::new(move |_, token| {
            drop(poll_once(verify_clerk_token(&verifier, token)).unwrap());
            assert_eq!(verifier.stats().cache_hits, 0, "each token is new");
        }),
    }
}

fn clerk_mcp_tools_without_cache(clerk: &FakeClerk, runtime: &Runtime) -> Candidate {
    let verifier = verifier(clerk, runtime, |builder| builder.jwt_cache_ttl(Duration::ZERO));
    Candidate {
        package: "clerk-mcp-tools",
        call: "the same without the cache",
        note: "caches nothing, like the crates below",
        verifies_the_token: true,
        verify: Box::new(move |_, token| {
            drop(poll_once(verify_clerk_token(&verifier, token)).unwrap())
        }),
    }
}

fn clerk_mcp_tools_cached_token(clerk: &FakeClerk, runtime: &Runtime) -> Candidate {
    let verifier = verifier(clerk, runtime, |builder| builder);
    let cached = clerk.mint().audience(RESOURCE).jwt();
    poll_once(verify_clerk_token(&verifier, &cached)).unwrap();
    Candidate {
        package: "clerk-mcp-tools",
        call: "`verify_clerk_token`, a cached token",
        note: "no signature is verified",
        verifies_the_token: false,
        verify: Box::new(move |_, _| {
            drop(poll_once(verify_clerk_token(&verifier, &cached)).unwrap())
        }),
    }
}

fn jsonwebtoken(clerk: &FakeClerk) -> Candidate {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::JwkSet};
    let set: JwkSet = serde_json::from_value(clerk.jwks()).unwrap();
    let key = DecodingKey::from_jwk(&set.keys[0]).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[RESOURCE]);
    validation.set_issuer(&[clerk.issuer()]);
    Candidate {
        package: "jsonwebtoken 12",
        call: "`decode`, one key, claims as a map",
        note: "aws-lc-rs; parses the key for each token",
        verifies_the_token: true,
        verify: Box::new(move |_, token| drop(decode::<Claims>(token, &key, &validation).unwrap())),
    }
}

fn jwt_authorizer(clerk: &FakeClerk, runtime: &Runtime) -> Result<Candidate, String> {
    use jwt_authorizer::{JwtAuthorizer, RegisteredClaims, Validation};
    let validation = Validation::new().iss(&[clerk.issuer()]).aud(&[RESOURCE]);
    let builder: JwtAuthorizer<RegisteredClaims> =
        JwtAuthorizer::from_jwks_text(&clerk.jwks().to_string()).validation(validation);
    let authorizer = runtime.block_on(builder.build()).map_err(|error| error.to_string())?;
    Ok(Candidate {
        package: "jwt-authorizer",
        call: "`Authorizer::check_auth`, key set from a string",
        note: "jsonwebtoken 9, ring",
        verifies_the_token: true,
        verify: Box::new(move |_, token| drop(poll_once(authorizer.check_auth(token)).unwrap())),
    })
}

fn axum_jwt_auth(clerk: &FakeClerk, runtime: &Runtime) -> Result<Candidate, String> {
    use axum_jwt_auth::{JwtDecoder, RemoteJwksDecoder};
    use jsonwebtoken_10::{Algorithm, Validation};
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[RESOURCE]);
    validation.set_issuer(&[clerk.issuer()]);
    let decoder = RemoteJwksDecoder::builder()
        .jwks_url(format!("{}/.well-known/jwks.json", clerk.issuer()))
        .validation(validation)
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(decoder.initialize()).map_err(|error| error.to_string())?;
    Ok(Candidate {
        package: "axum-jwt-auth",
        call: "`RemoteJwksDecoder::decode`, claims as a map",
        note: "jsonwebtoken 10, RustCrypto",
        verifies_the_token: true,
        verify: Box::new(move |_, token| {
            drop(poll_once(JwtDecoder::<Claims>::decode(&decoder, token)).unwrap());
        }),
    })
}

fn tower_oauth2_resource_server(clerk: &FakeClerk, runtime: &Runtime) -> Result<Candidate, String> {
    use tower_oauth2_resource_server::claims::DefaultClaims;
    use tower_oauth2_resource_server::server::OAuth2ResourceServer;
    use tower_oauth2_resource_server::tenant::TenantConfiguration;
    use tower_oauth2_resource_server::validation::ClaimsValidationSpec;
    let audiences = vec![RESOURCE.to_owned()];
    let claims = ClaimsValidationSpec::recommended(clerk.issuer(), &audiences);
    let tenant = TenantConfiguration::static_builder(clerk.jwks().to_string())
        .claims_validation(claims)
        .build();
    let tenant = tenant.map_err(|error| error.to_string())?;
    let server = OAuth2ResourceServer::<DefaultClaims>::builder().add_tenant(tenant).build();
    let server = runtime.block_on(server).map_err(|error| error.to_string())?;
    let empty = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(()))));
    let mut service = server.into_layer().layer(empty);
    Ok(Candidate {
        package: "tower-oauth2-resource-server",
        call: "its layer around an empty service, since it has no function for a token",
        note: "jsonwebtoken 11, aws-lc-rs; RustCrypto by default; the time includes the request",
        verifies_the_token: true,
        verify: Box::new(move |_, token| {
            let request = Request::builder()
                .header("authorization", format!("Bearer {token}"))
                .body(())
                .unwrap();
            let response = poll_once(service.call(request)).unwrap();
            assert!(response.status().is_success());
        }),
    })
}

fn oauth_resource_server(clerk: &FakeClerk) -> Result<Candidate, String> {
    use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator};
    let config = OAuthConfig {
        enabled: true,
        issuer: clerk.issuer().to_owned(),
        jwks_uri: Some(format!("{}/.well-known/jwks.json", clerk.issuer())),
        audience: RESOURCE.to_owned(),
        resource: RESOURCE.to_owned(),
        required_scope: Some("profile".to_owned()),
        allow_insecure_http: true,
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth")).map_err(|error| error.to_string())?;
    let config = config.ok_or("it is disabled")?;
    let validator =
        OAuthValidator::builder(&config).initial_jwks(&clerk.jwks().to_string()).build();
    let validator = validator.map_err(|error| error.to_string())?;
    Ok(Candidate {
        package: "oauth-resource-server",
        call: "`OAuthValidator::validate`, key set from a string",
        note: "jsonwebtoken 9, ring; checks typ and scope too",
        verifies_the_token: true,
        verify: Box::new(move |_, token| drop(poll_once(validator.validate(token)).unwrap())),
    })
}

fn rmcp_server_kit(clerk: &FakeClerk, runtime: &Runtime) -> Result<Candidate, String> {
    use rmcp_server_kit::oauth::{JwksCache, OAuthConfig, OAuthSsrfAllowlist};
    // It refuses a literal address, whatever is allowed.
    let mut loopback = OAuthSsrfAllowlist::default();
    loopback.hosts = vec!["localhost".to_owned()];
    let key_set = clerk.issuer().replace("127.0.0.1", "localhost") + "/.well-known/jwks.json";
    let config = OAuthConfig::builder(clerk.issuer(), RESOURCE, key_set)
        .scope("profile", "user")
        .allow_http_oauth_urls(true)
        .ssrf_allowlist(loopback)
        .build();
    let cache = JwksCache::new(&config).map_err(|error| error.to_string())?;
    let handle = runtime.handle().clone();
    let token = clerk.mint().audience(RESOURCE).jwt();
    handle.block_on(cache.validate_token(&token)).ok_or("it rejects a valid token")?;
    Ok(Candidate {
        package: "rmcp-server-kit",
        call: "`JwksCache::validate_token`",
        note: "jsonwebtoken 11, aws-lc-rs; RustCrypto by default; each token on a thread of the blocking pool",
        verifies_the_token: true,
        verify: Box::new(move |_, token| {
            drop(handle.block_on(cache.validate_token(token)).unwrap());
        }),
    })
}

fn clerk_rs(clerk: &FakeClerk, runtime: &Runtime) -> Result<Candidate, String> {
    use clerk_rs::validators::authorizer::validate_jwt;
    use clerk_rs::validators::jwks::MemoryCacheJwksProvider;
    use clerk_rs::{Clerk, ClerkConfiguration};
    let api = format!("{}/v1", clerk.backend_api_url());
    let configuration = ClerkConfiguration::new(clerk.secret_key()).with_base_path(api);
    let provider = Arc::new(MemoryCacheJwksProvider::new(Clerk::new(configuration)));
    // It rejects every token with an audience, so it gets tokens without one.
    let tokens: Vec<String> = (0..TOKENS).map(|_| clerk.mint().jwt()).collect();
    let fetched = runtime.block_on(validate_jwt(&tokens[0], Arc::clone(&provider)));
    fetched.map_err(|error| error.to_string())?;
    Ok(Candidate {
        package: "clerk-rs",
        call: "`validate_jwt`, `MemoryCacheJwksProvider`",
        note: "jsonwebtoken 9, ring; does not check the issuer; rejects tokens with `aud`, so these have none",
        verifies_the_token: false,
        verify: Box::new(move |number, _| {
            drop(poll_once(validate_jwt(&tokens[number], Arc::clone(&provider))).unwrap());
        }),
    })
}

/// Returns the output of a future that is ready at its first poll, without the cost of a runtime.
fn poll_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is pending"),
    }
}
