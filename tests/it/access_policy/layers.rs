//! The layer together with the others, and the same answer from a handler.

use super::*;

#[tokio::test]
async fn a_refusal_by_the_bearer_layer_names_what_the_headers_tell() {
    let fixture = Fixture::new().await;
    let one = guarded(fixture.layer().access_policy(rules()));
    let several = ResourcesByHost::new([RESOURCE]).unwrap();
    let several = guarded(
        BearerAuthLayer::with_resolver(fixture.verifier(), several)
            .required_scopes(scopes("profile email"))
            .access_policy(rules()),
    );
    let bad = format!("Bearer {}", fixture.clerk.mint().audience(RESOURCE).foreign_key().jwt());
    let narrow =
        format!("Bearer {}", fixture.clerk.mint().audience(RESOURCE).scopes(["profile"]).jwt());
    const CALL: (&str, &str) = ("mcp-method", "tools/call");
    let rows: [(&[(&str, &str)], &str); 8] = [
        (&[], ""),
        (&[CALL], ""),
        (&[CALL, ("mcp-name", "delete_file")], " files:write"),
        (&[CALL, ("mcp-name", "=?base64?Z3JlZXTDpA==?=")], " greet"),
        (&[CALL, ("mcp-name", "open")], ""),
        (&[CALL, ("mcp-name", "delete_file"), ("mcp-name", "open")], ""),
        (&[("mcp-method", "tools/list")], " list"),
        (&[("mcp-name", "delete_file")], ""),
    ];
    for (headers, further) in rows {
        for service in [&one, &several] {
            for (credentials, status) in [(None, 401), (Some(&bad), 401), (Some(&narrow), 403)] {
                let mut headers = [headers, &[("host", "mcp.example.com")]].concat();
                headers
                    .extend(credentials.map(|credentials| ("authorization", credentials.as_str())));
                let answer = send(service, request(Method::POST, "/mcp", &headers)).await;
                assert_eq!(answer.status.as_u16(), status, "{headers:?}");
                let challenge = answer.header("www-authenticate").unwrap();
                let expected =
                    format!("resource_metadata=\"{METADATA}\", scope=\"profile email{further}\"");
                assert!(challenge.ends_with(&expected), "{headers:?}: {challenge}");
            }
        }
    }
}

#[tokio::test]
async fn clerk_mcp_makes_both_layers_and_the_document_from_the_same_rules() {
    let fixture = Fixture::new().await;
    let needing = |scope| {
        ClerkMcp::builder()
            .resource(RESOURCE.parse().unwrap())
            .verifier(fixture.verifier())
            .scopes(scopes("profile email"))
            .access_policy(
                AccessPolicy::builder().tool("delete_file", scopes(scope)).build().unwrap(),
            )
    };
    let clerk = needing("files:write email").build().unwrap();
    // What operations need is asked for when it is needed.
    let document = serde_json::to_value(clerk.metadata()).unwrap();
    assert_eq!(document["scopes_supported"], serde_json::json!(["profile", "email"]));
    let error = needing("offline_access").build().unwrap_err();
    assert!(error.to_string().contains("cannot contain offline_access"), "{error}");

    let seen = Seen::default();
    let service: TestService = whole_answers(clerk.auth_layer().layer(watching(&seen)));
    for token in [fixture.jwt(), fixture.opaque()] {
        let credentials = format!("Bearer {token}");
        let headers = [JSON, ("authorization", credentials.as_str())];
        let answer = send(&service, post(&headers, call("delete_file"), None)).await;
        assert_insufficient(&answer, "profile email files:write", "no write");
        assert_eq!(send(&service, post(&headers, call("open"), None)).await.status, StatusCode::OK);
    }
    let token =
        fixture.clerk.mint().audience(RESOURCE).scopes(["profile", "email", "files:write"]).jwt();
    let credentials = format!("Bearer {token}");
    let headers = [JSON, ("authorization", credentials.as_str())];
    assert_eq!(
        send(&service, post(&headers, call("delete_file"), None)).await.status,
        StatusCode::OK
    );
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn each_host_has_its_own_challenge() {
    let hosts = || {
        ResourcesByHost::new(["https://a.example.com/mcp", "https://b.example.com/mcp"]).unwrap()
    };
    let layer = AccessPolicyLayer::with_resolver(rules(), hosts());
    let rows = [
        ("b.example.com", 403, "https://b.example.com/.well-known/"),
        ("evil.example.com", 421, ""),
    ];
    for (host, status, named) in rows {
        let (answer, seen) =
            ask(&layer, post(&[("host", host)], call("delete_file"), Some(""))).await;
        assert_eq!((answer.status.as_u16(), seen.len()), (status, 0), "{host}");
        assert!(answer.header("www-authenticate").unwrap_or_default().contains(named), "{host}");
    }
}

#[tokio::test]
async fn a_handler_that_knows_only_inside_what_is_missing_answers_alike() {
    let fixture = Fixture::new().await;
    let caller = AuthInfo::for_user("user_1", "token".into())
        .client_id("client_1")
        .scopes(scopes("files:write"))
        .build();
    let none = ScopeHierarchy::new();
    assert!(caller.has_scope("files:write", &none) && !caller.has_scope("files:read", &none));
    let hierarchy = ScopeHierarchy::new().implies("files:write", ["files:read"]).unwrap();
    assert_eq!(caller.require_scopes(&scopes("files:read files:write"), &hierarchy), Ok(()));
    let error = caller.require_scopes(&scopes("files:read"), &ScopeHierarchy::new()).unwrap_err();
    assert_eq!(error, InsufficientScope::new(scopes("files:read")));

    let clerk = ClerkMcp::builder()
        .resource(RESOURCE.parse().unwrap())
        .verifier(fixture.verifier())
        .scopes(scopes("profile email"))
        .build()
        .unwrap();
    let responses = [
        Rejection::from(error.clone()).into_response(&resource(), &scopes("profile email")),
        clerk.reject(error),
    ];
    for response in responses {
        assert_insufficient(&Answer::read(response).await, "profile email files:read", "inside");
    }
}

#[tokio::test]
async fn a_server_with_cors_of_its_own_gets_none_from_here() {
    let layer = layer().without_cors();
    let rows =
        [(call("delete_file"), 403), ("{".to_owned(), 400), (" ".repeat(4 * 1024 * 1024 + 1), 413)];
    for (body, status) in rows {
        let (answer, _) = ask(&layer, post(&[JSON], body, Some(""))).await;
        assert_eq!(answer.status.as_u16(), status);
        let headers = answer.sorted_headers();
        assert!(!headers.iter().any(|(name, _)| name.starts_with("access-control")), "{headers:?}");
    }
}
