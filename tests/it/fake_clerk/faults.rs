//! Injected faults, recorded requests, and the manual clock.

use std::time::Duration;

use clerk_mcp_tools::clock::Clock;
use clerk_mcp_tools::testing::{FakeClerk, Fault, ManualClock, Route};
use http::Response;
use http::header::{CACHE_CONTROL, HeaderValue};

use super::{get, http, send};

const JWKS: &str = "/.well-known/jwks.json";

fn spawn_get(
    clerk: &FakeClerk,
) -> tokio::task::JoinHandle<Result<reqwest::Response, reqwest::Error>> {
    tokio::spawn(http().get(format!("{}{JWKS}", clerk.issuer())).send())
}

/// Waits until a request has been received. The tasks of a test share one thread.
async fn called(clerk: &FakeClerk) {
    while clerk.calls(Route::Jwks) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn down_closes_the_connection() {
    let clerk = FakeClerk::start().await.unwrap();
    clerk.fault_all(Fault::Down);
    assert!(spawn_get(&clerk).await.unwrap().is_err());
    assert!(clerk.sign_in().access_token().await.is_err());
    assert_eq!(clerk.calls(Route::Jwks), 1);

    clerk.heal_all();
    assert_eq!(get(&clerk, JWKS).await.status, 200);
    clerk.reset_calls();
    assert_eq!(clerk.calls(Route::Jwks), 0);
    assert!(clerk.last_request(Route::Jwks).is_none());
}

#[tokio::test]
async fn hang_lasts_until_the_route_is_healed() {
    let clerk = FakeClerk::start().await.unwrap();
    clerk.fault(Route::Jwks, Fault::Hang);
    let request = spawn_get(&clerk);
    called(&clerk).await;
    assert!(!request.is_finished());

    clerk.heal(Route::Jwks);
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_held_request_waits_for_the_gate() {
    let clerk = FakeClerk::start().await.unwrap();
    let (fault, gate) = Fault::hold();
    clerk.fault(Route::Jwks, fault);
    let requests = [spawn_get(&clerk), spawn_get(&clerk)];
    gate.arrived(2).await;
    assert_eq!(gate.waiting(), 2);

    gate.open();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(get(&clerk, JWKS).await.status, 200);
}

#[tokio::test]
async fn a_held_request_gets_the_next_fault() {
    let clerk = FakeClerk::start().await.unwrap();
    let (fault, gate) = Fault::hold();
    clerk.fault(Route::Jwks, fault);
    let request = spawn_get(&clerk);
    gate.arrived(1).await;

    let retry_after = Some(7);
    clerk.fault(Route::Jwks, Fault::Status { status: 429, retry_after });
    let response = request.await.unwrap().unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &HeaderValue::from_static("7"))
    );
    assert_eq!(gate.waiting(), 0);
}

#[tokio::test]
async fn responses_can_be_replaced() {
    let clerk = FakeClerk::start().await.unwrap();
    clerk.fault(Route::Jwks, Fault::Status { status: 500, retry_after: None });
    assert!(get(&clerk, JWKS).await.json["errors"][0]["code"].is_string());

    clerk.fault(Route::Jwks, Fault::Redirect("https://evil.example/".to_owned()));
    assert_eq!(get(&clerk, JWKS).await.header("location"), Some("https://evil.example/"));

    let body =
        Fault::Body { status: 203, content_type: "text/plain".to_owned(), body: "{}".into() };
    clerk.fault(Route::Jwks, body);
    let response = get(&clerk, JWKS).await;
    assert_eq!(
        (response.status.as_u16(), response.header("content-type")),
        (203, Some("text/plain"))
    );

    clerk.fault(Route::Jwks, Fault::Header(CACHE_CONTROL, HeaderValue::from_static("max-age=1")));
    let response = get(&clerk, JWKS).await;
    assert_eq!(
        (&response.json, response.header("cache-control")),
        (&clerk.jwks(), Some("max-age=1"))
    );

    clerk.fault(Route::Jwks, Fault::Slow(Duration::ZERO));
    assert_eq!(get(&clerk, JWKS).await.status, 200);

    let teapot =
        Response::builder().status(418).header("retry-after", "soon").body("{}".into()).unwrap();
    clerk.fault(Route::Jwks, Fault::Answer(teapot));
    let response = get(&clerk, JWKS).await;
    assert_eq!((response.status.as_u16(), response.header("retry-after")), (418, Some("soon")));
}

