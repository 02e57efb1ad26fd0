//! `ClerkMcp::authenticate` and `authorize`: the verdicts of the layers, for servers without tower.

use clerk_mcp_tools::{AccessPolicy, AuthInfo, ClerkMcp, Rejection, RejectionReason, Scopes};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use tower::Layer;

use crate::support::{
    EchoUser, Fixture, NOW, RESOURCE, TestResponse, collect_responses, request, send,
};

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

fn clerk(fixture: &Fixture) -> ClerkMcp {
    let policy = AccessPolicy::baseline_by_default()
        .tool("delete", scopes("files:write"))
        .method("tools/list", scopes("list"))
        .build()
        .unwrap();
    fixture.clerk_mcp_builder().access_policy(policy).build().unwrap()
}

/// Does by hand what the layer does.
async fn respond(clerk: &ClerkMcp, request: &Request<String>) -> Result<AuthInfo, TestResponse> {
    let checked = async {
        let caller = clerk.authenticate(request.headers()).await?;
        let body = request.body().as_bytes();
        clerk.authorize(request.method(), request.headers(), body, Some(&caller)).await?;
        Ok::<_, Rejection>(caller)
    };
    match checked.await {
        Ok(caller) => Ok(caller),
        Err(rejection) => Err(TestResponse::read(clerk.reject(rejection)).await),
    }
}

#[tokio::test]
async fn the_responses_are_those_of_the_layer() {
    let fixture = Fixture::new().await;
    let clerk = clerk(&fixture);
    let layered = collect_responses(clerk.auth_layer().layer(EchoUser));
    let mint = || fixture.clerk.mint().audience(RESOURCE);
    let good = mint().jwt();
    let tokens = [
        ("good", good.clone()),
        ("opaque", mint().opaque()),
        ("stepped up", mint().scopes(["profile", "email", "files:write"]).jwt()),
        ("narrow", mint().scopes(["profile", "list"]).jwt()),
        ("forged", mint().issued_at(NOW - 3600).foreign_key().jwt()),
        ("for another resource", fixture.clerk.mint().audience("https://other.example").jwt()),
        ("malformed", "a b".to_owned()),
        ("empty", String::new()),
    ];
    let call = |tool: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
    };
    let bodies = [
        (Method::POST, call("delete")),
        (Method::POST, call("open")),
        (Method::POST, r#"{"id":"a","method":"tools/list"}"#.to_owned()),
        (Method::POST, r#"{"id":"a","method":"tools/call","params":[1]}"#.to_owned()),
        (Method::POST, "{".to_owned()),
        (Method::GET, String::new()),
        (Method::DELETE, call("open")),
    ];
    type Headers = &'static [(&'static str, &'static str)];
    let headers: [Headers; 3] =
        [&[], &[("mcp-method", "tools/call"), ("mcp-name", "delete")], &[("mcp-method", "x")]];
    for (name, token) in &tokens {
        for (method, body) in &bodies {
            for more in headers {
                let credentials = format!("Bearer {token}");
                let headers = [more, &[("authorization", credentials.as_str())]].concat();
                let parts = || request(method.clone(), "/mcp", &headers).into_parts().0;
                let expected = Request::from_parts(parts(), Full::from(body.clone()));
                let expected = send(&layered, expected).await;
                let by_hand = respond(&clerk, &Request::from_parts(parts(), body.clone())).await;
                let case = format!("{name} {method} {body} {more:?}");
                match by_hand {
                    Ok(caller) => assert_eq!(expected.body, caller.principal().id(), "{case}"),
                    Err(response) => {
                        assert_eq!(response.status, expected.status, "{case}");
                        assert_eq!(response.body, expected.body, "{case}");
                        // For a token without the scopes of every request, the layer names those of
                        // the operation as well; here the body was not read yet.
                        if *name == "narrow" && !more.contains(&("mcp-name", "delete")) {
                            continue;
                        }
                        assert_eq!(response.sorted_headers(), expected.sorted_headers(), "{case}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_missing_token_is_rejected_also_where_tokens_are_optional() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().optional().build().unwrap();
    let rejection = clerk.authenticate(&HeaderMap::new()).await.unwrap_err();
    assert_eq!(rejection.reason(), RejectionReason::MissingToken);
    assert_eq!(clerk.reject(rejection).status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_a_token_an_operation_without_rules_passes() {
    let fixture = Fixture::new().await;
    let clerk = clerk(&fixture);
    let check = async |body: &str| {
        clerk.authorize(&Method::POST, &HeaderMap::new(), body.as_bytes(), None).await
    };
    assert!(check(r#"{"method":"ping"}"#).await.is_ok());
    let rejection = check(r#"{"method":"tools/list"}"#).await.unwrap_err();
    assert_eq!(rejection.reason(), RejectionReason::MissingToken);
    let too_large = "x".repeat(4 * 1024 * 1024 + 1);
    assert_eq!(
        clerk.reject(check(&too_large).await.unwrap_err()).status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
}
