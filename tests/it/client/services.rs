//! The services at the redirect URI and at the URL of the client metadata document.

use std::convert::Infallible;

use async_trait::async_trait;
use bytes::Bytes;
use clerk_mcp_tools::client::{
    CallbackService, ClientMetadataService, Connections, IdentifyOwner, LoginOptions,
    LoginRedirect, Owner,
};
use http::request::Parts;
use http::{Method, Request};
use http_body_util::Full;
use tower::{Service, ServiceExt};

use super::support::{REDIRECT_URI, World, alice, browse_to_query, redirect};
use crate::support::{TestResponse, collect_responses, request};

/// Reads the user from a header, as no application may.
#[derive(Clone)]
struct FromHeader;

#[async_trait]
impl IdentifyOwner for FromHeader {
    async fn owner(&self, parts: &Parts) -> Option<Owner> {
        parts.headers.get("x-user").map(Owner::new)
    }
}

async fn send<S, B>(service: S, request: Request<Full<Bytes>>) -> TestResponse
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    collect_responses(service).oneshot(request).await.unwrap()
}

fn service(process: &Connections) -> CallbackService<FromHeader> {
    let service = process.callback_service(FromHeader);
    service.success_path("/connected").unwrap().error_path("/connections?tab=mcp").unwrap()
}

