//! Single requests, without a network.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, RequestBody};
use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::metadata::ProtectedResourceMetadata;
use clerk_mcp_tools::services::ProtectedResourceService;
use clerk_mcp_tools::{AccessPolicy, AuthInfo, Scopes, verify_clerk_token};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service};

use crate::setup::{Fixture, Path, empty_service, measure, now, resource};
use crate::table::{print_head, print_row};

const TOKENS: usize = 500;
const ROUNDS: usize = 15;

pub(crate) fn run() {
    let fixture = Fixture::new();
    let tokens: Vec<String> = (0..TOKENS * (ROUNDS + 1)).map(|_| fixture.jwt()).collect();
    println!("inputs: RSA-2048, {} distinct JWTs of {} bytes", tokens.len(), tokens[0].len());
    verification(&fixture, &tokens);
    layer(&fixture, &tokens[0]);
    operations();
    metadata();
}

fn verification(fixture: &Fixture, tokens: &[String]) {
    let (key, signed) = floor(fixture, tokens);
    // As in a server that has run for a while: the cache is full from the first round on, and who comes pushes one out.
    let full = fixture.builder().token_cache_bytes(1024 * 1024).build().unwrap();
    fixture.runtime.block_on(full.warm_up()).unwrap();
    let mut unseen = tokens.iter();
    let forgetful = fixture.builder().jwt_cache_ttl(Duration::ZERO).build().unwrap();
    fixture.runtime.block_on(forgetful.warm_up()).unwrap();
    let known = fixture.warm_verifier();
    now(verify_clerk_token(&known, &tokens[0])).unwrap();
    let times = measure(
        ROUNDS,
        vec![
            Path::new(TOKENS, |n| {
                black_box(key.verify_sig(signed[n].0.as_bytes(), &signed[n].1)).unwrap();
            }),
            Path::new(TOKENS, |_| {
                drop(black_box(now(verify_clerk_token(&full, unseen.next().unwrap())).unwrap()));
            }),
            Path::new(TOKENS, |n| {
                drop(black_box(now(verify_clerk_token(&forgetful, &tokens[n])).unwrap()))
            }),
            Path::new(20 * TOKENS, |_| {
                black_box(now(verify_clerk_token(&known, &tokens[0]))).unwrap();
            }),
        ],
    );
    assert_eq!(full.stats().cache_hits, 0, "each token was seen for the first time");
    assert!((100..TOKENS).contains(&full.stats().cached_tokens), "the cache is full");
    let [floor, first, unkept, again] = times[..] else { unreachable!() };
    print_head(&format!(
        "Verification; the floor, one bare RSA verification with a parsed key, took {floor:.0} ns"
    ));
    let ratio = first / floor;
    print_row(
        "first sight of a JWT",
        &format!("{first:.0} ns, {ratio:.2} x"),
        "at most 1.15 x",
        ratio <= 1.15,
    );
    println!("(with the cache switched off {unkept:.0} ns, {:.2} x)", unkept / floor);
    let ratio = floor / again;
    print_row(
        "known token",
        &format!("{again:.0} ns, 1/{ratio:.0}"),
        "at most 1/20",
        ratio >= 20.0,
    );
}

/// The key of the instance, and of each token what was signed and the signature, decoded.
fn floor(fixture: &Fixture, tokens: &[String]) -> (ParsedPublicKey, Vec<(String, Vec<u8>)>) {
    let jwk = fixture.clerk.jwks()["keys"][0].clone();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let member = |name: &str| decode(jwk[name].as_str().unwrap());
    let key = RsaPublicKeyComponents { n: member("n"), e: member("e") }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .unwrap();
    let signed = tokens.iter().map(|token| {
        let (input, signature) = token.rsplit_once('.').unwrap();
        (input.to_owned(), decode(signature))
    });
    (key, signed.collect())
}

fn request(credentials: &HeaderValue) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    request.headers_mut().insert("authorization", credentials.clone());
    request
}

