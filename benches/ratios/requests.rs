//! Single requests, without a network.

use std::cell::RefCell;
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
use clerk_mcp_tools::{AccessPolicy, AuthInfo, JwtKey, Scopes, verify_clerk_token};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service};

use crate::support::fixture::{Fixture, resource};
use crate::support::measure::{Case, empty_service, measure, poll_once};
use crate::support::table::{print_head, print_row};

const TOKENS: usize = 500;
const ROUNDS: usize = 15;

pub(crate) fn verification() {
    let fixture = &Fixture::new();
    let tokens: Vec<String> = (0..TOKENS * (ROUNDS + 1)).map(|_| fixture.jwt()).collect();
    println!("inputs: RSA-2048, {} distinct JWTs of {} bytes", tokens.len(), tokens[0].len());
    let (key, signed) = baseline_input(fixture, &tokens);
    // As in a server that has run for a while, the cache is full from the first round on, and each
    // new token evicts another.
    let full = fixture.warm_up(fixture.builder().token_cache_bytes(1024 * 1024));
    let mut unseen = tokens.chunks(TOKENS);
    let uncached = fixture.warm_up(fixture.builder().jwt_cache_ttl(Duration::ZERO));
    let caching = fixture.warm_verifier();
    poll_once(verify_clerk_token(&caching, &tokens[0])).unwrap();
    // Copied before each round, so that they are in the cache of the processor, as what a server has
    // just read from a connection.
    let signed_now = RefCell::new(Vec::<(String, Vec<u8>)>::new());
    let [unseen_now, tokens_now] = [const { RefCell::new(Vec::<String>::new()) }; 2];
    let times = measure(
        ROUNDS,
        vec![
            Case::new(TOKENS, |n| {
                let (input, signature) = &signed_now.borrow()[n];
                black_box(key.verify_sig(input.as_bytes(), signature)).unwrap();
            })
            .prepare(|| *signed_now.borrow_mut() = signed[..TOKENS].to_vec()),
            Case::new(TOKENS, |n| {
                let token = &unseen_now.borrow()[n];
                drop(black_box(poll_once(verify_clerk_token(&full, token)).unwrap()));
            })
            .prepare(|| *unseen_now.borrow_mut() = unseen.next().unwrap().to_vec()),
            Case::new(TOKENS, |n| {
                let token = &tokens_now.borrow()[n];
                drop(black_box(poll_once(verify_clerk_token(&uncached, token)).unwrap()))
            })
            .prepare(|| *tokens_now.borrow_mut() = tokens[..TOKENS].to_vec()),
            Case::new(20 * TOKENS, |_| {
                black_box(poll_once(verify_clerk_token(&caching, &tokens[0]))).unwrap();
            }),
        ],
    );
    assert_eq!(full.stats().cache_hits, 0, "each token is new");
    assert!((100..TOKENS).contains(&full.stats().cached_tokens), "the cache is full");
    let [baseline, first, without_cache, cached] = times[..] else { unreachable!() };
    print_head(&format!(
        "Verification; the baseline, one RSA verification with a parsed key, took {baseline:.0} ns"
    ));
    let ratio = first / baseline;
    print_row("new JWT", &format!("{first:.0} ns, {ratio:.2} x"), "at most 1.10 x", ratio <= 1.10);
    println!("(with the cache disabled {without_cache:.0} ns, {:.2} x)", without_cache / baseline);
    let ratio = baseline / cached;
    print_row(
        "cached token",
        &format!("{cached:.0} ns, 1/{ratio:.0}"),
        "at most 1/20",
        ratio >= 20.0,
    );
}

