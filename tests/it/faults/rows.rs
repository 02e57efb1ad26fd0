//! What goes wrong, and what a call comes to by it.

use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::ClerkErrorKind::{self, InvalidResponse, NotFound, Unauthorized, Unavailable};
use clerk_mcp_tools::testing::Fault;
use http::Response;

use super::Trouble::{self, AtClerk, OnTheWire};
use crate::support::wire::{Cut, End};

/// One thing that goes wrong.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) trouble: Trouble,
    pub(super) kind: ClerkErrorKind,
    /// The same where the secret key was sent.
    pub(super) kind_with_key: ClerkErrorKind,
    /// The pause that Clerk asked for, in seconds, as far as it is listened to.
    pub(super) pause: Option<u64>,
    /// Whether it ends only because the caller has waited for long enough.
    pub(super) times_out: bool,
}

fn row(what: impl Into<String>, trouble: Trouble, kind: ClerkErrorKind) -> Row {
    Row { what: what.into(), trouble, kind, kind_with_key: kind, pause: None, times_out: false }
}

fn timeout(what: impl Into<String>, trouble: Trouble) -> Row {
    Row { times_out: true, ..row(what, trouble, Unavailable) }
}

/// An answer with these headers.
fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Trouble {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    AtClerk(Fault::Answer(answer.body(body.into()).unwrap()))
}

const HTML: &str = "<!doctype html><title>Just a moment</title>";
const CLERKS_OWN: &str =
    r#"{"errors":[{"code":"fault","message":"A fault","long_message":"A fault"}]}"#;

/// Bytes where an answer should be, or none.
pub(super) fn connections() -> Vec<Row> {
    let says = |bytes: &'static str, end| OnTheWire(Cut::says(bytes, end));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let part = format!("{head}content-length: 1000\r\n\r\n{{\"keys\":[");
    let early_hints = "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n";
    vec![
        row("nobody listens", OnTheWire(Cut::Refused), Unavailable),
        row("closed without a byte", says("", End::Close), Unavailable),
        row("reset without a byte", says("", End::Reset), Unavailable),
        timeout("silence", says("", End::Silence)),
        timeout(
            "a head, and silence",
            says("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", End::Silence),
        ),
        timeout("half a head, and silence", says("HTTP/1.1 200 OK\r\ncontent-le", End::Silence)),
        timeout("a head, one byte a second", OnTheWire(Cut::Drips(part.clone().into()))),
        row("closed in the body", OnTheWire(Cut::says(part.clone(), End::Close)), Unavailable),
        row("reset in the body", OnTheWire(Cut::says(part, End::Reset)), Unavailable),
        row("another protocol", says("SSH-2.0-OpenSSH_9.6\r\n", End::Silence), Unavailable),
        row("HTTP/2", says("\0\0\0\x04\0\0\0\0\0", End::Silence), Unavailable),
        row("an alert of TLS", says("\x15\x03\x01\0\x02\x02\x28", End::Close), Unavailable),
        row("an endless head", OnTheWire(Cut::Floods(head.into(), "x: y\r\n".into())), Unavailable),
        row(
            "an endless header",
            OnTheWire(Cut::Floods(head.into(), "xxxxxxxxxxxxxxxx".into())),
            Unavailable,
        ),
        timeout("100, and silence", says("HTTP/1.1 100 Continue\r\n\r\n", End::Silence)),
        timeout(
            "103 again and again",
            OnTheWire(Cut::says(early_hints.repeat(10_000), End::Silence)),
        ),
        row(
            "101",
            says(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
                End::Silence,
            ),
            InvalidResponse,
        ),
        row("two lengths", framed("content-length: 1\r\ncontent-length: 2"), Unavailable),
        row("a length below zero", framed("content-length: -1"), Unavailable),
        row("a length that is none", framed("content-length: 1e3"), Unavailable),
        row("a chunk of no size", framed("transfer-encoding: chunked\r\n\r\n!"), Unavailable),
        timeout(
            "a chunk of 16 EiB",
            framed("transfer-encoding: chunked\r\n\r\nfffffffffffffff0\r\n"),
        ),
        row("a status of two digits", says("HTTP/1.1 20 OK\r\n\r\n", End::Silence), Unavailable),
    ]
}

