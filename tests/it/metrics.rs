//! The counters of the `metrics` feature.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use clerk_mcp_tools::testing::Fault;
use clerk_mcp_tools::verify_clerk_token;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::support::Fixture;

/// A recorder that keeps counters only.
#[derive(Default)]
struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counters {
    fn read(&self) -> BTreeMap<String, u64> {
        let counters = self.0.lock().unwrap();
        counters.iter().map(|(name, count)| (name.clone(), count.load(Ordering::Relaxed))).collect()
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.0.lock().unwrap();
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        Counter::from_arc(Arc::clone(counters.entry(name).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// In a process of its own: calls run on another thread, where only the recorder of the process
/// counts them, and other tests would be counted too.
#[test]
fn the_counters_agree_with_the_stats_of_the_verifier() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "metrics::in_a_process_of_its_own"])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
}

#[test]
#[ignore = "is run by the test above"]
fn in_a_process_of_its_own() {
    let counters: &'static Counters = Box::leak(Box::default());
    metrics::set_global_recorder(counters).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stats = runtime.block_on(async {
        let fixture = Fixture::new().await;
        let (verifier, jwt) = (fixture.verifier(), fixture.jwt());
        for _ in 0..3 {
            verify_clerk_token(&verifier, &jwt).await.unwrap();
        }
        fixture.clerk.fault_all(Fault::Down);
        verify_clerk_token(&verifier, &fixture.opaque()).await.unwrap_err();
        verifier.stats()
    });
    assert_eq!(
        (stats.cache_hits, stats.cache_misses, stats.upstream_calls, stats.upstream_failures),
        (2, 2, 2, 1)
    );
    let expected = [
        ("clerk_mcp_tools_token_cache_hits_total token_type=oauth_token", stats.cache_hits),
        ("clerk_mcp_tools_token_cache_misses_total token_type=oauth_token", stats.cache_misses),
        ("clerk_mcp_tools_upstream_calls_total token_type=key_set", 1),
        ("clerk_mcp_tools_upstream_calls_total token_type=oauth_token", stats.upstream_calls - 1),
        ("clerk_mcp_tools_upstream_failures_total token_type=oauth_token", stats.upstream_failures),
    ];
    assert_eq!(counters.read(), expected.map(|(name, count)| (name.to_owned(), count)).into());
}
