//! What is kept of Clerk's answers, when they are larger than they should be.

use std::time::Duration;

use clerk_mcp_tools::testing::TokenBuilder;
use clerk_mcp_tools::verify_clerk_token;
use serde_json::{Map, Value, json};

use crate::support::{Fixture, RESOURCE};

const MEBIBYTE: u64 = 1024 * 1024;
/// What each of these answers takes at least.
const LARGE: usize = 200 * 1024;

/// An actor for whom an actor acts, and so on.
fn actors(depth: usize) -> Value {
    (0..depth).fold(
        json!({"sub": "a".repeat(LARGE / depth)}),
        |inner, _| json!({"sub": "a".repeat(LARGE / depth), "act": inner}),
    )
}

#[tokio::test]
async fn large_answers_count_for_what_they_are() {
    let members: Map<String, Value> = (0..4_000).map(|n| (format!("{n:032}"), json!(n))).collect();
    let texts = || (0..4_000).map(|n| format!("{n:032}"));
    let audiences: Vec<_> = texts().chain([RESOURCE.to_owned()]).collect();
    type Change = Box<dyn Fn(TokenBuilder) -> TokenBuilder>;
    let rows: [(&str, Change); 9] = [
        ("a text", Box::new(|token| token.record_member("more", "x".repeat(LARGE)))),
        ("a name", Box::new(|token| token.record_member("x".repeat(LARGE), 1))),
        ("members", Box::new(move |token| token.record_member("more", members.clone()))),
        ("a list", Box::new(|token| token.record_member("more", vec![1; LARGE / 4]))),
        (
            "lists in lists",
            Box::new(|token| token.record_member("more", json!([[vec![json!([]); LARGE / 4]]]))),
        ),
        (
            "scopes",
            Box::new(move |token| token.record_member("scopes", texts().collect::<Vec<_>>())),
        ),
        ("audiences", Box::new(move |token| token.audiences(audiences.clone()))),
        ("actors", Box::new(|token| token.actor(actors(50)))),
        ("a user id", Box::new(|token| token.subject("u".repeat(LARGE)))),
    ];
    let fixture = Fixture::new().await;
    for (what, change) in rows {
        let verifier = fixture.verifier_builder().token_cache_bytes(MEBIBYTE).build().unwrap();
        for _ in 0..20 {
            let token = change(fixture.clerk.mint().audience(RESOURCE)).opaque();
            assert!(verify_clerk_token(&verifier, &token).await.is_ok(), "{what}");
        }
        let held = verifier.stats().cached_tokens;
        assert!(held <= 5, "{what}: {held} answers in a mebibyte");

        // And it is of use all the same.
        let small = fixture.opaque();
        for _ in 0..2 {
            assert!(verify_clerk_token(&verifier, &small).await.is_ok(), "{what}");
        }
        assert_eq!(verifier.stats().cache_hits, 1, "{what}");
        fixture.clock.advance(Duration::from_secs(60));
    }
}
