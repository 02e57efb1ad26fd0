//! The failures, and the error that each of them leads to.

use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::ClerkErrorKind::{self, InvalidResponse, NotFound, Unauthorized, Unavailable};
use clerk_mcp_tools::testing::Fault;
use http::Response as HttpResponse;

use super::Failure::{self, Connection, Response};
use crate::support::proxy::{ConnectionFault, End};

/// A failure, and its expected result.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) failure: Failure,
    pub(super) kind: ClerkErrorKind,
    /// The same for upstreams that send the secret key.
    pub(super) kind_with_key: ClerkErrorKind,
    /// The `Retry-After` of the response that is honored, in seconds.
    pub(super) retry_after: Option<u64>,
    /// Whether the call ends by its timeout.
    pub(super) times_out: bool,
}

impl Case {
    /// A call is made once more if a connection that may have been used before ends without a
    /// response.
    pub(super) fn requests_per_call(&self) -> usize {
        match self.failure {
            Connection(_) | Response(Fault::Down) => 2,
            Response(_) => 1,
        }
    }
}

fn case(name: impl Into<String>, failure: Failure, kind: ClerkErrorKind) -> Case {
    Case {
        name: name.into(),
        failure,
        kind,
        kind_with_key: kind,
        retry_after: None,
        times_out: false,
    }
}

fn timeout(name: impl Into<String>, failure: Failure) -> Case {
    Case { times_out: true, ..case(name, failure, Unavailable) }
}

/// A response with this status, these headers and this body.
fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Failure {
    let mut response = HttpResponse::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Response(Fault::Answer(response.body(body.into()).unwrap()))
}

const HTML: &str = "<!doctype html><title>Just a moment</title>";
const CLERK_ERROR: &str =
    r#"{"errors":[{"code":"fault","message":"A fault","long_message":"A fault"}]}"#;
const NOT_FOUND_ERROR: &str =
    r#"{"errors":[{"code":"resource_not_found","message":"Unknown","long_message":"Unknown"}]}"#;

/// Connections that are refused, closed, or carry something other than an HTTP response.
pub(super) fn connections() -> Vec<Case> {
    let sends = |bytes: &'static str, end| Connection(ConnectionFault::sends(bytes, end));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let part = format!("{head}content-length: 1000\r\n\r\n{{\"keys\":[");
    let early_hints = "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n";
    vec![
        case("connection refused", Connection(ConnectionFault::Refused), Unavailable),
        case("closed without a response", sends("", End::Close), Unavailable),
        case("reset without a response", sends("", End::Reset), Unavailable),
        timeout("no response", sends("", End::Stall)),
        timeout(
            "a head without a body",
            sends("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", End::Stall),
        ),
        timeout("half a head", sends("HTTP/1.1 200 OK\r\ncontent-le", End::Stall)),
        timeout(
            "a head, one byte a second",
            Connection(ConnectionFault::Drip(part.clone().into())),
        ),
        case(
            "closed in the body",
            Connection(ConnectionFault::sends(part.clone(), End::Close)),
            Unavailable,
        ),
        case(
            "reset in the body",
            Connection(ConnectionFault::sends(part, End::Reset)),
            Unavailable,
        ),
        case("another protocol", sends("SSH-2.0-OpenSSH_9.6\r\n", End::Stall), Unavailable),
        case("HTTP/2", sends("\0\0\0\x04\0\0\0\0\0", End::Stall), Unavailable),
        case("a TLS alert", sends("\x15\x03\x01\0\x02\x02\x28", End::Close), Unavailable),
        case(
            "an endless head",
            Connection(ConnectionFault::Flood(head.into(), "x: y\r\n".into())),
            Unavailable,
        ),
        case(
            "an endless header",
            Connection(ConnectionFault::Flood(head.into(), "xxxxxxxxxxxxxxxx".into())),
            Unavailable,
        ),
        timeout("only 100 Continue", sends("HTTP/1.1 100 Continue\r\n\r\n", End::Stall)),
        timeout(
            "endless 103 Early Hints",
            Connection(ConnectionFault::sends(early_hints.repeat(10_000), End::Stall)),
        ),
        case(
            "101",
            sends(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
                End::Stall,
            ),
            InvalidResponse,
        ),
        case(
            "two Content-Length headers",
            framed("content-length: 1\r\ncontent-length: 2"),
            Unavailable,
        ),
        case("a negative Content-Length", framed("content-length: -1"), Unavailable),
        case("an invalid Content-Length", framed("content-length: 1e3"), Unavailable),
        case("a chunk without a size", framed("transfer-encoding: chunked\r\n\r\n!"), Unavailable),
        timeout(
            "a chunk of 16 EiB",
            framed("transfer-encoding: chunked\r\n\r\nfffffffffffffff0\r\n"),
        ),
        case("a status with two digits", sends("HTTP/1.1 20 OK\r\n\r\n", End::Stall), Unavailable),
    ]
}

