//! Each contestant in the smallest setup that its documentation shows: the issuer, the audience, the key set.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::{ClerkVerifier, ClerkVerifierBuilder, ResourceUrl, verify_clerk_token};
use http::{Request, Response};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tower::{Layer, Service, service_fn};

use crate::{Contestant, RESOURCE, TOKENS};

type Unmeasured = (&'static str, String);
type Claims = Map<String, Value>;

pub(crate) fn all(
    clerk: &FakeClerk,
    tokens: &[String],
    runtime: &Runtime,
) -> (Vec<Contestant>, Vec<Unmeasured>) {
    let mut contestants = vec![
        floor(clerk, tokens),
        ours_at_first_sight(clerk, runtime),
        ours_unkept(clerk, runtime),
        ours_known(clerk, runtime),
        jsonwebtoken_alone(clerk),
    ];
    let mut unmeasured = Vec::new();
    let peers = [
        ("jwt-authorizer", jwt_authorizer(clerk, runtime)),
        ("axum-jwt-auth", axum_jwt_auth(clerk, runtime)),
        ("tower-oauth2-resource-server", tower_oauth2_resource_server(clerk, runtime)),
        ("oauth-resource-server", oauth_resource_server(clerk)),
        ("clerk-rs", clerk_rs(clerk, runtime)),
    ];
    for (package, peer) in peers {
        match peer {
            Ok(peer) => contestants.push(peer),
            Err(why) => unmeasured.push((package, why)),
        }
    }
    (contestants, unmeasured)
}

fn floor(clerk: &FakeClerk, tokens: &[String]) -> Contestant {
    let key = parsed_key(clerk);
    let signed: Vec<(String, Vec<u8>)> = tokens
        .iter()
        .map(|token| {
            let (message, signature) = token.rsplit_once('.').unwrap();
            (message.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
        })
        .collect();
    Contestant {
        package: "aws-lc-rs",
        call: "`ParsedPublicKey::verify_sig`",
        note: "the floor: the signature alone, decoded before",
        reads_the_token: false,
        verify: Box::new(move |number, _| {
            let (message, signature) = &signed[number];
            key.verify_sig(message.as_bytes(), signature).unwrap();
        }),
    }
}

fn parsed_key(clerk: &FakeClerk) -> ParsedPublicKey {
    let jwks = clerk.jwks();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwks["keys"][0][name].as_str().unwrap()).unwrap();
    let (n, e) = (part("n"), part("e"));
    RsaPublicKeyComponents { n: &n, e: &e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).unwrap()
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

fn ours_at_first_sight(clerk: &FakeClerk, runtime: &Runtime) -> Contestant {
    // So small that it is soon full, as it is in a server that has run for a while.
    let verifier = verifier(clerk, runtime, |builder| builder.token_cache_bytes(1024 * 1024));
    Contestant {
        package: "clerk-mcp-tools",
        call: "`verify_clerk_token`, a token not seen before",
        note: "remembers the token",
        reads_the_token: true,
        verify: Box::new(move |_, token| {
            drop(at_once(verify_clerk_token(&verifier, token)).unwrap());
            assert_eq!(verifier.stats().hits, 0, "each token is new");
        }),
    }
}

fn ours_unkept(clerk: &FakeClerk, runtime: &Runtime) -> Contestant {
    let verifier = verifier(clerk, runtime, |builder| builder.jwt_cache_ttl(Duration::ZERO));
    Contestant {
        package: "clerk-mcp-tools",
        call: "the same with the cache switched off",
        note: "remembers nothing, as the crates below",
        reads_the_token: true,
        verify: Box::new(move |_, token| drop(at_once(verify_clerk_token(&verifier, token)).unwrap())),
    }
}

fn ours_known(clerk: &FakeClerk, runtime: &Runtime) -> Contestant {
    let verifier = verifier(clerk, runtime, |builder| builder);
    let known = clerk.mint().audience(RESOURCE).jwt();
    at_once(verify_clerk_token(&verifier, &known)).unwrap();
    Contestant {
        package: "clerk-mcp-tools",
        call: "`verify_clerk_token`, a token seen before",
        note: "no signature is verified",
        reads_the_token: false,
        verify: Box::new(move |_, _| drop(at_once(verify_clerk_token(&verifier, &known)).unwrap())),
    }
}

fn jsonwebtoken_alone(clerk: &FakeClerk) -> Contestant {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::JwkSet};
    let set: JwkSet = serde_json::from_value(clerk.jwks()).unwrap();
    let key = DecodingKey::from_jwk(&set.keys[0]).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[RESOURCE]);
    validation.set_issuer(&[clerk.issuer()]);
    Contestant {
        package: "jsonwebtoken 11",
        call: "`decode`, one key, claims as a map",
        note: "aws-lc-rs, the key is parsed for each token",
        reads_the_token: true,
        verify: Box::new(move |_, token| drop(decode::<Claims>(token, &key, &validation).unwrap())),
    }
}

