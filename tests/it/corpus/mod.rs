//! A corpus of access tokens: known attacks on token verifiers, and valid tokens at the limits.
//!
//! Each entry has a name, a token, the expected verdict, and the rule that the verdict follows
//! from: a section of an RFC or a documented property of Clerk. Each is verified by
//! `verify_clerk_token` and by the bearer-auth layer, twice, and once more after its expiry: with a
//! key set, with a single PEM key, and during an outage of Clerk.

mod accepted_types;
mod algorithms;
mod audiences;
mod claims;
mod encoding;
mod entry;
mod header;
mod json;
mod jwt_builder;
mod keys;
mod opaque;
mod other_credentials;
mod runner;
mod scopes;
mod signatures;
mod times;

use std::collections::BTreeSet;

use entry::{Entry, TokenParams, Verdict};
use runner::{Mode, Runner};

fn entries(params: &TokenParams) -> Vec<Entry> {
    let tables = [
        algorithms::table,
        signatures::table,
        header::table,
        encoding::table,
        json::table,
        times::table,
        claims::table,
        scopes::table,
        audiences::table,
        other_credentials::table,
        opaque::table,
    ];
    tables.into_iter().flat_map(|table| table(params)).collect()
}

async fn run(mode: Mode) {
    let runner = Runner::new().await;
    let entries = entries(&runner.params());
    runner.run(entries, mode).await;
}

#[tokio::test]
async fn every_token_gets_its_verdict_with_a_key_set() {
    run(Mode::KeySet).await;
}

#[tokio::test]
async fn every_jwt_gets_its_verdict_with_a_pem_key() {
    run(Mode::PemKey).await;
}

/// Only tokens that can be rejected without a key get a verdict; the others are unavailable.
#[tokio::test]
async fn without_any_keys_an_outage_is_reported_as_unavailable() {
    run(Mode::OutageAtStart).await;
}

/// Cached keys still decide; only where a newer key might exist is the result unavailable.
#[tokio::test]
async fn with_cached_keys_an_outage_does_not_change_verdicts_on_known_keys() {
    run(Mode::OutageAfterWarmUp).await;
}

#[tokio::test]
async fn the_corpus_is_large_and_every_entry_cites_its_rule() {
    let entries = entries(&Runner::new().await.params());
    let valid =
        entries.iter().filter(|entry| !matches!(entry.verdict, Verdict::Rejected(_))).count();
    assert!(entries.len() >= 700, "{} entries", entries.len());
    assert!(valid >= 130, "{valid} valid tokens");
    let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names.len(), entries.len(), "two entries have the same name");
    let mut literals = BTreeSet::new();
    for entry in &entries {
        let is_new = entry.token.as_literal().is_none_or(|token| literals.insert(token));
        assert!(is_new, "{}: another entry has the same token", entry.name);
        let is_cited = entry.rule.starts_with("RFC ") && entry.rule.contains(" section ");
        assert!(is_cited || entry.rule.starts_with("Clerk: "), "{}: {}", entry.name, entry.rule);
    }
}
