//! Many tokens, and what they leave behind: calls to Clerk, and memory.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clerk_mcp_tools::testing::Route;
use clerk_mcp_tools::{ClerkVerifier, verify_clerk_token};
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::setup::{Fixture, RESOURCE};
use crate::table::{print_head, print_row};

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
        let asking: Vec<_> = (0..10_000)
            .map(|_| {
                let (verifier, token) = (verifier.clone(), token.clone());
                tokio::spawn(async move { verify_clerk_token(&verifier, &token).await.is_ok() })
            })
            .collect();
        for accepted in asking {
            assert!(accepted.await.unwrap());
        }
    });
    let calls = fixture.clerk.calls(Route::VerifyAccessToken);
    assert_eq!(calls, 1);
    print_row("10,000 requests at once, one unseen opaque token", "1 call", "1 call", true);
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
    let grown = grown(&region);
    let fetches = fixture.clerk.calls(Route::Jwks) - 1;
    let allowed = 1 + began.elapsed().as_secs() / 30;
    assert!(fetches as u64 <= allowed, "{fetches} fetches");
    let text =
        format!("{fetches} fetches in {:.1} s, {grown:.2} MiB more", began.elapsed().as_secs_f64());
    print_row(
        "100,000 JWTs with other key ids",
        &text,
        "1 fetch per 30 s, under 16 MiB",
        grown < 16.0,
    );
}

fn opaque_garbage() {
    const TOKENS: usize = 1_000_000;
    const AT_ONCE: usize = 64;
    let fixture = Fixture::new();
    let verifier = fixture.warm_verifier();
    let good = fixture.jwt();
    let region = Region::new(ALLOCATOR);
    let began = std::time::Instant::now();
    fixture.runtime.block_on(async {
        assert!(verify_clerk_token(&verifier, &good).await.is_ok());
        let asking: Vec<_> = (0..AT_ONCE)
            .map(|lane| tokio::spawn(ask(verifier.clone(), lane, TOKENS / AT_ONCE)))
            .collect();
        for lane in asking {
            lane.await.unwrap();
        }
    });
    let grown = grown(&region);
    let stats = verifier.stats();
    assert!(stats.rejected_tokens <= 10_000 && stats.cached_tokens == 1);
    let text = format!(
        "{:.1} MiB more in {:.0} s, {} refusals held",
        grown,
        began.elapsed().as_secs_f64(),
        stats.rejected_tokens
    );
    print_row(
        "1,000,000 distinct opaque tokens that are none",
        &text,
        "10,000 refusals held at most",
        grown < 16.0,
    );
}

async fn ask(verifier: ClerkVerifier, lane: usize, tokens: usize) {
    for n in 0..tokens {
        assert!(
            verify_clerk_token(&verifier, &format!("oat_{lane}_{n}_of_a_million")).await.is_err()
        );
    }
}

/// How many mebibytes are held that were not held before, by this process and the stand-in inside it.
fn grown(region: &Region<'_, std::alloc::System>) -> f64 {
    let change = region.change();
    // What was grown or shrunk in place is in both sums already.
    (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / MEBIBYTE
}
