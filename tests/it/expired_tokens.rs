//! The challenge for a token that has expired, or that lacks a scope of every request: a client that
//! signs in again with exactly its scopes can do what it tried, and what it could do before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use clerk_mcp_tools::access_policy::RequestBody;
use clerk_mcp_tools::{AccessPolicy, ClerkMcp, Scopes};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, service_fn};

use crate::support::{Fixture, NOW, RESOURCE, TestService, collect_responses, request, send};

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

fn clerk(fixture: &Fixture, optional: bool) -> ClerkMcp {
    let policy = AccessPolicy::baseline_by_default()
        .tool("delete", scopes("files:write"))
        .tool("ban", scopes("admin"))
        .resource("file:///*", scopes("files:read"))
        .build()
        .unwrap();
    let builder = fixture.clerk_mcp_builder().access_policy(policy);
    if optional { builder.optional() } else { builder }.build().unwrap()
}

/// The guarded service, and the number of requests that reached it.
fn counting(clerk: &ClerkMcp) -> (TestService, Arc<AtomicUsize>) {
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let service = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    (collect_responses(clerk.auth_layer().layer(service)), served)
}

#[tokio::test]
async fn the_challenge_names_what_the_operation_needs_and_keeps_what_was_granted() {
    let call = |tool: &str| format!(r#"{{"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
    let batch = format!("[{},{}]", call("delete"), call("ban"));
    let deleting: &[(&str, &str)] = &[("mcp-method", "tools/call"), ("mcp-name", "delete")];
    type Row<'a> = (Method, &'a [(&'a str, &'a str)], String, &'static str, &'static str);
    let rows: [Row<'_>; 11] = [
        (Method::POST, &[], call("open"), "profile email", "profile email"),
        (Method::POST, &[], call("delete"), "profile email", "profile email files:write"),
        (Method::POST, deleting, call("delete"), "profile email", "profile email files:write"),
        (Method::POST, &[], batch, "profile email", "profile email files:write admin"),
        (
            Method::POST,
            &[],
            call("delete"),
            "profile email admin",
            "profile email files:write admin",
        ),
        (Method::POST, &[], call("open"), "profile email admin", "profile email admin"),
        // Scopes that no rule names are of no use here.
        (Method::POST, &[], call("open"), "profile email x:y", "profile email"),
        // The response is that to the token, whatever is wrong with the body.
        (Method::POST, &[], "{".to_owned(), "profile email admin", "profile email admin"),
        (Method::POST, deleting, "[]".to_owned(), "profile email", "profile email files:write"),
        (Method::POST, &[("upgrade", "x")], call("delete"), "profile email", "profile email"),
        (Method::GET, &[], String::new(), "profile email files:read", "profile email files:read"),
    ];
    for optional in [false, true] {
        let fixture = Fixture::new().await;
        let (service, served) = counting(&clerk(&fixture, optional));
        for (method, headers, body, granted, expected) in &rows {
            let expired = || {
                let mint = fixture.clerk.mint().audience(RESOURCE).expires_at(NOW - 60);
                mint.scopes(granted.split(' '))
            };
            for token in [expired().jwt(), expired().opaque()] {
                let credentials = format!("Bearer {token}");
                let headers = [*headers, &[("authorization", credentials.as_str())]].concat();
                let request = request(method.clone(), "/mcp", &headers);
                let request = request.map(|_| Full::from(body.clone()));
                let response = send(&service, request).await;
                assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{body} {granted}");
                let challenge = response.header("www-authenticate").unwrap();
                let start = "Bearer error=\"invalid_token\", error_description=\"The access token \
                             has expired\", ";
                let end = format!(", scope=\"{expected}\"");
                assert!(challenge.starts_with(start), "{challenge}");
                assert!(
                    challenge.ends_with(&end),
                    "{token} {method} {body} {granted}: {challenge}"
                );
            }
        }
        assert_eq!(served.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn a_token_without_the_scopes_of_every_request_needs_one_consent_only() {
    let fixture = Fixture::new().await;
    let (service, served) = counting(&clerk(&fixture, false));
    let token = fixture.clerk.mint().audience(RESOURCE).scopes(["profile", "admin"]).jwt();
    let credentials = format!("Bearer {token}");
    let body = r#"{"method":"resources/read","params":{"uri":"file:///a"}}"#;
    let request = request(Method::POST, "/mcp", &[("authorization", &credentials)]);
    let response = send(&service, request.map(|_| Full::from(body))).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    let challenge = response.header("www-authenticate").unwrap();
    assert!(challenge.ends_with(", scope=\"profile email files:read admin\""), "{challenge}");
    assert_eq!(served.load(Ordering::Relaxed), 0);
}
