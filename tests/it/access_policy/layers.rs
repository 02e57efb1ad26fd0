//! The access policy with the bearer-auth layer, in `ClerkMcp`, and in a handler.

use super::*;

#[tokio::test]
async fn the_bearer_auth_layer_adds_the_scopes_of_the_operation_in_the_headers() {
    let fixture = Fixture::new().await;
    let single = guarded(AuthLayer::new(fixture.layer(), layer()));
    let several = || ResourcesByHost::new([RESOURCE]).unwrap();
    let several = guarded(AuthLayer::new(
        BearerAuthLayer::with_resolver(fixture.verifier(), several())
            .required_scopes(scopes("profile email")),
        AccessPolicyLayer::with_resolver(policy(), several())
            .required_scopes(scopes("profile email")),
    ));
    let foreign = fixture.clerk.mint().audience(RESOURCE).issued_at(NOW - 3600).foreign_key();
    let invalid = format!("Bearer {}", foreign.jwt());
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
    for (headers, more_scopes) in rows {
        for service in [&single, &several] {
            for (credentials, status) in [(None, 401), (Some(&invalid), 401), (Some(&narrow), 403)]
            {
                let mut headers = [headers, &[("host", "mcp.example.com")]].concat();
                headers
                    .extend(credentials.map(|credentials| ("authorization", credentials.as_str())));
                let response = send(service, request(Method::POST, "/mcp", &headers)).await;
                assert_eq!(response.status.as_u16(), status, "{headers:?}");
                let challenge = response.header("www-authenticate").unwrap();
                let expected = format!(
                    "resource_metadata=\"{METADATA}\", scope=\"profile email{more_scopes}\""
                );
                assert!(challenge.ends_with(&expected), "{headers:?}: {challenge}");
            }
        }
    }
}

#[tokio::test]
async fn clerk_mcp_uses_one_policy_for_both_layers_and_the_document() {
    let fixture = Fixture::new().await;
    let requiring = |scope| {
        fixture.clerk_mcp_builder().access_policy(
            AccessPolicy::baseline_by_default().tool("delete_file", scopes(scope)).build().unwrap(),
        )
    };
    let clerk = requiring("files:write email").build().unwrap();
    // The scopes of operations are not advertised; clients step up when they need them.
    let document = serde_json::to_value(clerk.metadata()).unwrap();
    assert_eq!(document["scopes_supported"], serde_json::json!(["profile", "email"]));
    let error = requiring("offline_access").build().unwrap_err();
    assert!(error.to_string().contains("cannot contain offline_access"), "{error}");

    let received = Received::default();
    let service: TestService =
        collect_responses(clerk.auth_layer().layer(recording_service(&received)));
    for token in [fixture.jwt(), fixture.opaque()] {
        let credentials = format!("Bearer {token}");
        let headers = [JSON, ("authorization", credentials.as_str())];
        let response = send(&service, post(&headers, call("delete_file"), None)).await;
        assert_insufficient(&response, "profile email files:write", "without files:write");
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
    assert_eq!(received.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn clerk_mcp_gives_the_hierarchy_to_both_layers() {
    let fixture = Fixture::new().await;
    let hierarchy = ScopeHierarchy::new().implies("all", ["profile", "email"]).unwrap();
    let hierarchy = hierarchy.implies("files", ["files:write"]).unwrap();
    let clerk = fixture.clerk_mcp_builder().scope_hierarchy(hierarchy).access_policy(
        AccessPolicy::deny_by_default().tool("delete_file", scopes("files:write")).build().unwrap(),
    );
    let clerk = clerk.build().unwrap();
    let service: TestService =
        collect_responses(clerk.auth_layer().layer(recording_service(&Received::default())));
    for (granted, status) in [("all files", 200), ("all", 403), ("files", 403)] {
        let token = fixture.clerk.mint().audience(RESOURCE).scopes(granted.split(' ')).jwt();
        let credentials = format!("Bearer {token}");
        let headers = [JSON, ("authorization", credentials.as_str())];
        let response = send(&service, post(&headers, call("delete_file"), None)).await;
        assert_eq!(response.status.as_u16(), status, "{granted}");
    }
}

#[tokio::test]
async fn each_host_has_its_own_challenge() {
    let hosts = || {
        ResourcesByHost::new(["https://a.example.com/mcp", "https://b.example.com/mcp"]).unwrap()
    };
    let layer = AccessPolicyLayer::with_resolver(policy(), hosts());
    let rows = [
        ("b.example.com", 403, "https://b.example.com/.well-known/"),
        ("evil.example.com", 421, ""),
    ];
    for (host, status, metadata) in rows {
        let (response, received) =
            send_to(&layer, post(&[("host", host)], call("delete_file"), Some(""))).await;
        assert_eq!((response.status.as_u16(), received.len()), (status, 0), "{host}");
        assert!(
            response.header("www-authenticate").unwrap_or_default().contains(metadata),
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_handler_can_send_the_same_response_as_the_layer() {
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

    let clerk = fixture.clerk_mcp_builder().build().unwrap();
    let responses = [
        Rejection::from(error.clone()).into_response(&resource(), &scopes("profile email")),
        clerk.reject(error),
    ];
    for response in responses {
        assert_insufficient(
            &TestResponse::read(response).await,
            "profile email files:read",
            "from a handler",
        );
    }
}

#[tokio::test]
async fn without_cors_rejections_have_no_cors_headers() {
    let layer = layer().without_cors();
    let rows =
        [(call("delete_file"), 403), ("{".to_owned(), 400), (" ".repeat(4 * 1024 * 1024 + 1), 413)];
    for (body, status) in rows {
        let (response, _) = send_to(&layer, post(&[JSON], body, Some(""))).await;
        assert_eq!(response.status.as_u16(), status);
        let headers = response.sorted_headers();
        assert!(!headers.iter().any(|(name, _)| name.starts_with("access-control")), "{headers:?}");
    }
}