fn jwt_authorizer(clerk: &FakeClerk, runtime: &Runtime) -> Result<Contestant, String> {
    use jwt_authorizer::{JwtAuthorizer, RegisteredClaims, Validation};
    let validation = Validation::new().iss(&[clerk.issuer()]).aud(&[RESOURCE]);
    let builder: JwtAuthorizer<RegisteredClaims> =
        JwtAuthorizer::from_jwks_text(&clerk.jwks().to_string()).validation(validation);
    let authorizer = runtime.block_on(builder.build()).map_err(|error| error.to_string())?;
    Ok(Contestant {
        package: "jwt-authorizer",
        call: "`Authorizer::check_auth`, key set as text",
        note: "jsonwebtoken 9, ring",
        reads_the_token: true,
        verify: Box::new(move |_, token| drop(at_once(authorizer.check_auth(token)).unwrap())),
    })
}

fn axum_jwt_auth(clerk: &FakeClerk, runtime: &Runtime) -> Result<Contestant, String> {
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
    Ok(Contestant {
        package: "axum-jwt-auth",
        call: "`RemoteJwksDecoder::decode`, claims as a map",
        note: "jsonwebtoken 10, RustCrypto",
        reads_the_token: true,
        verify: Box::new(move |_, token| {
            drop(at_once(JwtDecoder::<Claims>::decode(&decoder, token)).unwrap());
        }),
    })
}

fn tower_oauth2_resource_server(clerk: &FakeClerk, runtime: &Runtime) -> Result<Contestant, String> {
    use tower_oauth2_resource_server::claims::DefaultClaims;
    use tower_oauth2_resource_server::server::OAuth2ResourceServer;
    use tower_oauth2_resource_server::tenant::TenantConfiguration;
    use tower_oauth2_resource_server::validation::ClaimsValidationSpec;
    let audiences = vec![RESOURCE.to_owned()];
    let claims = ClaimsValidationSpec::recommended(clerk.issuer(), &audiences);
    let tenant =
        TenantConfiguration::static_builder(clerk.jwks().to_string()).claims_validation(claims).build();
    let tenant = tenant.map_err(|error| error.to_string())?;
    let server = OAuth2ResourceServer::<DefaultClaims>::builder().add_tenant(tenant).build();
    let server = runtime.block_on(server).map_err(|error| error.to_string())?;
    let empty = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(()))));
    let mut service = server.into_layer().layer(empty);
    Ok(Contestant {
        package: "tower-oauth2-resource-server",
        call: "its layer around an empty service: it has no function that takes a token",
        note: "jsonwebtoken 11, aws-lc-rs; RustCrypto by default; its time has the request's in it",
        reads_the_token: true,
        verify: Box::new(move |_, token| {
            let request =
                Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
            let response = at_once(service.call(request)).unwrap();
            assert!(response.status().is_success());
        }),
    })
}

fn oauth_resource_server(clerk: &FakeClerk) -> Result<Contestant, String> {
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
    let config = config.ok_or("it is switched off")?;
    let validator = OAuthValidator::builder(&config).initial_jwks(&clerk.jwks().to_string()).build();
    let validator = validator.map_err(|error| error.to_string())?;
    Ok(Contestant {
        package: "oauth-resource-server",
        call: "`OAuthValidator::validate`, key set as text",
        note: "jsonwebtoken 9, ring; typ and scope, too",
        reads_the_token: true,
        verify: Box::new(move |_, token| drop(at_once(validator.validate(token)).unwrap())),
    })
}

fn clerk_rs(clerk: &FakeClerk, runtime: &Runtime) -> Result<Contestant, String> {
    use clerk_rs::validators::authorizer::validate_jwt;
    use clerk_rs::validators::jwks::MemoryCacheJwksProvider;
    use clerk_rs::{Clerk, ClerkConfiguration};
    let api = format!("{}/v1", clerk.backend_api_url());
    let configuration = ClerkConfiguration::new(clerk.secret_key()).with_base_path(api);
    let provider = Arc::new(MemoryCacheJwksProvider::new(Clerk::new(configuration)));
    // It refuses every token with an audience, so it gets its own, which have none.
    let tokens: Vec<String> = (0..TOKENS).map(|_| clerk.mint().jwt()).collect();
    let fetched = runtime.block_on(validate_jwt(&tokens[0], Arc::clone(&provider)));
    fetched.map_err(|error| error.to_string())?;
    Ok(Contestant {
        package: "clerk-rs",
        call: "`validate_jwt`, `MemoryCacheJwksProvider`",
        note: "jsonwebtoken 9, ring; does not check the issuer, and refuses any token with `aud`: these have none",
        reads_the_token: false,
        verify: Box::new(move |number, _| {
            drop(at_once(validate_jwt(&tokens[number], Arc::clone(&provider))).unwrap());
        }),
    })
}

/// What a future comes to that has nothing to wait for: no runtime's time is in the numbers.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future had to wait"),
    }
}
