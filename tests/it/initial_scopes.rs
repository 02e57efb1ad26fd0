//! What a client is told before it has a token: the scopes to ask for, and where to sign in.

use clerk_mcp_tools::bearer_auth::{BearerAuthLayer, ResourcesByHost};
use clerk_mcp_tools::{AccessPolicy, ClerkMcp, ConfigErrorKind, Scopes};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

use crate::support::{
    EchoUser, Fixture, NOW, RESOURCE, TestResponse, collect_responses, guarded, request, send,
};

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

fn policy() -> AccessPolicy {
    AccessPolicy::baseline_by_default().tool("delete", scopes("files:write")).build().unwrap()
}

fn call(tool: &str, credentials: Option<&str>) -> Request<Full<bytes::Bytes>> {
    let headers: Vec<_> = credentials.map(|value| ("authorization", value)).into_iter().collect();
    let body = format!(r#"{{"id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
    request(Method::POST, "/mcp", &headers).map(|_| Full::from(body))
}

fn scope(response: &TestResponse) -> &str {
    let challenge = response.header("www-authenticate").unwrap();
    challenge.split_once("scope=\"").unwrap().1.strip_suffix('"').unwrap()
}

#[tokio::test]
async fn every_challenge_to_sign_in_names_them_unless_the_token_has_expired() {
    let fixture = Fixture::new().await;
    let mint = || fixture.clerk.mint().audience(RESOURCE);
    let rows = [
        (None, "delete", 401, "profile email files:write calendar"),
        (Some("Basic x".to_owned()), "delete", 401, "profile email files:write calendar"),
        (Some("Bearer a.b".to_owned()), "read", 401, "profile email files:write calendar"),
        (
            Some(format!("Bearer {}", mint().revoked(true).opaque())),
            "read",
            401,
            "profile email files:write calendar",
        ),
        // What was granted before is known, and what is needed.
        (
            Some(format!("Bearer {}", mint().expires_at(NOW - 60).jwt())),
            "read",
            401,
            "profile email",
        ),
        (
            Some(format!("Bearer {}", mint().expires_at(NOW - 60).jwt())),
            "delete",
            401,
            "profile email files:write",
        ),
        (Some(format!("Bearer {}", fixture.jwt())), "delete", 403, "profile email files:write"),
        (
            Some(format!("Bearer {}", mint().scopes(["profile"]).jwt())),
            "read",
            403,
            "profile email",
        ),
    ];
    let clerk = |optional: bool| {
        let builder = fixture.clerk_mcp_builder().access_policy(policy());
        let builder = builder.initial_scopes(scopes("files:write profile email calendar"));
        if optional { builder.optional() } else { builder }.build().unwrap()
    };
    for optional in [false, true] {
        let service = guarded(clerk(optional).auth_layer());
        for (credentials, tool, status, expected) in &rows {
            let response = send(&service, call(tool, credentials.as_deref())).await;
            assert_eq!(response.status.as_u16(), *status, "{credentials:?} {tool}");
            let mut named: Vec<_> = scope(&response).split(' ').collect();
            let mut expected: Vec<_> = expected.split(' ').collect();
            named.sort_unstable();
            expected.sort_unstable();
            assert_eq!(named, expected, "{credentials:?} {tool} {optional}");
        }
    }
    // No request needs them.
    let credentials = format!("Bearer {}", fixture.jwt());
    let response =
        send(&guarded(clerk(false).auth_layer()), call("read", Some(&credentials))).await;
    assert_eq!(response.status.as_u16(), 200);
    // A handler's own response is the same.
    let rejection = clerk(false).authenticate(&http::HeaderMap::new()).await.unwrap_err();
    let response = TestResponse::read(clerk(false).reject(rejection)).await;
    assert_eq!(scope(&response), "profile email files:write calendar");
}

#[tokio::test]
async fn a_resolver_s_challenges_name_them_too() {
    let fixture = Fixture::new().await;
    let layer = BearerAuthLayer::with_resolver(
        fixture.verifier(),
        ResourcesByHost::new([RESOURCE]).unwrap(),
    );
    let layer = layer.required_scopes(scopes("profile")).initial_scopes(scopes("files:write"));
    let request = request(Method::POST, "/mcp", &[("host", "mcp.example.com")]);
    assert_eq!(scope(&send(&guarded(layer), request).await), "profile files:write");
}

#[tokio::test]
async fn the_metadata_names_the_initial_scopes_unless_others_are_set() {
    let fixture = Fixture::new().await;
    let builder = || fixture.clerk_mcp_builder();
    let supported = |clerk: &ClerkMcp| {
        serde_json::to_value(clerk.metadata()).unwrap()["scopes_supported"].clone()
    };
    let clerk = builder().initial_scopes(scopes("profile email a")).build().unwrap();
    assert_eq!(supported(&clerk), json!(["profile", "email", "a"]));
    let clerk = builder().initial_scopes(scopes("profile email a"));
    let clerk = clerk.scopes_supported(scopes("profile email b")).build().unwrap();
    assert_eq!(supported(&clerk), json!(["profile", "email", "b"]));
    let clerk = builder().scopes_supported(scopes("profile email b")).build().unwrap();
    let response = send(&guarded(clerk.auth_layer()), call("read", None)).await;
    assert_eq!(scope(&response), "profile email");

    for (initial, kind, problem) in [
        ("profile a", ConfigErrorKind::Conflict, "does not have email, which every request needs"),
        ("profile email offline_access", ConfigErrorKind::Invalid, "cannot contain offline_access"),
    ] {
        let error = builder().initial_scopes(scopes(initial)).build().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test]
async fn the_authorization_server_metadata_can_be_left_out() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().without_authorization_server_metadata();
    let error = clerk.clone().restrict_advertised_scopes().build().unwrap_err();
    assert_eq!(error.setting(), "restrict_advertised_scopes");
    let clerk = clerk.build().unwrap();
    let paths: Vec<_> = clerk.well_known_routes().into_iter().map(|(path, _)| path).collect();
    assert!(!paths.is_empty());
    assert!(paths.iter().all(|path| path.contains("protected-resource")), "{paths:?}");
    let router = collect_responses(clerk.mount(axum::Router::new(), EchoUser));
    for (path, status) in [
        ("/.well-known/oauth-authorization-server", 404),
        ("/.well-known/oauth-authorization-server/mcp", 404),
        ("/.well-known/oauth-protected-resource/mcp", 200),
    ] {
        let response = send(&router, request(Method::GET, path, &[])).await;
        assert_eq!(response.status.as_u16(), status, "{path}");
    }
}
