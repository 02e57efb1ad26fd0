//! Every row on every way.

use super::Site;
use super::rows::{self, Row};
use super::ways::{Server, Way};

/// The most that an answer may have.
const MOST_BYTES: u64 = 512 * 1024;
/// What the sockets of this machine may hold besides: it has left the wire and reached nobody.
const UNDER_WAY: u64 = 8 * 1024 * 1024;

async fn assert_weathers(way: Way, rows: Vec<Row>, site: &Site) {
    // Lives through all of it.
    let old = Server::new(site, way);
    old.assert_works("at first").await;
    for row in rows {
        let new = old.another();
        let known = old.token();
        old.assert_accepts(&known, &row.what).await;
        site.trouble(way, &row.trouble).await;

        assert_fails(&new, &row).await;
        old.assert_accepts(&known, &row.what).await;
        if way.keeps() {
            assert_lives_on(&old, &row).await;
        }

        site.heal();
        site.fixture.advance(row.pause.unwrap_or_default().max(30));
        for server in [&old, &new] {
            server.assert_works(&format!("after {}", row.what)).await;
        }
    }
    assert_eq!(site.elsewhere.requests(), 0, "{way:?}");
}

/// A server that knows nothing yet: one call, and the refusal that belongs to it.
async fn assert_fails(server: &Server<'_>, row: &Row) {
    let (way, what) = (server.way, &row.what);
    let kind = if way.has_key() { row.kind_with_key } else { row.kind };
    let (requests, sent) = (server.site.wire.requests(), server.site.wire.sent());
    if way != Way::Users {
        let answer = patiently(server, row, server.answer(&server.token())).await;
        server.assert_refused(&answer, kind, row.pause, what);
        assert!(server.site.wire.requests() <= requests + 1, "{way:?}, {what}: more than one call");
    }
    let outcome = patiently(server, row, server.outcome(&server.token())).await;
    let (failed, pause) = outcome.expect_err(what);
    assert_eq!(failed, kind, "{way:?}, {what}");
    // Keys are not asked for again at once.
    let least = matches!(way, Way::PublicKeys | Way::BackendKeys).then_some(1);
    assert_eq!(pause.map(|pause| pause.as_secs()), row.pause.max(least), "{way:?}, {what}");
    assert!(server.site.wire.requests() <= requests + 2, "{way:?}, {what}: more than a call each");
    let sent = server.site.wire.sent() - sent;
    assert!(sent <= 2 * (MOST_BYTES + UNDER_WAY), "{way:?}, {what}: {sent} bytes have gone out");
}

/// Much later, when what is at hand is too old to be used without another attempt: tokens that nobody has seen yet are
/// accepted all the same.
async fn assert_lives_on(server: &Server<'_>, row: &Row) {
    server.site.fixture.advance(2 * 60 * 60);
    let token = server.token();
    patiently(server, row, server.assert_accepts(&token, &row.what)).await;
    server.assert_accepts(&server.token(), &row.what).await;
}

async fn patiently<T>(server: &Server<'_>, row: &Row, call: impl Future<Output = T>) -> T {
    if row.times_out { server.site.unanswered(call).await } else { call.await }
}

async fn assert_weathers_all(way: Way) {
    let site = Site::new().await;
    let (own, other) = (site.wire.origin(), site.elsewhere.origin());
    let places = [
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
        rows::connections(),
        rows::bodies(),
        rows::statuses(),
        rows::pauses(),
        rows::redirects(&places),
    ];
    assert_weathers(way, groups.into_iter().flatten().collect(), &site).await;
}

#[tokio::test]
async fn of_the_public_keys() {
    assert_weathers_all(Way::PublicKeys).await;
}

#[tokio::test]
async fn of_the_keys_of_the_backend_api() {
    assert_weathers_all(Way::BackendKeys).await;
}

#[tokio::test]
async fn of_the_answers_about_opaque_tokens() {
    assert_weathers_all(Way::OpaqueTokens).await;
}

#[tokio::test]
async fn of_the_metadata() {
    assert_weathers_all(Way::Metadata).await;
}

#[tokio::test]
async fn of_the_users() {
    assert_weathers_all(Way::Users).await;
}
