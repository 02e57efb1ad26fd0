//! Every failure on every upstream.

use super::failures::{self, Case};
use super::upstream::{Server, Upstream};
use super::{FAILURE_IS_RECENT, MAX_RESPONSE_BYTES, ProxiedFixture};

/// The size of the socket buffers, which hold bytes that were sent and not read.
const MAX_BUFFERED_BYTES: u64 = 8 * 1024 * 1024;

async fn assert_survives(upstream: Upstream, cases: Vec<Case>, fixture: &ProxiedFixture) {
    // This server stays up for all of the cases.
    let old = Server::new(fixture, upstream);
    old.assert_works("at the start").await;
    for case in cases {
        let new = old.another();
        let cached = old.token();
        old.assert_accepts(&cached, &case.name).await;
        fixture.fail(upstream, &case.failure).await;

        assert_fails(&new, &case).await;
        old.assert_accepts(&cached, &case.name).await;
        if upstream.is_cached() {
            assert_serves_stale_values(&old, &case).await;
        }

        fixture.heal();
        fixture.advance(case.retry_after.unwrap_or_default().max(FAILURE_IS_RECENT));
        for server in [&old, &new] {
            server.assert_works(&format!("after {}", case.name)).await;
        }
    }
    assert_eq!(fixture.elsewhere.requests(), 0, "{upstream:?}");
}

/// A server with empty caches makes one call, and sends the rejection that this case leads to.
async fn assert_fails(server: &Server<'_>, case: &Case) {
    let (upstream, name) = (server.upstream, &case.name);
    let kind = if upstream.sends_secret_key() { case.kind_with_key } else { case.kind };
    let (requests, sent) = (server.fixture.proxy.requests(), server.fixture.proxy.sent());
    if upstream != Upstream::Users {
        let response = await_call(server, case, server.response(&server.token())).await;
        server.assert_rejection(&response, kind, case.retry_after, name);
        assert!(
            server.fixture.proxy.requests() <= requests + case.requests_per_call(),
            "{upstream:?}, {name}: more than one call"
        );
    }
    // A function that fetches the metadata by itself has the clock of the operating system.
    if case.times_out && upstream == Upstream::Metadata {
        return;
    }
    let outcome = await_call(server, case, server.outcome(&server.token())).await;
    let (failed, retry_after) = outcome.expect_err(name);
    assert_eq!(failed, kind, "{upstream:?}, {name}");
    // Without keys, a failed fetch is retried after a second at the earliest and after thirty at the
    // latest.
    let is_of_keys = matches!(upstream, Upstream::PublicKeys | Upstream::BackendKeys);
    let expected = match case.retry_after {
        retry_after if is_of_keys => Some(retry_after.unwrap_or_default().clamp(1, 30)),
        retry_after => retry_after.max(upstream.min_retry_after(kind)),
    };
    assert_eq!(
        retry_after.map(|retry_after| retry_after.as_secs()),
        expected,
        "{upstream:?}, {name}"
    );
    assert!(
        server.fixture.proxy.requests() <= requests + 2 * case.requests_per_call(),
        "{upstream:?}, {name}: more than one call each"
    );
    let sent = server.fixture.proxy.sent() - sent;
    assert!(
        sent <= 4 * (MAX_RESPONSE_BYTES as u64 + MAX_BUFFERED_BYTES),
        "{upstream:?}, {name}: {sent} bytes were sent"
    );
}

/// Two hours later, when the cached value is stale and a refresh fails, new tokens are still
/// accepted.
async fn assert_serves_stale_values(server: &Server<'_>, case: &Case) {
    server.fixture.advance(2 * 60 * 60);
    let token = server.token();
    await_call(server, case, server.assert_accepts(&token, &case.name)).await;
    server.assert_accepts(&server.token(), &case.name).await;
}

async fn await_call<T>(server: &Server<'_>, case: &Case, call: impl Future<Output = T>) -> T {
    if case.times_out { server.fixture.timed_out(call).await } else { call.await }
}

async fn assert_survives_all(upstream: Upstream) {
    let fixture = ProxiedFixture::new().await;
    let (own, other) = (fixture.proxy.origin(), fixture.elsewhere.origin());
    let locations = [
        format!("{other}/v1/jwks"),
        other.replace("http:", "https:"),
        other.replace("http:", ""),
        other.replace("//", "//user:password@"),
        format!("{own}/"),
        "/v1/jwks".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ];
    let groups = [
        failures::connections(),
        failures::bodies(),
        failures::statuses(),
        failures::retry_after_values(),
        failures::redirects(&locations),
    ];
    assert_survives(upstream, groups.into_iter().flatten().collect(), &fixture).await;
}

#[tokio::test]
async fn failures_of_the_frontend_api_key_set() {
    assert_survives_all(Upstream::PublicKeys).await;
}

#[tokio::test]
async fn failures_of_the_backend_api_key_set() {
    assert_survives_all(Upstream::BackendKeys).await;
}

#[tokio::test]
async fn failures_of_introspection() {
    assert_survives_all(Upstream::OpaqueTokens).await;
}

#[tokio::test]
async fn failures_of_the_metadata() {
    assert_survives_all(Upstream::Metadata).await;
}

#[tokio::test]
async fn failures_of_user_requests() {
    assert_survives_all(Upstream::Users).await;
}
