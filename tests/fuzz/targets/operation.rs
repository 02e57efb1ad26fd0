//! Fuzzes the access policy layer with request bodies. A body that passes must contain no use of a
//! guarded tool, prompt or resource, however leniently a server parses it, and must reach the server
//! unchanged.

#![no_main]

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, RequestBody};
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ResourceUrl, Scopes};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use tower::{Layer, Service};

fuzz_target!(|body: &[u8]| {
    let status = status_for(Bytes::copy_from_slice(body));
    if status == StatusCode::OK {
        // Some parsers skip a byte order mark and continue after the first value.
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Json>();
        let is_guarded = |json: Json| json.names_guarded_target();
        assert!(!values.any(|json| json.is_ok_and(is_guarded)), "a guarded operation passed");
    } else {
        assert!(matches!(status.as_u16(), 400 | 403), "{status}");
    }
});

fn status_for(body: Bytes) -> StatusCode {
    let scope = Scopes::parse("x").unwrap();
    let policy = AccessPolicy::baseline_by_default()
        .tool("a", scope.clone())
        .prompt("a", scope.clone())
        .resource("a:b", scope)
        .build()
        .unwrap();
    let resource = ResourceUrl::parse("https://mcp.example.com/mcp").unwrap();
    let expected = body.clone();
    let mut service = AccessPolicyLayer::new(policy, resource).layer(tower::service_fn(
        |request: Request<RequestBody<Full<Bytes>>>| {
            let collected =
                pin!(request.into_body().collect()).poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(Ok(collected)) = collected else { panic!("the body is not ready") };
            assert_eq!(collected.to_bytes(), expected);
            ready(Ok::<_, Infallible>(Response::new(String::new())))
        },
    ));
    let mut request =
        Request::post("/mcp").header("content-type", "text/plain").body(Full::new(body)).unwrap();
    request
        .extensions_mut()
        .insert(AuthInfo::for_user("user_1", "token".into()).client_id("client_1").build());
    match pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response.status(),
        _ => panic!("the response is not ready"),
    }
}

/// JSON that keeps duplicate members.
enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    String(String),
    Other,
}

impl Json {
    /// Returns whether any parser can find a use of a guarded target: in a batch, in any of several
    /// duplicate members, or with member names in another case.
    fn names_guarded_target(&self) -> bool {
        if let Self::Array(messages) = self {
            return messages.iter().any(Self::names_guarded_target);
        }
        self.members("method").any(|method| {
            self.members("params").any(|params| match method {
                Self::String(method) => params.has_guarded_target(method),
                _ => false,
            })
        })
    }

    fn has_guarded_target(&self, method: &str) -> bool {
        let is_named = |json: &Self| json.members("name").any(|name| name.is("a"));
        let is_located = |json: &Self| json.members("uri").any(|uri| uri.is("a:b"));
        match method {
            "tools/call" | "prompts/get" => is_named(self),
            "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "resources/directory/read"
            | "skills/get" => is_located(self),
            "completion/complete" => {
                self.members("ref").any(|reference| is_named(reference) || is_located(reference))
            }
            "subscriptions/listen" => {
                let filters = self.members("notifications");
                let mut lists = filters.flat_map(|filter| filter.members("resourceSubscriptions"));
                lists.any(|uris| match uris {
                    Self::Array(uris) => uris.iter().any(|uri| uri.is("a:b")),
                    _ => false,
                })
            }
            _ => false,
        }
    }

    fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Json> {
        let members = if let Self::Object(members) = self { members.as_slice() } else { &[] };
        members
            .iter()
            .filter(move |(member, _)| member.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn is(&self, expected: &str) -> bool {
        matches!(self, Self::String(value) if value == expected)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}
