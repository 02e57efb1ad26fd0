//! What servers say about themselves, and which of it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use clerk_mcp_tools::client::{
    Begun, Connections, Egress, LoginErrorKind, LoginOptions, ServerUrl,
};
use clerk_mcp_tools::testing::{Fault, Route};
use http::HeaderValue;
use serde_json::{Value, json};

use super::support::{World, alice, serve};
use crate::support::json_fault;

/// How a sign-in begins: `None` with a redirect.
#[derive(Debug, PartialEq)]
enum Outcome {
    Redirect,
    NotProtected,
    Error(LoginErrorKind),
}

async fn begin(process: &Connections, server: &str, options: LoginOptions) -> Outcome {
    let server = ServerUrl::parse(server).unwrap();
    match process.begin(&alice(), &server, options).await {
        Ok(Begun::Redirect(_)) => Outcome::Redirect,
        Ok(Begun::NotProtected) => Outcome::NotProtected,
        Ok(Begun::AlreadyConnected(connection)) => panic!("{connection:?}"),
        Err(error) => Outcome::Error(error.kind()),
    }
}

/// A server that responds to MCP requests with this status, and has this metadata.
async fn server(status: u16, metadata: impl FnOnce(&str) -> Option<Value>) -> String {
    let origin = serve(|origin| {
        let status = StatusCode::from_u16(status).unwrap();
        let router = Router::new().route("/mcp", any(move || async move { status }));
        match metadata(origin) {
            None => router,
            Some(document) => router.route(
                "/.well-known/oauth-protected-resource",
                get(move || async move { document.to_string() }),
            ),
        }
    })
    .await;
    format!("{origin}/mcp")
}

#[tokio::test]
async fn servers_that_require_no_sign_in_or_are_none_are_told_apart() {
    let world = World::new().await;
    let process = world.process();
    let rows = [
        (200, Outcome::NotProtected),
        (202, Outcome::NotProtected),
        (401, Outcome::Error(LoginErrorKind::Discovery)),
        (302, Outcome::Error(LoginErrorKind::NotAnMcpServer)),
        (403, Outcome::Error(LoginErrorKind::NotAnMcpServer)),
        (404, Outcome::Error(LoginErrorKind::NotAnMcpServer)),
        (405, Outcome::Error(LoginErrorKind::NotAnMcpServer)),
        (500, Outcome::Error(LoginErrorKind::Unavailable)),
        (503, Outcome::Error(LoginErrorKind::Unavailable)),
    ];
    for (status, expected) in rows {
        let url = server(status, |_| None).await;
        assert_eq!(begin(&process, &url, LoginOptions::new()).await, expected, "{status}");
    }
    // Nobody listens there.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    let outcome = begin(&process, &url, LoginOptions::new()).await;
    assert_eq!(outcome, Outcome::Error(LoginErrorKind::Unavailable));
}

#[tokio::test]
async fn the_metadata_of_a_server_has_to_be_about_it() {
    let world = World::new().await;
    let process = world.process();
    let issuer = world.clerk.issuer();
    let discovery = || Outcome::Error(LoginErrorKind::Discovery);
    let resource = |path: &'static str| move |origin: &str| json!(format!("{origin}{path}"));
    type Resource = Box<dyn Fn(&str) -> Value>;
    let rows: Vec<(Resource, Value, Outcome)> = vec![
        (Box::new(resource("/mcp")), json!([issuer]), Outcome::Redirect),
        (Box::new(resource("")), json!([issuer]), Outcome::Redirect),
        (Box::new(resource("/mcp")), json!([format!("{issuer}/")]), Outcome::Redirect),
        (Box::new(resource("/other")), json!([issuer]), discovery()),
        (Box::new(|_| json!("https://mcp.example.com/mcp")), json!([issuer]), discovery()),
        (Box::new(|_| json!(null)), json!([issuer]), discovery()),
        (Box::new(resource("/mcp")), json!([]), discovery()),
        (Box::new(resource("/mcp")), json!(null), discovery()),
        (Box::new(resource("/mcp")), json!(["http://as.example.com"]), discovery()),
        (Box::new(resource("/mcp")), json!(["javascript:alert(1)"]), discovery()),
        (Box::new(resource("/mcp")), json!([format!("{issuer}/other")]), discovery()),
        (
            Box::new(resource("/mcp")),
            json!(["https://169.254.169.254"]),
            Outcome::Error(LoginErrorKind::Forbidden),
        ),
    ];
    for (resource, issuers, expected) in rows {
        let url = server(401, |origin| {
            Some(json!({
                "resource": resource(origin),
                "authorization_servers": issuers.clone(),
                "scopes_supported": null,
            }))
        })
        .await;
        assert_eq!(begin(&process, &url, LoginOptions::new()).await, expected, "{issuers}");
    }
}

