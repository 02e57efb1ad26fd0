//! A corpus of tokens: every way that we know of to confuse a verifier of access tokens, and what is good at the border.
//!
//! Each entry has a name, a token, a verdict, and the rule that the verdict follows from: a section of an RFC or a fact
//! about Clerk. Each runs by `verify_clerk_token` and through the bearer-auth layer, twice and once more when its time is
//! over: with the keys of a key set, with one PEM key, and while Clerk is down.

mod algorithms;
mod audiences;
mod claims;
mod classes;
mod draft;
mod encoding;
mod entry;
mod header;
mod json;
mod keys;
mod opaque;
mod run;
mod scopes;
mod signatures;
mod times;

use std::collections::BTreeSet;

use entry::{Entry, Stage, Verdict};
use run::{Scene, Theatre};

fn entries(stage: &Stage) -> Vec<Entry> {
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
        classes::table,
        opaque::table,
    ];
    tables.into_iter().flat_map(|table| table(stage)).collect()
}

async fn play(scene: Scene) {
    let theatre = Theatre::new().await;
    let entries = entries(&theatre.stage());
    theatre.play(entries, scene).await;
}

#[tokio::test]
async fn every_token_meets_its_verdict_by_the_key_set() {
    play(Scene::KeySet).await;
}

#[tokio::test]
async fn every_jwt_meets_its_verdict_by_a_pem_key() {
    play(Scene::PemKey).await;
}

/// What a look can tell is told; of all else nothing is known, good or bad.
#[tokio::test]
async fn without_any_keys_an_outage_is_no_verdict() {
    play(Scene::OutageFromTheStart).await;
}

/// The keys at hand tell what they can; where there may be a newer one, nothing is known.
#[tokio::test]
async fn with_known_keys_an_outage_changes_nothing_for_known_keys() {
    play(Scene::OutageLater).await;
}

#[tokio::test]
async fn the_corpus_is_large_and_every_entry_says_what_it_stands_for() {
    let entries = entries(&Theatre::new().await.stage());
    let good = entries.iter().filter(|entry| !matches!(entry.verdict, Verdict::Refused(_))).count();
    assert!(entries.len() >= 700, "{} entries", entries.len());
    assert!(good >= 130, "{good} of them are good tokens");
    let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names.len(), entries.len(), "two entries have one name");
    let mut texts = BTreeSet::new();
    for entry in &entries {
        let is_new = entry.token.as_text().is_none_or(|text| texts.insert(text));
        assert!(is_new, "{}: another entry is the same token", entry.name);
        let is_cited = entry.rule.starts_with("RFC ") && entry.rule.contains(" section ");
        assert!(is_cited || entry.rule.starts_with("Clerk: "), "{}: {}", entry.name, entry.rule);
    }
}
