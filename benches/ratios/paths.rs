//! Single requests, without a network.

use std::cell::RefCell;
use std::hint::black_box;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use clerk_mcp_tools::{
    BearerAuthLayer, ProtectedResourceMetadata, ProtectedResourceService, verify_clerk_token,
};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service};

use crate::setup::{Path, World, empty_service, measure, now, resource};
use crate::table::{print_head, print_row};

const TOKENS: usize = 1_000;
const ROUNDS: usize = 15;

pub(crate) fn run() {
    let world = World::new();
    let tokens: Vec<String> = (0..TOKENS).map(|_| world.jwt()).collect();
    println!("inputs: RSA-2048, a JWT of {} bytes, {TOKENS} distinct ones for first sights", tokens[0].len());
    verification(&world, &tokens);
    layer(&world, &tokens[0]);
    metadata();
}

fn verification(world: &World, tokens: &[String]) {
    let (key, floor_input) = floor(world, &tokens[0]);
    // A verifier a round, so that a first sight is one: what it costs to remember the token is paid each time.
    let fresh = RefCell::new(world.warm_verifier());
    let known = world.warm_verifier();
    now(verify_clerk_token(&known, &tokens[0])).unwrap();
    let times = measure(
        ROUNDS,
        vec![
            Path::new(TOKENS, |_| {
                black_box(key.verify_sig(floor_input.0.as_bytes(), &floor_input.1)).unwrap();
            }),
            Path::new(TOKENS, |n| {
                black_box(now(verify_clerk_token(&fresh.borrow(), &tokens[n]))).unwrap();
            })
            .after(|| {
                let used = fresh.replace(world.warm_verifier());
                assert_eq!(used.snapshot().known_tokens, TOKENS);
                assert_eq!(used.snapshot().hits, 0, "each token was seen for the first time");
            }),
            Path::new(20 * TOKENS, |_| {
                black_box(now(verify_clerk_token(&known, &tokens[0]))).unwrap();
            }),
        ],
    );
    let [floor, first, again] = times[..] else { unreachable!() };
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
    let ratio = floor / again;
    print_row("known token", &format!("{again:.0} ns, 1/{ratio:.0}"), "at most 1/20", ratio >= 20.0);
}

/// The key of the instance, and what a token's signature was made over.
fn floor(world: &World, token: &str) -> (ParsedPublicKey, (String, Vec<u8>)) {
    let jwk = world.clerk.jwks()["keys"][0].clone();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let member = |name: &str| decode(jwk[name].as_str().unwrap());
    let key = RsaPublicKeyComponents { n: member("n"), e: member("e") }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    (key, (input.to_owned(), decode(signature)))
}

fn request(credentials: &HeaderValue) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    request.headers_mut().insert("authorization", credentials.clone());
    request
}

fn layer(world: &World, token: &str) {
    let verifier = world.warm_verifier();
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
    print_row("garbage of 1 kB", &format!("{more:.0} ns more"), "at most 1,500 ns", more <= 1_500.0);
}

fn metadata() {
    let document = ProtectedResourceMetadata::builder(&resource())
        .authorization_server("https://clerk.example.com")
        .build()
        .unwrap();
    let mut service = ProtectedResourceService::new(&document);
    let body = Bytes::from(serde_json::to_vec(&document).unwrap());
    let mut floor = tower::service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(Full::new(body.clone()))))
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
