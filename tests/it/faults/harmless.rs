//! What is odd and no fault: the answer is taken for what it is.

use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::testing::Fault;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::{HeaderName, HeaderValue, Response};

use super::ways::{Server, Way};
use super::{Site, Trouble};
use crate::support::wire::{Cut, End};

/// The most that an answer may have.
const MOST_BYTES: usize = 512 * 1024;

#[tokio::test]
async fn right_answers_under_odd_headers() {
    let header = |name: HeaderName, value| Fault::Header(name, HeaderValue::from_static(value));
    let rows = [
        header(CONTENT_TYPE, "text/html"),
        header(CONTENT_TYPE, "application/octet-stream; charset=utf-7"),
        header(LOCATION, "http://127.0.0.1:9/"),
        header(RETRY_AFTER, "120"),
        header(SET_COOKIE, "a=b; Path=/"),
        header(ACCEPT_ENCODING, "gzip"),
        Fault::Slow(Duration::ZERO),
        Fault::Drip(Duration::ZERO),
    ];
    let site = Site::new().await;
    for way in Way::ALL {
        let server = Server::new(&site, way);
        for fault in &rows {
            site.trouble(way, &Trouble::AtClerk(fault.clone())).await;
            server.another().assert_works(&format!("{fault:?}")).await;
        }
        site.heal();
    }
}

/// Nothing that was set by an answer, and nothing that another crate of the process switched on.
#[tokio::test]
async fn requests_say_what_they_have_to() {
    let site = Site::new().await;
    for way in Way::ALL {
        let fault = Fault::Header(SET_COOKIE, HeaderValue::from_static("a=b; Path=/"));
        site.trouble(way, &Trouble::AtClerk(fault)).await;
        let server = Server::new(&site, way);
        for _ in 0..2 {
            server.assert_works("a cookie").await;
            site.fixture.advance(2 * 60 * 60);
        }
        let sent = site.clerk().last_request(way.route()).unwrap();
        let mut names: Vec<_> = sent.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let mut expected = vec!["accept", "connection", "host", "user-agent"];
        if way.has_key() {
            expected.extend(["authorization", "clerk-api-version"]);
        }
        if way == Way::OpaqueTokens {
            expected.extend(["content-length", "content-type"]);
        }
        expected.sort_unstable();
        assert_eq!(names, expected, "{way:?}");
        assert_eq!(sent.query, None, "{way:?}");
    }
}

/// The limit, to the byte, whether the length is announced or not.
#[tokio::test]
async fn answers_may_have_512_kib() {
    let site = Site::new().await;
    let keys = site.clerk().jwks().to_string();
    for (length, is_taken) in [(MOST_BYTES, true), (MOST_BYTES + 1, false)] {
        let body = keys.clone() + &" ".repeat(length - keys.len());
        let whole = Trouble::AtClerk(Fault::Answer(Response::new(Bytes::from(body.clone()))));
        let closed =
            Trouble::OnTheWire(Cut::says(format!("HTTP/1.1 200 OK\r\n\r\n{body}"), End::Close));
        for trouble in [whole, closed] {
            site.trouble(Way::PublicKeys, &trouble).await;
            let server = Server::new(&site, Way::PublicKeys);
            let outcome = server.outcome(&server.token()).await;
            assert_eq!(outcome.is_ok(), is_taken, "{length} bytes: {outcome:?}");
            site.heal();
        }
    }
}

/// What follows an answer belongs to nobody: it is not the answer to the next request.
#[tokio::test]
async fn an_answer_that_nobody_asked_for() {
    let site = Site::new().await;
    let server = Server::new(&site, Way::OpaqueTokens);
    let framed = |status: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let unknown = framed("404 Not Found", r#"{"errors":[{"code":"resource_not_found"}]}"#);
    let good = r#"{"object":"clerk_idp_oauth_access_token","client_id":"c","subject":"u","scopes":["profile","email"],
        "revoked":false,"expired":false,"aud":"https://mcp.example.com/mcp"}"#;
    // It is a good one, for whoever asks for it.
    site.wire.cut(Cut::says(framed("200 OK", good), End::Silence)).await;
    assert_eq!(server.outcome("oat_first").await, Ok(()));
    site.wire.cut(Cut::says(format!("{unknown}{}", framed("200 OK", good)), End::Silence)).await;
    for n in 0..20 {
        assert!(
            server.outcome(&format!("oat_{n}")).await.is_err(),
            "the answer to another request"
        );
    }
}
