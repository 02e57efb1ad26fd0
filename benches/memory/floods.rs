//! Floods of tokens: the calls to Clerk that they cause, and the memory that they leave behind.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clerk_mcp_tools::testing::Route;
use clerk_mcp_tools::{ClerkVerifier, verify_clerk_token};
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::support::fixture::{Fixture, RESOURCE};
use crate::support::table::{print_head, print_row};

const MEBIBYTE: f64 = 1024.0 * 1024.0;

pub(crate) fn run() {
    print_head("Floods");
    one_token();
    unknown_keys();
    opaque_garbage();
}

fn one_token() {
    let fixture = Fixture::new();
    let verifier = fixture.warm_verifier();
    let token = fixture.clerk.mint().audience(RESOURCE).opaque();
    fixture.runtime.block_on(async {
        let tasks: Vec<_> = (0..10_000)
            .map(|_| {
                let (verifier, token) = (verifier.clone(), token.clone());
                tokio::spawn(async move { verify_clerk_token(&verifier, &token).await.is_ok() })
            })
            .collect();
        for accepted in tasks {
            assert!(accepted.await.unwrap());
        }
    });
    let calls = fixture.clerk.calls(Route::VerifyAccessToken);
    assert_eq!(calls, 1);
    print_row("10,000 concurrent requests, one new opaque token", "1 call", "1 call", true);
}

fn unknown_keys() {
    const TOKENS: usize = 100_000;
    let fixture = Fixture::new();
    let verifier = fixture.warm_verifier();
    let good = fixture.jwt();
    let (_, rest) = good.split_once('.').unwrap();
    let region = Region::new(ALLOCATOR);
    let began = std::time::Instant::now();
    fixture.runtime.block_on(async {
        for n in 0..TOKENS {
            let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"ins_{n}"}}"#);
            let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
            assert!(verify_clerk_token(&verifier, &token).await.is_err());
        }
    });
    let grown = heap_growth(&region);
    let fetches = fixture.clerk.calls(Route::Jwks) - 1;
    let allowed = 1 + began.elapsed().as_secs() / 30;
    assert!(fetches as u64 <= allowed, "{fetches} fetches");
    let text =
        format!("{fetches} fetches in {:.1} s, {grown:.2} MiB more", began.elapsed().as_secs_f64());
    print_row(
        "100,000 JWTs with unknown key ids",
        &text,
        "1 fetch per 30 s, under 16 MiB",
        grown < 16.0,
    );
}

fn opaque_garbage() {
    const TOKENS: usize = 1_000_000;
    const CONCURRENCY: usize = 64;
    let fixture = Fixture::new();
    let verifier = fixture.warm_verifier();
    let good = fixture.jwt();
    let region = Region::new(ALLOCATOR);
    let began = std::time::Instant::now();
    fixture.runtime.block_on(async {
        assert!(verify_clerk_token(&verifier, &good).await.is_ok());
        let tasks: Vec<_> = (0..CONCURRENCY)
            .map(|lane| tokio::spawn(verify_unknown(verifier.clone(), lane, TOKENS / CONCURRENCY)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let grown = heap_growth(&region);
    let stats = verifier.stats();
    assert!(stats.rejected_tokens <= 10_000 && stats.cached_tokens == 1);
    let text = format!(
        "{:.1} MiB more in {:.0} s, {} rejections cached",
        grown,
        began.elapsed().as_secs_f64(),
        stats.rejected_tokens
    );
    print_row(
        "1,000,000 distinct unknown opaque tokens",
        &text,
        "10,000 rejections cached at most",
        grown < 16.0,
    );
}

async fn verify_unknown(verifier: ClerkVerifier, lane: usize, tokens: usize) {
    for n in 0..tokens {
        assert!(
            verify_clerk_token(&verifier, &format!("oat_{lane}_{n}_of_a_million")).await.is_err()
        );
    }
}

/// The growth of the heap in MiB, including the fake Clerk in this process.
fn heap_growth(region: &Region<'_, std::alloc::System>) -> f64 {
    let change = region.change();
    // Reallocations are included in both sums.
    (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / MEBIBYTE
}
