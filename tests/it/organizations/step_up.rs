//! Roles and permissions that a tool requires while it runs: the answer is that of a rule.

use std::convert::Infallible;

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{RequestBody, Requirement, StepUp};
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{ClerkMcp, PermissionError, Rejection, RejectionReason};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, service_fn};

use super::rules::call_tool;
use super::{WRITE, acme, calls, scopes, token};
use crate::support::{Fixture, RESOURCE, TestService, collect_responses, post_message};

/// A service that requires the same of every request.
fn requiring(clerk: &ClerkMcp, requirements: Vec<Requirement>) -> TestService {
    let service = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        let requirements = requirements.clone();
        async move {
            let step_up = request.extensions().get::<StepUp>().unwrap().clone();
            let mut missing = 0;
            for requirement in requirements {
                missing += usize::from(step_up.require(requirement).await.is_err());
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(missing.to_string())))
        }
    });
    collect_responses(clerk.auth_layer().layer(service))
}

#[tokio::test]
async fn the_answer_takes_the_place_of_the_response() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().step_up_from_handlers().build().unwrap();
    let acme = acme(&fixture);
    let member = token(&fixture, &acme);
    let without = fixture.clerk.mint().audience(RESOURCE).jwt();
    let admin = || Requirement::role("org:admin");
    use RejectionReason::{InsufficientScope, OperationDenied, Permission};
    let denied = Permission(PermissionError::RoleNotSufficient);
    let kept = "profile email user:org:read";
    let rows = [
        (&member, vec![Requirement::permission(WRITE)], None),
        (&member, vec![scopes("profile").into()], None),
        (&member, vec![admin()], Some((denied, None))),
        (&member, vec![Requirement::Denied], Some((OperationDenied, None))),
        (&without, vec![admin()], Some((InsufficientScope, Some(kept)))),
        (
            &member,
            vec![scopes("a").into()],
            Some((InsufficientScope, Some("profile email a user:org:read"))),
        ),
        // The first one counts, and scopes add up.
        (&member, vec![admin(), scopes("a").into()], Some((denied, None))),
        (
            &member,
            vec![scopes("a").into(), admin(), scopes("b").into()],
            Some((InsufficientScope, Some("profile email a b user:org:read"))),
        ),
    ];
    for (token, requirements, expected) in rows {
        let service = requiring(&clerk, requirements.clone());
        let response = call_tool(&service, Some(token), "x").await;
        let Some((reason, scope)) = expected else {
            assert_eq!((response.status.as_u16(), response.body.as_str()), (200, "0"));
            continue;
        };
        let rejection = response.extensions.get::<Rejection>().unwrap();
        assert_eq!(rejection.reason(), reason, "{requirements:?}");
        assert_eq!(response.status.as_u16(), 403);
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge.is_some(), scope.is_some(), "{requirements:?}");
        if let (Some(challenge), Some(scope)) = (challenge, scope) {
            assert!(challenge.ends_with(&format!("scope=\"{scope}\"")), "{challenge}");
        }
        if reason == denied {
            let message = rejection.description();
            let error = format!(
                r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":-32000,"message":"{message}"}}}}"#
            );
            assert_eq!(response.body, error);
        }
    }
    assert_eq!(calls(&fixture), 1);
}

#[tokio::test]
async fn an_outage_is_a_503_and_a_batch_keeps_its_response() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().step_up_from_handlers().build().unwrap();
    let token = token(&fixture, &acme(&fixture));
    let service = requiring(&clerk, vec![Requirement::member()]);
    fixture
        .clerk
        .fault(Route::OrganizationMemberships, Fault::Status { status: 503, retry_after: Some(4) });
    let response = call_tool(&service, Some(&token), "x").await;
    assert_eq!((response.status.as_u16(), response.header("retry-after")), (503, Some("4")));
    let batch = r#"[{"id":1,"method":"ping"}]"#;
    let response = post_message(&service, Some(&token), &[], batch).await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (200, "1"));
}
