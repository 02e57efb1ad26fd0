//! The counter of decisions, whose labels are from fixed lists.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::Method;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::{bearer, builder, call_of, post, token};
use crate::support::{Fixture, guarded, request, send};

/// The counters of decisions by their labels.
#[derive(Default)]
struct Decisions(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Recorder for Decisions {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() != "clerk_mcp_tools_decisions_total" {
            return Counter::noop();
        }
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let mut counters = self.0.lock().unwrap();
        Counter::from_arc(Arc::clone(counters.entry(labels.join(" ")).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn decisions_are_counted_by_reason_type_and_method() {
    let fixture = Fixture::new().await;
    let clerk = builder(&fixture).build().unwrap();
    let service = guarded(clerk.auth_layer());
    let full = bearer(&token(&fixture, "profile email"));
    let full = [("authorization", full.as_str())];
    let key = format!("Bearer ak_{}", "a".repeat(40));
    let decisions = Decisions::default();
    let _recording = metrics::set_default_local_recorder(&decisions);

    let initialized = r#"{"method":"notifications/initialized"}"#;
    let batch = r#"[{"method":"tools/list"},{"method":"tools/list"}]"#;
    for _ in 0..2 {
        for body in [&call_of("read"), initialized, batch, &call_of("delete")] {
            send(&service, post(&full, body)).await;
        }
    }
    send(&service, post(&full, r#"{"id":1,"result":{}}"#)).await;
    send(&service, request(Method::GET, "/mcp", &full)).await;
    send(&service, post(&full, r#"{"id":1,"method":"made/up by a client"}"#)).await;
    send(&service, post(&[], "")).await;
    let made_up = [("authorization", key.as_str()), ("mcp-method", "made/up")];
    send(&service, post(&made_up, "")).await;
    let malformed = [("authorization", "Bearer a b"), ("mcp-method", "tools/call")];
    send(&service, post(&malformed, "")).await;

    let oauth = "token_type=oauth_token operation";
    let expected = [
        (format!("decision=admitted reason=none {oauth}=batch"), 2),
        (format!("decision=admitted reason=none {oauth}=none"), 2),
        (format!("decision=admitted reason=none {oauth}=notification"), 2),
        (format!("decision=admitted reason=none {oauth}=tools/call"), 2),
        (format!("decision=rejected reason=insufficient_scope {oauth}=tools/call"), 2),
        (
            "decision=rejected reason=malformed_token token_type=unknown operation=tools/call"
                .to_owned(),
            1,
        ),
        ("decision=rejected reason=missing_token token_type=none operation=none".to_owned(), 1),
        (format!("decision=rejected reason=operation_denied {oauth}=other"), 1),
        (
            "decision=rejected reason=wrong_token_type token_type=api_key operation=other"
                .to_owned(),
            1,
        ),
    ];
    let counters = decisions.0.lock().unwrap();
    let counted: BTreeMap<_, _> =
        counters.iter().map(|(key, count)| (key.clone(), count.load(Ordering::Relaxed))).collect();
    assert_eq!(counted, expected.into());
}
