//! The caller as an extractor of axum, and rejections as responses of its handlers.

use axum::Router;
use axum::routing::{get, post};
use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost, bearer_token};
use clerk_mcp_tools::{AuthInfo, ClerkMcp, Rejection, RejectionReason, ScopeHierarchy, Scopes};
use http::{HeaderMap, Method};

use crate::secrets::log_capture::LogCapture;
use crate::support::{ANONYMOUS, Fixture, RESOURCE, TestService, collect_responses, request, send};

async fn whoami(caller: AuthInfo) -> String {
    caller.principal().id().to_owned()
}

async fn greet(caller: Option<AuthInfo>) -> String {
    caller.map_or(ANONYMOUS.to_owned(), |caller| caller.principal().id().to_owned())
}

async fn delete(caller: AuthInfo) -> Result<&'static str, Rejection> {
    let needed = Scopes::parse("files:write").unwrap();
    caller.require_scopes(&needed, &ScopeHierarchy::new())?;
    Ok("deleted")
}

async fn own(headers: HeaderMap) -> Result<String, Rejection> {
    bearer_token(&headers).map(str::to_owned)
}

fn routes() -> Router {
    Router::new()
        .route("/whoami", get(whoami))
        .route("/greet", get(greet))
        .route("/delete", post(delete))
        .route("/own", get(own))
}

fn guarded(clerk: &ClerkMcp) -> TestService {
    collect_responses(routes().layer(clerk.auth_layer()))
}

const SERVER_ERROR: &str = r#"{"error":"server_error","error_description":"The server is not set up to verify this access token"}"#;

#[tokio::test]
async fn handlers_get_the_caller() {
    let fixture = Fixture::new().await;
    let user = fixture.clerk.default_user_id().to_owned();
    let credentials = format!("Bearer {}", fixture.jwt());
    let authorized = [("authorization", credentials.as_str())];
    let required = guarded(&fixture.clerk_mcp_builder().build().unwrap());
    let optional = guarded(&fixture.clerk_mcp_builder().optional().build().unwrap());
    for service in [&required, &optional] {
        for path in ["/whoami", "/greet"] {
            let response = send(service, request(Method::GET, path, &authorized)).await;
            assert_eq!((response.status.as_u16(), response.body), (200, user.clone()), "{path}");
        }
    }
    let response = send(&optional, request(Method::GET, "/greet", &[])).await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (200, ANONYMOUS));

    // Where the handler needs a caller, the client is asked to sign in as by the layer.
    let by_handler = send(&optional, request(Method::GET, "/whoami", &[])).await;
    let by_layer = send(&required, request(Method::GET, "/whoami", &[])).await;
    assert_eq!((by_handler.status, &by_handler.body), (by_layer.status, &by_layer.body));
    assert_eq!(by_handler.sorted_headers(), by_layer.sorted_headers());
    assert_eq!(by_handler.status, 401);
    assert!(by_handler.header("www-authenticate").unwrap().contains("scope=\"profile email\""));
}

#[tokio::test]
async fn a_route_that_is_not_guarded_is_a_server_error() {
    let unguarded = collect_responses(routes());
    for path in ["/whoami", "/greet"] {
        let response = send(&unguarded, request(Method::GET, path, &[])).await;
        assert_eq!((response.status.as_u16(), response.body.as_str()), (500, SERVER_ERROR));
        assert_eq!(response.header("www-authenticate"), None, "{path}");
    }
    // And so is one where the access policy is not applied.
    let fixture = Fixture::new().await;
    let policy = clerk_mcp_tools::AccessPolicy::deny_by_default().build().unwrap();
    let clerk = fixture.clerk_mcp_builder().access_policy(policy).build().unwrap();
    let (bearer_auth, _) = clerk.auth_layer().into_parts();
    let service = collect_responses(routes().layer(bearer_auth));
    let credentials = format!("Bearer {}", fixture.jwt());
    let request = request(Method::GET, "/whoami", &[("authorization", &credentials)]);
    let response = send(&service, request).await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (500, SERVER_ERROR));
}

#[tokio::test]
async fn a_rejection_by_a_handler_gets_the_challenge_of_the_layer_and_one_event() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().build().unwrap();
    let service = guarded(&clerk);
    let credentials = format!("Bearer {}", fixture.clerk.mint().audience(RESOURCE).jwt());
    let capture = LogCapture::default();
    let logging = capture.install();
    let headers = [("authorization", credentials.as_str()), ("origin", "https://page.example")];
    let response = send(&service, request(Method::POST, "/delete", &headers)).await;
    drop(logging);
    assert_eq!(response.status, 403);
    let challenge = "Bearer error=\"insufficient_scope\", \
                     error_description=\"The access token lacks a required scope\", \
                     resource_metadata=\"https://mcp.example.com/.well-known/\
                     oauth-protected-resource/mcp\", scope=\"profile email files:write\"";
    let expected = [
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "WWW-Authenticate"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
        ("www-authenticate", challenge),
        // By axum.
        ("content-length", "92"),
    ];
    response.assert_headers(expected, "/delete");
    let body = r#"{"error":"insufficient_scope","error_description":"The access token lacks a required scope"}"#;
    assert_eq!(response.body, body);
    let reason = response.extensions.get::<Rejection>().map(Rejection::reason);
    assert_eq!(reason, Some(RejectionReason::InsufficientScope));
    let text = capture.text();
    let events: Vec<_> = text.lines().filter(|line| line.contains("rejected a request")).collect();
    let user = fixture.clerk.default_user_id();
    let start = format!(
        "rejected a request reason=\"insufficient_scope\" token_type=\"oauth_token\" \
         principal=\"{user}\""
    );
    assert!(events.len() == 1 && events[0].contains(&start), "{events:?}");

    // Of several resources, the challenge names that of the request.
    let resources = ["https://a.example.com/mcp", "https://b.example.com/mcp"];
    let hosts = ResourcesByHost::new(resources).unwrap();
    let layer = BearerAuthLayer::with_resolver(fixture.verifier(), hosts);
    let service = collect_responses(routes().layer(layer));
    for (host, resource) in ["a.example.com", "b.example.com"].into_iter().zip(resources) {
        let credentials = format!("Bearer {}", fixture.clerk.mint().audience(resource).jwt());
        let headers = [("host", host), ("authorization", &credentials)];
        let response = send(&service, request(Method::POST, "/delete", &headers)).await;
        assert_eq!(response.status, 403, "{host}");
        let challenge = format!(
            "Bearer error=\"insufficient_scope\", \
             error_description=\"The access token lacks a required scope\", \
             resource_metadata=\"https://{host}/.well-known/oauth-protected-resource/mcp\", \
             scope=\"files:write\""
        );
        assert_eq!(response.header("www-authenticate"), Some(challenge.as_str()));
    }

    // Without a layer there is no resource that a challenge could name.
    let unguarded = collect_responses(routes());
    let response = send(&unguarded, request(Method::GET, "/own", &[])).await;
    assert_eq!(response.status, 401);
    let headers = [
        ("cache-control", "no-store"),
        ("content-length", "74"),
        ("content-type", "application/json"),
    ];
    response.assert_headers(headers, "/own");
}
