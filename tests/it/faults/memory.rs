//! The token cache counts the memory that large introspection responses take.

use std::time::Duration;

use clerk_mcp_tools::testing::TokenBuilder;
use clerk_mcp_tools::verify_clerk_token;
use serde_json::{Map, Value, json};

use crate::support::{Fixture, RESOURCE};

const MEBIBYTE: u64 = 1024 * 1024;
/// The minimum size of each of these responses.
const LARGE: usize = 200 * 1024;

/// A chain of nested actors.
fn actors(depth: usize) -> Value {
    (0..depth).fold(
        json!({"sub": "a".repeat(LARGE / depth)}),
        |inner, _| json!({"sub": "a".repeat(LARGE / depth), "act": inner}),
    )
}

#[tokio::test]
async fn large_introspection_responses_count_with_their_size() {
    let members: Map<String, Value> = (0..4_000).map(|n| (format!("{n:032}"), json!(n))).collect();
    let strings = || (0..4_000).map(|n| format!("{n:032}"));
    let audiences: Vec<_> = strings().chain([RESOURCE.to_owned()]).collect();
    let long_scopes: Vec<_> = (0..200).map(|n| format!("{n:01024}")).collect();
    type Change = Box<dyn Fn(TokenBuilder) -> TokenBuilder>;
    let rows: [(&str, Change); 9] = [
        ("a string", Box::new(|token| token.record_member("more", "x".repeat(LARGE)))),
        ("a member name", Box::new(|token| token.record_member("x".repeat(LARGE), 1))),
        ("members", Box::new(move |token| token.record_member("more", members.clone()))),
        ("a list", Box::new(|token| token.record_member("more", vec![1; LARGE / 4]))),
        (
            "nested lists",
            Box::new(|token| token.record_member("more", json!([[vec![json!([]); LARGE / 4]]]))),
        ),
        ("scopes", Box::new(move |token| token.record_member("scopes", long_scopes.clone()))),
        ("audiences", Box::new(move |token| token.audiences(audiences.clone()))),
        ("actors", Box::new(|token| token.actor(actors(10 - 1)))),
        ("a user id", Box::new(|token| token.subject(format!("user_{}", "u".repeat(LARGE))))),
    ];
    let fixture = Fixture::new().await;
    for (case, change) in rows {
        let verifier = fixture.verifier_builder().token_cache_bytes(MEBIBYTE).build().unwrap();
        for _ in 0..20 {
            let token = change(fixture.clerk.mint().audience(RESOURCE)).opaque();
            assert!(verify_clerk_token(&verifier, &token).await.is_ok(), "{case}");
        }
        let held = verifier.stats().cached_tokens;
        assert!(held <= 5, "{case}: {held} entries in one mebibyte");

        // Small entries are still cached.
        let small = fixture.opaque();
        for _ in 0..2 {
            assert!(verify_clerk_token(&verifier, &small).await.is_ok(), "{case}");
        }
        assert_eq!(verifier.stats().cache_hits, 1, "{case}");
        fixture.clock.advance(Duration::from_secs(60));
    }
}