fn framed(headers: &str) -> Trouble {
    OnTheWire(Cut::says(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n"), End::Silence))
}

/// Bodies that are no answer, with status 200.
pub(super) fn bodies() -> Vec<Row> {
    const MANY: u64 = 100 * 1024 * 1024;
    let json = [("content-type", "application/json")];
    let deep = "[".repeat(100_000);
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    vec![
        row("closed without an answer", AtClerk(Fault::Down), Unavailable),
        timeout("no answer", AtClerk(Fault::Hang)),
        row("a body cut short", AtClerk(Fault::Truncated), Unavailable),
        timeout("a body that stalls", AtClerk(Fault::Stalled)),
        timeout("a body of one byte a second", AtClerk(Fault::Drip(Duration::from_secs(1)))),
        row("a body without end", AtClerk(Fault::Endless), InvalidResponse),
        row("100 MiB", AtClerk(Fault::Long { bytes: MANY, announced: false }), InvalidResponse),
        row(
            "100 MiB, as announced",
            AtClerk(Fault::Long { bytes: MANY, announced: true }),
            InvalidResponse,
        ),
        row("a compressed bomb", answer(200, &gzip, bomb()), InvalidResponse),
        row("HTML", answer(200, &[("content-type", "text/html")], HTML), InvalidResponse),
        row("HTML that says it is JSON", answer(200, &json, HTML), InvalidResponse),
        row("nothing", answer(200, &json, ""), InvalidResponse),
        row(
            "half of a JSON",
            answer(200, &json, r#"{"keys":[{"kty":"RSA","n":""#),
            InvalidResponse,
        ),
        row("no UTF-8", answer(200, &json, &b"{\"keys\":\"\xff\xfe\"}"[..]), InvalidResponse),
        row("null", answer(200, &json, "null"), InvalidResponse),
        row("a list", answer(200, &json, "[]"), InvalidResponse),
        row("an object without members", answer(200, &json, "{}"), InvalidResponse),
        row(
            "members of another kind",
            answer(200, &json, r#"{"keys":{},"issuer":[],"id":1}"#),
            InvalidResponse,
        ),
        row("an object of another kind", answer(200, &json, CLERKS_OWN), InvalidResponse),
        row("JSON of great depth", answer(200, &json, deep), InvalidResponse),
    ]
}

/// Other statuses than 200.
pub(super) fn statuses() -> Vec<Row> {
    let json = [("content-type", "application/json")];
    let mut rows: Vec<_> =
        [201, 202, 203, 204, 205, 206, 226, 300, 304, 305, 400, 402, 403, 405, 406, 407]
            .into_iter()
            .chain([408, 409, 410, 413, 418, 421, 422, 425, 426, 428, 431, 451, 499, 600, 999])
            .map(|status| {
                row(status.to_string(), answer(status, &json, CLERKS_OWN), InvalidResponse)
            })
            .collect();
    rows.extend(
        [500, 501, 502, 503, 504, 505, 508, 520, 529, 599]
            .into_iter()
            .map(|status| row(status.to_string(), answer(status, &json, HTML), Unavailable)),
    );
    rows.push(Row {
        kind_with_key: Unauthorized,
        ..row("401", answer(401, &json, CLERKS_OWN), InvalidResponse)
    });
    // Any web server says 404; only Clerk says it in Clerk's words.
    rows.push(row("404 in HTML", answer(404, &json, HTML), InvalidResponse));
    rows.push(row("404 in JSON", answer(404, &json, r#"{"error":"not_found"}"#), InvalidResponse));
    rows.push(row("404 in Clerk's words", answer(404, &json, CLERKS_OWN), NotFound));
    rows
}

/// What stands in a `Retry-After`, and how long a pause it makes.
pub(super) fn pauses() -> Vec<Row> {
    let values = [
        ("0", Some(0)),
        ("1", Some(1)),
        ("7", Some(7)),
        ("300", Some(300)),
        // Beyond what can be meant.
        ("301", Some(300)),
        ("4294967296", Some(300)),
        ("18446744073709551615", Some(300)),
        // Nothing that Clerk sends.
        ("18446744073709551616", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("soon", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
    ];
    let with = |status: u16, (value, pause): (&str, _)| {
        let answer = answer(status, &[("retry-after", value)], CLERKS_OWN);
        Row { pause, ..row(format!("{status} and {value:?}"), answer, Unavailable) }
    };
    let mut rows: Vec<_> = values.into_iter().map(|value| with(429, value)).collect();
    rows.push(with(503, ("7", Some(7))));
    rows.push(row("429 without a pause", answer(429, &[], CLERKS_OWN), Unavailable));
    rows
}

/// Redirects to these places.
pub(super) fn redirects(places: &[String]) -> Vec<Row> {
    let to = |status, place: &String| {
        let answer = answer(status, &[("location", place)], "");
        row(format!("{status} to {place}"), answer, InvalidResponse)
    };
    let first = [301, 302, 303, 308].into_iter().map(|status| to(status, &places[0]));
    first.chain(places.iter().map(|place| to(307, place))).collect()
}

/// Some 400 KiB that a reader of gzip makes 64 MiB of white space from.
fn bomb() -> Vec<u8> {
    let mut bits = Bits(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], 0);
    // One block with the fixed codes of RFC 1951 section 3.2.6: a space, and then "258 bytes as one byte ago".
    bits.push(0b011, 3);
    bits.push_code(0x30 + u32::from(b' '), 8);
    for _ in 0..64 * 1024 * 1024 / 258 {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0, 7);
    bits.0
}

/// Bytes, and how many bits of the last one are taken.
struct Bits(Vec<u8>, u32);

impl Bits {
    /// The lowest bit first.
    fn push(&mut self, bits: u32, count: u32) {
        for n in 0..count {
            if self.1.is_multiple_of(8) {
                self.0.push(0);
            }
            *self.0.last_mut().unwrap() |= u8::from(bits >> n & 1 == 1) << (self.1 % 8);
            self.1 += 1;
        }
    }

    /// A Huffman code, whose highest bit comes first.
    fn push_code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }
}
