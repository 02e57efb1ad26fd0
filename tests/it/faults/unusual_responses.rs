//! Unusual responses that are not failures, and unsolicited responses.

use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::testing::Fault;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::{HeaderName, HeaderValue, Response};

use super::upstream::{Server, Upstream};
use super::{Failure, MAX_RESPONSE_BYTES, ProxiedFixture};
use crate::support::proxy::{ConnectionFault, End};

#[tokio::test]
async fn unusual_headers_do_not_matter() {
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
    let fixture = ProxiedFixture::new().await;
    for upstream in Upstream::ALL {
        let server = Server::new(&fixture, upstream);
        for fault in &rows {
            fixture.fail(upstream, &Failure::Response(fault.clone())).await;
            server.another().assert_works(&format!("{fault:?}")).await;
        }
        fixture.heal();
    }
}

/// No cookies from earlier responses, and no features that another crate enabled in reqwest.
#[tokio::test]
async fn requests_have_only_the_expected_headers() {
    let fixture = ProxiedFixture::new().await;
    for upstream in Upstream::ALL {
        let fault = Fault::Header(SET_COOKIE, HeaderValue::from_static("a=b; Path=/"));
        fixture.fail(upstream, &Failure::Response(fault)).await;
        let server = Server::new(&fixture, upstream);
        for _ in 0..2 {
            server.assert_works("a cookie").await;
            fixture.advance(2 * 60 * 60);
        }
        let sent = fixture.clerk.last_request(upstream.route()).unwrap();
        let mut names: Vec<_> = sent.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let mut expected = vec!["accept", "connection", "host", "user-agent"];
        if upstream.sends_secret_key() {
            expected.extend(["authorization", "clerk-api-version"]);
        }
        if upstream == Upstream::OpaqueTokens {
            expected.extend(["content-length", "content-type"]);
        }
        expected.sort_unstable();
        assert_eq!(names, expected, "{upstream:?}");
        assert_eq!(sent.query, None, "{upstream:?}");
    }
}

/// The limit is exact, with and without `Content-Length`.
#[tokio::test]
async fn responses_are_limited_to_512_kib() {
    let fixture = ProxiedFixture::new().await;
    let keys = fixture.clerk.jwks().to_string();
    for (length, is_accepted) in [(MAX_RESPONSE_BYTES, true), (MAX_RESPONSE_BYTES + 1, false)] {
        let body = keys.clone() + &" ".repeat(length - keys.len());
        let whole = Failure::Response(Fault::Answer(Response::new(Bytes::from(body.clone()))));
        let closed = Failure::Connection(ConnectionFault::sends(
            format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
            End::Close,
        ));
        for failure in [whole, closed] {
            fixture.fail(Upstream::PublicKeys, &failure).await;
            let server = Server::new(&fixture, Upstream::PublicKeys);
            let outcome = server.outcome(&server.token()).await;
            assert_eq!(outcome.is_ok(), is_accepted, "{length} bytes: {outcome:?}");
            fixture.heal();
        }
    }
}

/// Bytes after a response must not be read as the response to the next request.
#[tokio::test]
async fn an_unsolicited_response_is_discarded() {
    let fixture = ProxiedFixture::new().await;
    let server = Server::new(&fixture, Upstream::OpaqueTokens);
    let framed = |status: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let unknown = framed("404 Not Found", r#"{"errors":[{"code":"resource_not_found"}]}"#);
    let valid = r#"{"object":"clerk_idp_oauth_access_token","client_id":"c","subject":"user_1","scopes":["profile","email"],
        "revoked":false,"expired":false,"aud":"https://mcp.example.com/mcp"}"#;
    // By itself, the response is accepted.
    fixture.proxy.fail(ConnectionFault::sends(framed("200 OK", valid), End::Stall)).await;
    assert_eq!(server.outcome("oat_first").await, Ok(()));
    fixture
        .proxy
        .fail(ConnectionFault::sends(format!("{unknown}{}", framed("200 OK", valid)), End::Stall))
        .await;
    for n in 0..20 {
        assert!(
            server.outcome(&format!("oat_{n}")).await.is_err(),
            "accepted a response to another request"
        );
    }
}