#[tokio::test]
async fn bodies_can_be_truncated_endless_or_stalled() {
    let clerk = FakeClerk::start().await.unwrap();
    clerk.fault(Route::Jwks, Fault::Truncated);
    let response = spawn_get(&clerk).await.unwrap().unwrap();
    assert_eq!(response.content_length(), Some(1024));
    assert!(response.bytes().await.is_err());

    clerk.fault(Route::Jwks, Fault::Endless);
    let mut response = spawn_get(&clerk).await.unwrap().unwrap();
    let mut length = 0;
    while length < 1024 * 1024 {
        length += response.chunk().await.unwrap().unwrap().len();
    }

    clerk.fault(Route::Jwks, Fault::Stalled);
    let mut response = spawn_get(&clerk).await.unwrap().unwrap();
    assert_eq!(response.content_length(), None);
    assert_eq!(response.chunk().await.unwrap().unwrap(), "{\"keys\":[");
    tokio::time::pause();
    assert!(tokio::time::timeout(Duration::from_secs(3600), response.chunk()).await.is_err());
}

#[tokio::test]
async fn bodies_can_be_long() {
    let clerk = FakeClerk::start().await.unwrap();
    for (announced, length) in [(true, Some(1_000_000)), (false, None)] {
        clerk.fault(Route::Jwks, Fault::Long { bytes: 1_000_000, announced });
        let response = spawn_get(&clerk).await.unwrap().unwrap();
        assert_eq!(response.content_length(), length);
        assert_eq!(response.bytes().await.unwrap(), " ".repeat(1_000_000));
    }
}

/// With tokio's clock paused, sleeps end as soon as all tasks are idle.
#[tokio::test(start_paused = true)]
async fn a_body_can_come_byte_by_byte() {
    let clerk = FakeClerk::start().await.unwrap();
    clerk.fault(Route::Jwks, Fault::Drip(Duration::from_secs(1)));
    let mut response = spawn_get(&clerk).await.unwrap().unwrap();
    let expected = clerk.jwks().to_string();
    assert_eq!(response.content_length(), u64::try_from(expected.len()).ok());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        body.extend_from_slice(&chunk);
    }
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[tokio::test]
async fn the_public_origin_can_be_set() {
    let clerk = FakeClerk::builder().origin("https://Clerk.example.com/").start().await.unwrap();
    assert_eq!(clerk.issuer(), "https://clerk.example.com");
    assert_eq!(clerk.backend_api_url(), clerk.issuer());
    assert_eq!(clerk.publishable_key().frontend_api_host(), "clerk.example.com");
    let url = format!("http://{}/.well-known/oauth-authorization-server", clerk.address());
    let document = send(http().get(url)).await.json;
    assert_eq!(document["issuer"], clerk.issuer());
    assert_eq!(document["token_endpoint"], "https://clerk.example.com/oauth/token");
    for origin in ["http://clerk.example.com", "clerk.example.com", "https://clerk.example.com/v1"]
    {
        assert!(FakeClerk::builder().origin(origin).start().await.is_err(), "{origin}");
    }
}

#[tokio::test]
async fn the_server_stops_with_the_last_handle() {
    let clerk = FakeClerk::start().await.unwrap();
    clerk.fault(Route::Jwks, Fault::Hang);
    let hanging = spawn_get(&clerk);
    called(&clerk).await;
    let other = clerk.clone();
    drop(clerk);
    other.heal_all();
    assert_eq!(hanging.await.unwrap().unwrap().status(), 200);

    other.fault_all(Fault::Hang);
    other.reset_calls();
    let hanging = spawn_get(&other);
    called(&other).await;
    drop(other);
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test]
async fn requests_are_recorded() {
    let clerk = FakeClerk::start().await.unwrap();
    let url = format!("{}{JWKS}?a=b", clerk.issuer());
    send(http().get(url).header("x-test", "1").bearer_auth("secret")).await;

    let request = clerk.last_request(Route::Jwks).unwrap();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", JWKS));
    assert_eq!(request.query.as_deref(), Some("a=b"));
    assert_eq!(request.headers["x-test"], "1");
    assert!(!format!("{request:?}{clerk:?}").contains("secret"));
}

#[test]
fn the_manual_clock_sets_wall_and_monotonic_time_separately() {
    let clock = ManualClock::new(100);
    let same = clock.clone();
    clock.advance(Duration::from_secs(5));
    same.set_unix_time(Duration::from_secs(50));

    assert_eq!(clock.unix_time(), Duration::from_secs(50));
    assert_eq!(clock.monotonic(), Duration::from_secs(5));
}