#[tokio::test]
async fn documents_are_bounded_and_redirects_are_not_followed() {
    let world = World::new().await;
    let process = world.process();
    let followed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&followed);
    let target = serve(|_| {
        Router::new().fallback(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            async {}
        })
    })
    .await;
    for document in ["redirect", "long", "not JSON", "unavailable"] {
        let target = target.clone();
        let origin = serve(|_| {
            let respond = move || {
                let target = target.clone();
                async move {
                    match document {
                        "redirect" => (StatusCode::FOUND, [("location", target)]).into_response(),
                        "long" => " ".repeat(300 * 1024).into_response(),
                        "unavailable" => StatusCode::BAD_GATEWAY.into_response(),
                        _ => "x".into_response(),
                    }
                }
            };
            Router::new()
                .route("/mcp", any(|| async { StatusCode::UNAUTHORIZED }))
                .fallback(respond)
        })
        .await;
        let kind = match document {
            "unavailable" => LoginErrorKind::Unavailable,
            _ => LoginErrorKind::Discovery,
        };
        let outcome = begin(&process, &format!("{origin}/mcp"), LoginOptions::new()).await;
        assert_eq!(outcome, Outcome::Error(kind), "{document}");
    }
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_metadata_of_the_authorization_server_is_checked() {
    let world = World::new().await;
    let process = world.process();
    let issuer = world.clerk.issuer();
    let long = format!("{issuer}/{}", "a".repeat(65_000));
    let document = |change: Value| {
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/oauth/authorize"),
            "token_endpoint": format!("{issuer}/oauth/token"),
            "registration_endpoint": format!("{issuer}/oauth/register"),
            "code_challenge_methods_supported": ["S256"],
        });
        document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json_fault(document.to_string())
    };
    use LoginErrorKind::{Discovery, Forbidden, NoPkce, Unavailable};
    let rows = [
        (document(json!({})), Outcome::Redirect),
        // Nobody needs these before the connection ends.
        (document(json!({ "revocation_endpoint": "https://10.0.0.1/" })), Outcome::Redirect),
        (document(json!({ "revocation_endpoint": long })), Outcome::Redirect),
        (document(json!({ "token_endpoint": long })), Outcome::Error(Forbidden)),
        (document(json!({ "issuer": "https://evil.example" })), Outcome::Error(Discovery)),
        (document(json!({ "token_endpoint": "http://as.example" })), Outcome::Error(Discovery)),
        (document(json!({ "token_endpoint": "https://10.0.0.1/" })), Outcome::Error(Forbidden)),
        (document(json!({ "authorization_endpoint": "https://[::]/" })), Outcome::Error(Forbidden)),
        (document(json!({ "code_challenge_methods_supported": [] })), Outcome::Error(NoPkce)),
        (Fault::Status { status: 503, retry_after: None }, Outcome::Error(Unavailable)),
        (Fault::Down, Outcome::Error(Unavailable)),
    ];
    for (row, (fault, expected)) in rows.into_iter().enumerate() {
        world.clerk.fault(Route::AuthorizationServerMetadata, fault);
        let outcome = begin(&process, world.server.as_str(), LoginOptions::new()).await;
        assert_eq!(outcome, expected, "row {row}");
    }
    // Without this document, that of OpenID Connect is read.
    world.clerk.fault(
        Route::AuthorizationServerMetadata,
        Fault::Status { status: 404, retry_after: None },
    );
    let outcome = begin(&process, world.server.as_str(), LoginOptions::new()).await;
    assert_eq!(outcome, Outcome::Redirect);
    let registration = json!({ "registration_endpoint": "https://192.168.0.1/" });
    world.clerk.fault(Route::AuthorizationServerMetadata, document(registration));
    let store = clerk_mcp_tools::client::MemoryStore::new(10);
    let process = world.builder(store).build().unwrap();
    let outcome = begin(&process, world.server.as_str(), LoginOptions::new()).await;
    assert_eq!(outcome, Outcome::Error(Forbidden));
}