fn framed(headers: &str) -> Failure {
    Connection(ConnectionFault::sends(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n"), End::Stall))
}

/// Status 200 with a body that cannot be used.
pub(super) fn bodies() -> Vec<Case> {
    const MANY: u64 = 100 * 1024 * 1024;
    let json = [("content-type", "application/json")];
    let deep = "[".repeat(100_000);
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    vec![
        case("closed after the request", Response(Fault::Down), Unavailable),
        timeout("no response to the request", Response(Fault::Hang)),
        case("a truncated body", Response(Fault::Truncated), Unavailable),
        timeout("a body that stalls", Response(Fault::Stalled)),
        timeout("a body of one byte a second", Response(Fault::Drip(Duration::from_secs(1)))),
        case("an endless body", Response(Fault::Endless), InvalidResponse),
        case("100 MiB", Response(Fault::Long { bytes: MANY, announced: false }), InvalidResponse),
        case(
            "100 MiB, announced",
            Response(Fault::Long { bytes: MANY, announced: true }),
            InvalidResponse,
        ),
        case("a decompression bomb", response(200, &gzip, gzip_bomb()), InvalidResponse),
        case("HTML", response(200, &[("content-type", "text/html")], HTML), InvalidResponse),
        case("HTML labelled as JSON", response(200, &json, HTML), InvalidResponse),
        case("an empty body", response(200, &json, ""), InvalidResponse),
        case(
            "truncated JSON",
            response(200, &json, r#"{"keys":[{"kty":"RSA","n":""#),
            InvalidResponse,
        ),
        case(
            "invalid UTF-8",
            response(200, &json, &b"{\"keys\":\"\xff\xfe\"}"[..]),
            InvalidResponse,
        ),
        case("null", response(200, &json, "null"), InvalidResponse),
        case("a list", response(200, &json, "[]"), InvalidResponse),
        case("an empty object", response(200, &json, "{}"), InvalidResponse),
        case(
            "members of another type",
            response(200, &json, r#"{"keys":{},"issuer":[],"id":1}"#),
            InvalidResponse,
        ),
        case("another object", response(200, &json, CLERK_ERROR), InvalidResponse),
        case("deeply nested JSON", response(200, &json, deep), InvalidResponse),
    ]
}

/// Statuses other than 200.
pub(super) fn statuses() -> Vec<Case> {
    let json = [("content-type", "application/json")];
    let mut rows: Vec<_> =
        [201, 202, 203, 204, 205, 206, 226, 300, 304, 305, 400, 402, 403, 405, 406, 407]
            .into_iter()
            .chain([408, 409, 410, 413, 418, 421, 422, 425, 426, 428, 431, 451, 499, 600, 999])
            .map(|status| {
                case(status.to_string(), response(status, &json, CLERK_ERROR), InvalidResponse)
            })
            .collect();
    rows.extend(
        [500, 501, 502, 503, 504, 505, 508, 520, 529, 599]
            .into_iter()
            .map(|status| case(status.to_string(), response(status, &json, HTML), Unavailable)),
    );
    rows.push(Case {
        kind_with_key: Unauthorized,
        ..case("401", response(401, &json, CLERK_ERROR), InvalidResponse)
    });
    // Any web server may send 404; only this error of Clerk means that the object is unknown.
    rows.push(case("404 in HTML", response(404, &json, HTML), InvalidResponse));
    rows.push(case(
        "404 in JSON",
        response(404, &json, r#"{"error":"not_found"}"#),
        InvalidResponse,
    ));
    rows.push(case("404 with another error", response(404, &json, CLERK_ERROR), InvalidResponse));
    rows.push(case("404 with Clerk's error", response(404, &json, NOT_FOUND_ERROR), NotFound));
    rows
}

/// Values of `Retry-After`, and the pauses that they lead to.
pub(super) fn retry_after_values() -> Vec<Case> {
    let values = [
        ("0", Some(0)),
        ("1", Some(1)),
        ("7", Some(7)),
        ("300", Some(300)),
        // Limited to five minutes.
        ("301", Some(300)),
        ("4294967296", Some(300)),
        ("18446744073709551615", Some(300)),
        ("18446744073709551616", Some(300)),
        ("1.5", Some(2)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(300)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        // Neither a number of seconds nor a date.
        ("-5", None),
        ("", None),
        ("soon", None),
    ];
    let with = |status: u16, (value, retry_after): (&str, _)| {
        let response = response(status, &[("retry-after", value)], CLERK_ERROR);
        Case {
            retry_after,
            ..case(format!("{status} with Retry-After {value:?}"), response, Unavailable)
        }
    };
    let mut rows: Vec<_> = values.into_iter().map(|value| with(429, value)).collect();
    rows.push(with(503, ("7", Some(7))));
    rows.push(case("429 without Retry-After", response(429, &[], CLERK_ERROR), Unavailable));
    rows
}

/// Redirects to these locations.
pub(super) fn redirects(locations: &[String]) -> Vec<Case> {
    let to = |status, location: &String| {
        let response = response(status, &[("location", location)], "");
        case(format!("{status} to {location}"), response, InvalidResponse)
    };
    let first = [301, 302, 303, 308].into_iter().map(|status| to(status, &locations[0]));
    first.chain(locations.iter().map(|place| to(307, place))).collect()
}

/// About 400 KiB of gzip that decompress to 64 MiB of spaces.
fn gzip_bomb() -> Vec<u8> {
    let mut bits = Bits(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], 0);
    // One block with the fixed codes of RFC 1951 section 3.2.6: a space, then back-references of
    // length 258 and distance 1.
    bits.push(0b011, 3);
    bits.push_code(0x30 + u32::from(b' '), 8);
    for _ in 0..64 * 1024 * 1024 / 258 {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0, 7);
    bits.0
}

/// A bit stream: its bytes, and the number of bits written.
struct Bits(Vec<u8>, u32);

impl Bits {
    /// Appends bits, the lowest first.
    fn push(&mut self, bits: u32, count: u32) {
        for n in 0..count {
            if self.1.is_multiple_of(8) {
                self.0.push(0);
            }
            *self.0.last_mut().unwrap() |= u8::from(bits >> n & 1 == 1) << (self.1 % 8);
            self.1 += 1;
        }
    }

    /// Appends a Huffman code, the highest bit first.
    fn push_code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }
}
