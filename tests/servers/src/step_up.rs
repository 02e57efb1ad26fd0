//! Scopes that a tool requires while it runs, in servers other than rmcp: the 403 takes the place of
//! the result if the server answers after the tool has run.

use axum::Router;
use clerk_mcp_tools::access_policy::StepUp;
use clerk_mcp_tools::{RejectionReason, Scopes};
use http::{Method, StatusCode};
use tower::Layer;

use crate::services::{answering, send};
use crate::sessions::{Fixture, INITIALIZE, INITIALIZED, message};

const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete_file","arguments":{}}}"#;

/// tower-mcp, with a tool that needs scopes, and the extension that it has to be told of.
fn tower_mcp(needed: &'static str) -> Router {
    use tower_mcp::extract::Extension;
    use tower_mcp::{CallToolResult, HttpTransport, McpRouter, ToolBuilder};

    let tool = ToolBuilder::new("delete_file").extractor_handler(
        (),
        move |Extension(step_up): Extension<StepUp>| async move {
            let needed = Scopes::parse(needed).unwrap();
            Ok(match step_up.require_scopes(&needed) {
                Ok(()) => CallToolResult::text("deleted"),
                Err(missing) => CallToolResult::error(missing.to_string()),
            })
        },
    );
    HttpTransport::new(McpRouter::new().server_info("servers", "1").tool(tool.build()))
        .disable_host_validation()
        .disable_origin_validation()
        .bridge_extension::<StepUp>()
        .into_router()
}

#[tokio::test]
async fn a_tool_of_tower_mcp_has_the_client_asked() {
    let fixture = Fixture::new().await;
    for (needed, status) in [("profile", StatusCode::OK), ("admin", StatusCode::FORBIDDEN)] {
        let clerk = fixture.clerk_mcp().step_up_from_handlers().build().unwrap();
        let service = answering(clerk.auth_layer().layer(tower_mcp(needed)));
        let call = async |session: Option<&str>, body| {
            let request = fixture.with_token("user_a", message(Method::POST, session, body));
            send(&service, request).await
        };
        let answer = call(None, INITIALIZE).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let session = answer.header("mcp-session-id").unwrap().to_owned();
        call(Some(&session), INITIALIZED).await;

        let answer = call(Some(&session), CALL).await;
        assert_eq!(answer.status, status, "{needed}: {}", answer.body);
        if status == StatusCode::OK {
            assert!(answer.body.contains("deleted"), "{}", answer.body);
            continue;
        }
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.ends_with("scope=\"admin profile\""), "{challenge}");
        let reason = answer.rejection.map(|rejection| rejection.reason());
        assert_eq!(reason, Some(RejectionReason::InsufficientScope));
    }
}