/// The key of the instance, and the signing input and decoded signature of each token.
fn baseline_input(
    fixture: &Fixture,
    tokens: &[String],
) -> (ParsedPublicKey, Vec<(String, Vec<u8>)>) {
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

/// From the settings to the first verdict, with a PEM key: nothing is fetched.
pub(crate) fn cold_start() {
    let fixture = Fixture::new();
    let (key, token) = (fixture.clerk.jwt_key(), fixture.jwt());
    let times = measure(
        ROUNDS,
        vec![Case::new(3, |_| {
            let key = JwtKey::parse(&key).unwrap();
            let verifier = fixture.builder().jwt_key(key).build().unwrap();
            drop(black_box(poll_once(verify_clerk_token(&verifier, &token)).unwrap()));
        })],
    );
    print_head("A cold start with a PEM key");
    let milliseconds = times[0] / 1e6;
    let is_met = milliseconds <= 20.0;
    let text = format!("{milliseconds:.2} ms");
    print_row("from the settings to the first verdict", &text, "at most 20 ms", is_met);
}

/// The look-up of cached tokens by two threads at once, each with its own token.
pub(crate) fn threads() {
    let fixture = Fixture::new();
    let verifier = fixture.warm_verifier();
    let tokens = [fixture.jwt(), fixture.jwt()];
    for token in &tokens {
        poll_once(verify_clerk_token(&verifier, token)).unwrap();
    }
    let look_up = |token: &String| {
        (0..200_000).for_each(|_| {
            drop(black_box(poll_once(verify_clerk_token(&verifier, token)).unwrap()));
        });
    };
    let times = measure(
        ROUNDS,
        vec![
            Case::new(1, |_| look_up(&tokens[0])),
            Case::new(1, |_| {
                std::thread::scope(|scope| {
                    scope.spawn(|| look_up(&tokens[0]));
                    scope.spawn(|| look_up(&tokens[1]));
                });
            }),
        ],
    );
    // Two threads do twice the work.
    let ratio = 2.0 * times[0] / times[1];
    print_head("Two threads; the baseline is one");
    print_row("cached token", &format!("{ratio:.2} x"), "at least 1.9 x", ratio >= 1.9);
}

fn request(credentials: &HeaderValue) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    // As every message of MCP; the response to a `GET` also gets a `Vary`.
    *request.method_mut() = Method::POST;
    request.headers_mut().insert("authorization", credentials.clone());
    request
}

pub(crate) fn layer() {
    let fixture = Fixture::new();
    let (verifier, token) = (fixture.warm_verifier(), fixture.jwt());
    poll_once(verify_clerk_token(&verifier, &token)).unwrap();
    let good = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let garbage = HeaderValue::try_from(format!("Bearer {}", "g".repeat(1024))).unwrap();
    let mut empty = empty_service();
    let mut guarded = BearerAuthLayer::new(verifier, resource()).layer(empty_service());
    let mut rejecting = guarded.clone();
    let mut empty_again = empty;

    print_head("Through BearerAuthLayer; the baseline is the empty inner service");
    let times = measure(
        ROUNDS,
        vec![
            Case::new(20_000, |_| drop(black_box(poll_once(empty.call(request(&good)))))),
            Case::new(20_000, |_| drop(black_box(poll_once(guarded.call(request(&good)))))),
            Case::new(20_000, |_| drop(black_box(poll_once(empty_again.call(request(&garbage)))))),
            Case::new(20_000, |_| {
                let response = black_box(poll_once(rejecting.call(request(&garbage)))).unwrap();
                debug_assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            }),
        ],
    );
    let more = times[1] - times[0];
    print_row("cached token", &format!("{more:.0} ns more"), "at most 1,000 ns", more <= 1_000.0);
    let more = times[3] - times[2];
    print_row(
        "garbage of 1 kB",
        &format!("{more:.0} ns more"),
        "at most 1,500 ns",
        more <= 1_500.0,
    );
}