#[tokio::test]
async fn addresses_that_are_not_public_are_not_called() {
    let world = World::new().await;
    let forbidden = Outcome::Error(LoginErrorKind::Forbidden);
    let builder = world.builder(world.store.clone()).egress(Egress::public());
    let strict = builder.build().unwrap();
    let port = world.clerk.address().port();
    for server in [
        world.server.as_str(),
        &format!("https://127.0.0.1:{port}/"),
        &format!("https://localhost:{port}/"),
        &format!("https://2130706433:{port}/"),
        &format!("https://[::ffff:127.0.0.1]:{port}/"),
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/mcp",
        "https://0.0.0.0/",
    ] {
        assert_eq!(begin(&strict, server, LoginOptions::new()).await, forbidden, "{server}");
    }
    // Nor those that a server names in its challenge.
    let process = world.process();
    for url in ["https://169.254.169.254/", "http://10.0.0.1/", "file:///etc/passwd", "x"] {
        let challenge = format!("Bearer resource_metadata=\"{url}\"");
        let challenge = HeaderValue::from_str(&challenge).unwrap();
        let options = LoginOptions::new().challenge(&challenge);
        let outcome = begin(&process, world.server.as_str(), options).await;
        assert_eq!(outcome, forbidden, "{url}");
    }
    assert_eq!(world.clerk.calls(Route::AuthorizationServerMetadata), 0);
}

#[tokio::test]
async fn hosts_with_a_page_for_every_path_are_used_like_others() {
    let world = World::new().await;
    let process = world.process();
    for (status, has_metadata, expected) in [
        (200, false, Outcome::NotProtected),
        (401, false, Outcome::Error(LoginErrorKind::Discovery)),
        (401, true, Outcome::Redirect),
    ] {
        let issuer = world.clerk.issuer().to_owned();
        let origin = serve(|origin| {
            let status = StatusCode::from_u16(status).unwrap();
            let document = json!({
                "resource": format!("{origin}/mcp"),
                "authorization_servers": [issuer],
            });
            let router = Router::new()
                .route("/mcp", any(move || async move { status }))
                .fallback(|| async { axum::response::Html("<title>Home</title>") });
            if !has_metadata {
                return router;
            }
            let metadata = get(move || async move { document.to_string() });
            router.route("/.well-known/oauth-protected-resource", metadata)
        })
        .await;
        let outcome = begin(&process, &format!("{origin}/mcp"), LoginOptions::new()).await;
        assert_eq!(outcome, expected, "{status} {has_metadata}");
    }
}

#[tokio::test]
async fn only_listed_servers_are_connected_to() {
    let world = World::new().await;
    let listed = [ServerUrl::parse("https://mcp.example.com/mcp").unwrap()];
    let process = world.builder(world.store.clone()).servers(listed).build().unwrap();
    let outcome = begin(&process, world.server.as_str(), LoginOptions::new()).await;
    assert_eq!(outcome, Outcome::Error(LoginErrorKind::Forbidden));
    let process =
        world.builder(world.store.clone()).servers([world.server.clone()]).build().unwrap();
    let outcome = begin(&process, world.server.as_str(), LoginOptions::new()).await;
    assert_eq!(outcome, Outcome::Redirect);
}

#[tokio::test]
async fn a_server_with_two_authorization_servers_is_used_with_that_of_the_settings() {
    let (world, other) = (World::new().await, World::new().await);
    let issuers = json!([other.clerk.issuer(), world.clerk.issuer()]);
    let url = server(401, |origin| {
        Some(json!({
            "resource": format!("{origin}/mcp"),
            "authorization_servers": issuers,
        }))
    })
    .await;
    let process = world.process();
    assert_eq!(begin(&process, &url, LoginOptions::new()).await, Outcome::Redirect);
    assert_eq!(other.clerk.calls(Route::AuthorizationServerMetadata), 1);
    let client = world.clerk.register_client(super::support::REDIRECT_URI);
    let client = clerk_mcp_tools::client::RegisteredClient::public(world.clerk.issuer(), client);
    let process = world.builder(world.store.clone()).client(client).build().unwrap();
    assert_eq!(begin(&process, &url, LoginOptions::new()).await, Outcome::Redirect);
    assert_eq!(world.clerk.calls(Route::AuthorizationServerMetadata), 1);
}