fn layer(fixture: &Fixture, token: &str) {
    let verifier = fixture.warm_verifier();
    now(verify_clerk_token(&verifier, token)).unwrap();
    let good = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let garbage = HeaderValue::try_from(format!("Bearer {}", "g".repeat(1024))).unwrap();
    let mut empty = empty_service();
    let mut guarded = BearerAuthLayer::new(verifier, resource()).layer(empty_service());
    let mut refusing = guarded.clone();
    let mut empty_again = empty;

    print_head("Through the layer; the floor is the empty service inside it");
    let times = measure(
        ROUNDS,
        vec![
            Path::new(20_000, |_| drop(black_box(now(empty.call(request(&good)))))),
            Path::new(20_000, |_| drop(black_box(now(guarded.call(request(&good)))))),
            Path::new(20_000, |_| drop(black_box(now(empty_again.call(request(&garbage)))))),
            Path::new(20_000, |_| {
                let response = black_box(now(refusing.call(request(&garbage)))).unwrap();
                debug_assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            }),
        ],
    );
    let more = times[1] - times[0];
    print_row("known token", &format!("{more:.0} ns more"), "at most 1,000 ns", more <= 1_000.0);
    let more = times[3] - times[2];
    print_row(
        "garbage of 1 kB",
        &format!("{more:.0} ns more"),
        "at most 1,500 ns",
        more <= 1_500.0,
    );
}

/// A call of a tool that needs nothing and one that is allowed, so that both reach the service.
fn operations() {
    let scopes = |list| Scopes::parse(list).unwrap();
    let rules =
        AccessPolicy::builder().tool("write", scopes("files:write")).tool("read", Scopes::none());
    let rules = rules.build().unwrap();
    let mut guarded = AccessPolicyLayer::new(rules, resource()).layer(tower::service_fn(
        |_: Request<RequestBody<Full<Bytes>>>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(())))
        },
    ));
    let mut floor = tower::service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(())))
    });
    let caller = AuthInfo::for_user("user_1", "token".into())
        .client_id("client_1")
        .scopes(scopes("files:write"))
        .build();
    let post = |body: &Bytes| {
        let mut request = Request::post("/mcp").body(Full::new(body.clone())).unwrap();
        request.extensions_mut().insert(caller.clone());
        request
    };
    print_head(
        "A POST of 1 kB through AccessPolicyLayer; the floor is the empty service inside it",
    );
    let text = format!(r#"{{"text":"{}"}}"#, "It was a bright cold day in April. ".repeat(26));
    let row = r#"{"id":1,"name":"a","tags":["x","y"],"on":true}"#;
    let rows = format!(r#"{{"rows":[{}]}}"#, vec![row; 19].join(","));
    for (what, tool, arguments) in
        [("one long text", "read", text), ("many short values", "write", rows)]
    {
        let head = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":"#;
        let body = Bytes::from(format!(r#"{head}{arguments},"name":"{tool}"}}}}"#));
        let times = measure(
            ROUNDS,
            vec![
                Path::new(20_000, |_| drop(black_box(now(floor.call(post(&body)))))),
                Path::new(20_000, |_| drop(black_box(now(guarded.call(post(&body)))))),
            ],
        );
        let more = times[1] - times[0];
        print_row(
            &format!("{what}, {} bytes", body.len()),
            &format!("{more:.0} ns more"),
            "at most 2,000 ns",
            more <= 2_000.0,
        );
    }
}

fn metadata() {
    let document = ProtectedResourceMetadata::builder(&resource())
        .authorization_server("https://clerk.example.com")
        .build()
        .unwrap();
    let mut service = ProtectedResourceService::new(&document);
    let body = Bytes::from(serde_json::to_vec(&document).unwrap());
    let mut floor = tower::service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(body.clone()))))
    });
    let times = measure(
        ROUNDS,
        vec![
            Path::new(20_000, |_| drop(black_box(now(floor.call(Request::new(())))))),
            Path::new(20_000, |_| drop(black_box(now(service.call(Request::new(())))))),
        ],
    );
    print_head("Metadata; the floor is a service that returns the same bytes");
    let more = times[1] - times[0];
    print_row(
        "GET of the protected resource's",
        &format!("{more:.0} ns more"),
        "at most 500 ns",
        more <= 500.0,
    );
}