fn cookie(login: &LoginRedirect) -> (String, String) {
    let cookie = login.set_cookie();
    let cookie = cookie.to_str().unwrap();
    let (pair, _) = cookie.split_once("; ").unwrap();
    let (name, _) = pair.split_once('=').unwrap();
    let removed = format!("{name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
    (pair.to_owned(), removed)
}

#[tokio::test]
async fn the_browser_is_sent_back_to_the_application() {
    let world = World::new().await;
    let process = world.process();
    let with_path = LoginOptions::new().return_to("/chats/42?a=b").unwrap();
    let rows = [
        (LoginOptions::new(), Some("user_alice"), false, "/connected"),
        (with_path.clone(), Some("user_alice"), true, "/chats/42?a=b"),
        (with_path.clone(), None, true, "/chats/42?a=b"),
        (with_path.clone(), None, false, "/connections?tab=mcp&error=other-user"),
        (with_path, Some("user_mallory"), true, "/connections?tab=mcp&error=other-user"),
    ];
    for (options, user, has_cookie, location) in rows {
        let begun = process.begin(&alice(), &world.server, options.again()).await.unwrap();
        let login = redirect(begun);
        let uri = format!("/mcp/callback?{}", browse_to_query(&login).await);
        let (pair, removed) = cookie(&login);
        let mut headers = Vec::new();
        headers.extend(user.map(|user| ("x-user", user)));
        headers.extend(has_cookie.then_some(("cookie", pair.as_str())));
        let response = send(service(&process), request(Method::GET, &uri, &headers)).await;
        assert_eq!((response.status.as_u16(), response.body.as_str()), (303, ""));
        response.assert_headers(
            [
                ("location", location),
                ("cache-control", "no-store"),
                ("referrer-policy", "no-referrer"),
                ("set-cookie", &removed),
            ],
            location,
        );
    }
}

#[tokio::test]
async fn failures_are_words_in_the_query() {
    let world = World::new().await;
    let process = world.process();
    let rows = [
        ("", "malformed", false),
        ("code=a", "malformed", false),
        ("code=a&state=unknown", "expired", true),
        ("error=access_denied&state=unknown", "expired", true),
    ];
    for (query, word, has_state) in rows {
        let uri = format!("/mcp/callback?{query}");
        let request = request(Method::GET, &uri, &[("x-user", "user_alice")]);
        let response = send(service(&process), request).await;
        assert_eq!(response.status, 303);
        let location = format!("/connections?tab=mcp&error={word}");
        assert_eq!(response.header("location"), Some(location.as_str()), "{query}");
        assert_eq!(response.header("set-cookie").is_some(), has_state, "{query}");
    }
    let query = browse_to_query(&world.begin(&process).await).await;
    let query = query.replace("code=", "error=access_denied&x=");
    let uri = format!("/mcp/callback?{query}");
    let denied = request(Method::GET, &uri, &[("x-user", "user_alice")]);
    let response = send(process.callback_service(FromHeader), denied).await;
    assert_eq!(response.header("location"), Some("/?error=denied"));
}

#[tokio::test]
async fn other_methods_are_rejected_and_use_nothing() {
    let world = World::new().await;
    let process = world.process();
    let uri = format!("/mcp/callback?{}", browse_to_query(&world.begin(&process).await).await);
    let user = [("x-user", "user_alice")];
    for method in [Method::HEAD, Method::POST, Method::OPTIONS] {
        let response = send(service(&process), request(method.clone(), &uri, &user)).await;
        assert_eq!((response.status.as_u16(), response.body.as_str()), (405, ""), "{method}");
        response.assert_headers([("allow", "GET")], "callback");
    }
    let response = send(service(&process), request(Method::GET, &uri, &user)).await;
    assert_eq!(response.header("location"), Some("/connected"));
}

#[tokio::test]
async fn the_client_metadata_document_is_served() {
    let world = World::new().await;
    let url = "https://app.example.com/mcp/client.json";
    let builder = world.builder(world.store.clone()).client_metadata_url(url);
    let process = builder.client_name("Example Chat").build().unwrap();
    let service: ClientMetadataService = process.client_metadata_service();
    let document = serde_json::json!({
        "client_id": url,
        "client_name": "Example Chat",
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "web",
    });
    let length = document.to_string().len().to_string();
    for (method, body) in [(Method::GET, document.to_string()), (Method::HEAD, String::new())] {
        let response = send(service.clone(), request(method, "/mcp/client.json", &[])).await;
        assert_eq!((response.status.as_u16(), &response.body), (200, &body));
        response.assert_headers(
            [
                ("content-type", "application/json"),
                ("content-length", &length),
                ("cache-control", "public, max-age=3600"),
            ],
            "document",
        );
    }
    let response = send(service, request(Method::POST, "/", &[])).await;
    assert_eq!(response.status, 405);
    response.assert_headers([("allow", "GET, HEAD")], "document");
}

#[tokio::test]
async fn settings_that_cannot_work_are_rejected() {
    use std::time::Duration;

    let world = World::new().await;
    let builder =
        |uri: &str| Connections::builder(world.store.clone(), super::support::keys(), uri);
    for (uri, problem) in [
        ("", "redirect_uri is not a URL without a fragment"),
        ("/callback", "redirect_uri has no host"),
        ("https://app.example.com/#", "redirect_uri is not a URL without a fragment"),
        ("https://user@app.example.com/", "redirect_uri has a user name"),
        (
            "http://app.example.com/",
            "redirect_uri uses http: on a host other than a loopback host; use https:",
        ),
        ("com.example:/callback", "redirect_uri is not a URL without a fragment"),
    ] {
        assert_eq!(builder(uri).build().unwrap_err().to_string(), problem, "{uri}");
    }
    let with = |change: fn(
        clerk_mcp_tools::client::ConnectionsBuilder,
    ) -> clerk_mcp_tools::client::ConnectionsBuilder| {
        change(builder(REDIRECT_URI)).build().map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with(|builder| builder), Ok(()));
    let rows: [(Result<(), String>, &str); 4] = [
        (
            with(|builder| builder.client_metadata_url("https://app.example.com")),
            "client_metadata_url has no path; a client id is the URL of a document",
        ),
        (
            with(|builder| builder.client_metadata_url("http://app.example.com/client.json")),
            "client_metadata_url uses http: on a host other than a loopback host; use https:",
        ),
        (
            with(|builder| builder.login_lifetime(Duration::from_secs(3601))),
            "login_lifetime is not between one second and one hour",
        ),
        (
            with(|builder| builder.idle_lifetime(Duration::from_secs(60))),
            "idle_lifetime is shorter than one hour",
        ),
    ];
    for (outcome, problem) in rows {
        assert_eq!(outcome, Err(problem.to_owned()));
    }
}