/// One tool requires no scopes and the other a granted one, so that both calls reach the service.
pub(crate) fn policy() {
    let scopes = |list| Scopes::parse(list).unwrap();
    let policy = AccessPolicy::baseline_by_default()
        .tool("write", scopes("files:write"))
        .tool("read", Scopes::none());
    let policy = policy.build().unwrap();
    let mut guarded = AccessPolicyLayer::new(policy, resource()).layer(tower::service_fn(
        |_: Request<RequestBody<Full<Bytes>>>| {
            std::future::ready(Ok::<_, Infallible>(Response::new(())))
        },
    ));
    let mut baseline = tower::service_fn(|_: Request<Full<Bytes>>| {
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
    print_head("A POST of 1 kB through AccessPolicyLayer; the baseline is the empty inner service");
    let text = format!(r#"{{"text":"{}"}}"#, "It was a bright cold day in April. ".repeat(26));
    let row = r#"{"id":1,"name":"a","tags":["x","y"],"on":true}"#;
    let rows = format!(r#"{{"rows":[{}]}}"#, vec![row; 19].join(","));
    for (case, tool, arguments) in
        [("one long string", "read", text), ("many short values", "write", rows)]
    {
        let head = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":"#;
        let body = Bytes::from(format!(r#"{head}{arguments},"name":"{tool}"}}}}"#));
        let times = measure(
            ROUNDS,
            vec![
                Case::new(20_000, |_| drop(black_box(poll_once(baseline.call(post(&body)))))),
                Case::new(20_000, |_| drop(black_box(poll_once(guarded.call(post(&body)))))),
            ],
        );
        let more = times[1] - times[0];
        print_row(
            &format!("{case}, {} bytes", body.len()),
            &format!("{more:.0} ns more"),
            "at most 2,000 ns",
            more <= 2_000.0,
        );
    }
}

/// A batch of URIs and a policy whose comparison would take minutes without a bound. Each row is
/// built to make the steps that the bound counts as slow as they can be.
pub(crate) fn matching() {
    let scopes = |list| Scopes::parse(list).unwrap();
    let caller = AuthInfo::for_user("user_1", "token".into()).scopes(scopes("r")).build();
    print_head("A batch of 100 URIs of 2 KiB, with 200 patterns of four wildcards each");
    let long = format!("*{0}b*{0}c*{0}d*", "a".repeat(300));
    let rows = [
        ("asterisks, which match", "*a*a*a*", "a".repeat(2_000)),
        ("asterisks, which do not match", "*b*c*d*e", format!("{}e", "bcd".repeat(600))),
        ("expressions, which match", "{a}{b}{c}{d}", "a".repeat(2_000)),
        ("expressions, short", "{a}{b}{c}{d}", "abcd".to_owned()),
        ("expressions with literals", "{a}/{b}/{+c}a{d}", "a/".repeat(1_000)),
        ("long literals", long.as_str(), "a".repeat(2_000)),
    ];
    for (case, pattern, rest) in rows {
        let policy = (0..200).fold(AccessPolicy::deny_by_default(), |policy, _| {
            policy.resource(format!("x:{pattern}"), scopes("r"))
        });
        let policy = policy.resource("*", scopes("r")).build().unwrap();
        let mut guarded = AccessPolicyLayer::new(policy, resource()).layer(tower::service_fn(
            |_: Request<RequestBody<Full<Bytes>>>| {
                std::future::ready(Ok::<_, Infallible>(Response::new(())))
            },
        ));
        let uri = format!("x:{rest}");
        let message = format!(r#"{{"id":1,"method":"resources/read","params":{{"uri":"{uri}"}}}}"#);
        let body = Bytes::from(format!("[{}]", vec![message; 100].join(",")));
        let times = measure(
            ROUNDS,
            vec![Case::new(5, |_| {
                let mut request = Request::post("/mcp").body(Full::new(body.clone())).unwrap();
                request.extensions_mut().insert(caller.clone());
                let response = black_box(poll_once(guarded.call(request))).unwrap();
                assert_eq!(response.status(), StatusCode::OK);
            })],
        );
        let milliseconds = times[0] / 1e6;
        print_row(case, &format!("{milliseconds:.1} ms"), "at most 10 ms", milliseconds <= 10.0);
    }
}

pub(crate) fn metadata() {
    let document = ProtectedResourceMetadata::builder(&resource())
        .authorization_server("https://clerk.example.com")
        .build()
        .unwrap();
    let mut service = ProtectedResourceService::new(&document);
    let body = Bytes::from(serde_json::to_vec(&document).unwrap());
    let mut baseline = tower::service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(body.clone()))))
    });
    let times = measure(
        ROUNDS,
        vec![
            Case::new(20_000, |_| drop(black_box(poll_once(baseline.call(Request::new(())))))),
            Case::new(20_000, |_| drop(black_box(poll_once(service.call(Request::new(())))))),
        ],
    );
    print_head("Metadata; the baseline is a service that returns the same bytes");
    let more = times[1] - times[0];
    print_row(
        "GET of the protected resource metadata",
        &format!("{more:.0} ns more"),
        "at most 500 ns",
        more <= 500.0,
    );
}
