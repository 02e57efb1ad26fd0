//! A small run of the load test with many members.

use super::members::{Outcome, Size, run};

#[tokio::test]
async fn many_members_cost_one_call_each_in_thirty_seconds() {
    let size = Size { users: 100, organizations: 10, requests: 10_000 };
    let outcome = run(size).await;
    let expected = Outcome {
        requests: 10_000,
        // 100 requests of each user in 300 seconds.
        calls: 1_000,
        max_calls: 1_000,
        rejected: 0,
        outage_requests: 2_000,
        outage_calls: outcome.outage_calls,
        outage_rejected: 0,
        revoked_after: 30,
    };
    assert_eq!(outcome, expected);
    // Those that are in flight when the first one fails. Then one in 30 seconds finds out whether the
    // outage is over.
    assert!((20..=64 + 20).contains(&outcome.outage_calls), "{outcome:?}");
}
