//! Tokens for other services: who gets one, for how long, and what every failure becomes.

use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{RequestBody, StepUp};
use clerk_mcp_tools::clerk::{ExchangeErrorKind, TokenExchange};
use clerk_mcp_tools::instance::{FrontendApi, OAuthClientSecret};
use clerk_mcp_tools::testing::{FakeOAuthApplication, Fault, Route};
use clerk_mcp_tools::{
    AuthInfo, ClerkMcp, ConfigErrorKind, Rejection, RejectionReason, Scopes, TokenType,
    verify_clerk_token,
};
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, service_fn};

use super::rules::call_tool;
use super::scopes;
use crate::secrets::log_capture::LogCapture;
use crate::secrets::secret_finder::SecretFinder;
use crate::support::{Fixture, NOW, RESOURCE, TestResponse, collect_responses, json_fault};

const API: &str = "https://api.example.com";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// An application that may exchange the tokens of [`RESOURCE`] for [`API`].
fn application(fixture: &Fixture) -> FakeOAuthApplication {
    let application = fixture.clerk.create_oauth_application(RESOURCE);
    application.allow_exchange_for(API);
    application
}

fn exchange_of(fixture: &Fixture, application: &FakeOAuthApplication) -> TokenExchange {
    let instance = FrontendApi::parse(fixture.clerk.frontend_api_url()).unwrap();
    let secret = OAuthClientSecret::parse(application.client_secret()).unwrap();
    let builder = TokenExchange::builder(instance, application.client_id(), secret);
    builder.clock(fixture.clock.clone()).build().unwrap()
}

fn clerk_mcp(fixture: &Fixture, application: &FakeOAuthApplication) -> ClerkMcp {
    let secret = OAuthClientSecret::parse(application.client_secret()).unwrap();
    let builder = fixture.clerk_mcp_builder().step_up_from_handlers();
    builder.token_exchange(application.client_id(), secret).build().unwrap()
}

async fn caller(fixture: &Fixture, lifetime: u64) -> AuthInfo {
    let token = fixture.clerk.mint().audience(RESOURCE).expires_at(NOW + lifetime).jwt();
    verify_clerk_token(&fixture.verifier(), &token).await.unwrap()
}

fn calls(fixture: &Fixture) -> usize {
    fixture.clerk.calls(Route::Token)
}

#[tokio::test]
async fn a_caller_gets_a_token_of_the_same_user_for_the_target_only() {
    let fixture = Fixture::new().await;
    let application = application(&fixture);
    let clerk = clerk_mcp(&fixture, &application);
    let caller = caller(&fixture, 3600).await;
    let token = clerk.exchange_token(&caller, API, &scopes("profile")).await.unwrap();
    assert_eq!((token.resource(), token.scopes()), (API, &scopes("profile")));
    assert_eq!(token.expires_at(), NOW + 86_400);
    assert_ne!(token.access_token(), caller.token_for_this_server());

    // The other server accepts it, and this one does not.
    let other = fixture.verifier_builder().resource(API.parse().unwrap()).build().unwrap();
    let seen = verify_clerk_token(&other, token.access_token().expose()).await.unwrap();
    assert_eq!(seen.user_id(), caller.user_id());
    assert_eq!(seen.client_id(), Some(application.client_id()));
    let here = verify_clerk_token(&fixture.verifier(), token.access_token().expose()).await;
    let kind = here.unwrap_err().kind();
    assert_eq!(kind, clerk_mcp_tools::VerifyErrorKind::InvalidAudience);
    assert!(verify_clerk_token(&other, caller.token_for_this_server().expose()).await.is_err());

    let request = fixture.clerk.last_request(Route::Token).unwrap();
    assert!(request.headers["authorization"].to_str().unwrap().starts_with("Basic "));
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    assert!(!body.contains(application.client_secret()) && !body.contains("client_id"), "{body}");
}

#[tokio::test]
async fn a_token_is_used_again_until_it_or_the_caller_ends() {
    // The life time of the new token, that of the caller's, and when another one is needed.
    for (lifetime, of_caller, used_for) in
        [(3600, 7200, 3570), (3600, 1000, 1000), (40, 7200, 20), (60, 7200, 30), (1, 7200, 1)]
    {
        let fixture = Fixture::with(|c| c.token_lifetime(Duration::from_secs(lifetime))).await;
        let exchange = exchange_of(&fixture, &application(&fixture));
        let caller = caller(&fixture, of_caller).await;
        let first = exchange.exchange(&caller, API, &scopes("profile")).await.unwrap();
        assert_eq!(first.expires_at(), NOW + lifetime);
        fixture.advance(used_for - 1);
        let again = exchange.exchange(&caller, API, &scopes("profile")).await.unwrap();
        assert_eq!(again.access_token(), first.access_token(), "{lifetime} {of_caller}");
        assert_eq!(calls(&fixture), 1, "{lifetime} {of_caller}");
        fixture.advance(1);
        let outcome = exchange.exchange(&caller, API, &scopes("profile")).await;
        if used_for == of_caller {
            assert_eq!(outcome.unwrap_err().kind(), ExchangeErrorKind::SubjectRejected);
            assert_eq!(calls(&fixture), 1);
        } else {
            assert_ne!(outcome.unwrap().access_token(), first.access_token());
            assert_eq!(calls(&fixture), 2, "{lifetime} {of_caller}");
        }
    }
}

/// The wall clock may be set back.
#[tokio::test]
async fn a_kept_token_ends_with_the_callers_by_either_clock() {
    let fixture = Fixture::new().await;
    let exchange = exchange_of(&fixture, &application(&fixture));
    let caller = caller(&fixture, 1000).await;
    for (passed, expected) in [(999, 1), (1, 2)] {
        fixture.clock.set_unix_time(Duration::from_secs(NOW));
        exchange.exchange(&caller, API, &scopes("profile")).await.unwrap();
        fixture.advance(passed);
        fixture.clock.set_unix_time(Duration::from_secs(NOW));
        exchange.exchange(&caller, API, &scopes("profile")).await.unwrap();
        assert_eq!(calls(&fixture), expected, "{passed}");
    }
}

#[tokio::test]
async fn each_caller_target_and_set_of_scopes_has_a_token_of_its_own() {
    let fixture = Fixture::new().await;
    let application = application(&fixture);
    application.allow_exchange_for("https://api.example.com/");
    let exchange = exchange_of(&fixture, &application);
    let [first, second] = [caller(&fixture, 3600).await, caller(&fixture, 3601).await];
    let requests = [
        (&first, API, "profile email"),
        (&first, API, "profile"),
        (&first, API, ""),
        (&first, "https://api.example.com/", "profile"),
        (&second, API, "profile"),
    ];
    let mut tokens = std::collections::HashSet::new();
    for (caller, resource, list) in requests {
        let token = exchange.exchange(caller, resource, &scopes(list)).await.unwrap();
        assert_eq!(token.resource(), resource);
        assert!(tokens.insert(token.access_token().expose().to_owned()), "{resource} {list}");
    }
    assert_eq!(calls(&fixture), 5);
    exchange.exchange(&first, API, &scopes("email profile")).await.unwrap();
    assert_eq!(calls(&fixture), 5, "the order of scopes");
    // Without scopes, Clerk decides and says which.
    let token = exchange.exchange(&first, API, &Scopes::none()).await.unwrap();
    assert_eq!(token.scopes(), &scopes("profile email"));
}

#[tokio::test]
async fn ten_thousand_at_once_share_one_call() {
    let fixture = Fixture::new().await;
    let exchange = exchange_of(&fixture, &application(&fixture));
    let caller = caller(&fixture, 3600).await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Token, fault);
    let list = scopes("profile");
    let all = join_all((0..10_000).map(|_| exchange.exchange(&caller, API, &list)));
    let open = async {
        gate.arrived(1).await;
        gate.open();
    };
    let (all, ()) = futures_util::future::join(all, open).await;
    let first = all[0].as_ref().unwrap().access_token().clone();
    assert!(all.iter().all(|token| token.as_ref().unwrap().access_token() == &first));
    assert_eq!(calls(&fixture), 1);
}

#[tokio::test]
async fn what_cannot_be_exchanged_costs_no_call() {
    let fixture = Fixture::new().await;
    let application = application(&fixture);
    let clerk = clerk_mcp(&fixture, &application);
    let user = || AuthInfo::for_user("user_1", "token".into()).scopes(scopes("a"));
    let machine = AuthInfo::for_machine("mch_1", "token".into());
    let organization = AuthInfo::for_organization("org_1", "token".into());
    use ExchangeErrorKind::{
        InsufficientScope, InvalidRequest, Misconfigured, SubjectRejected, UnsupportedCredential,
    };
    use RejectionReason as Reason;
    let rows = [
        (user(), API, "a b", InsufficientScope, Reason::InsufficientScope, 403),
        (user(), "https://api.example.com#x", "", InvalidRequest, Reason::Misconfigured, 500),
        (user(), "api.example.com", "", InvalidRequest, Reason::Misconfigured, 500),
        (user().issuer("https://x.example"), API, "", InvalidRequest, Reason::Misconfigured, 500),
        (
            AuthInfo::for_user("user_1", "".into()),
            API,
            "",
            InvalidRequest,
            Reason::Misconfigured,
            500,
        ),
        (user().expires_at(NOW), API, "", SubjectRejected, Reason::ExchangeRejected, 403),
        (
            user().token_type(TokenType::ApiKey),
            API,
            "",
            UnsupportedCredential,
            Reason::ExchangeRejected,
            403,
        ),
        (
            user().token_type(TokenType::SessionToken),
            API,
            "",
            UnsupportedCredential,
            Reason::ExchangeRejected,
            403,
        ),
        (
            machine.token_type(TokenType::M2mToken),
            API,
            "",
            UnsupportedCredential,
            Reason::ExchangeRejected,
            403,
        ),
        (organization, API, "", UnsupportedCredential, Reason::ExchangeRejected, 403),
    ];
    for (caller, resource, list, kind, reason, status) in rows {
        let caller = caller.build();
        let error = clerk.exchange_token(&caller, resource, &scopes(list)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let rejection = Rejection::from(error);
        assert_eq!(rejection.reason(), reason);
        let response = TestResponse::read(clerk.reject(rejection)).await;
        assert_eq!(response.status.as_u16(), status);
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge.is_some(), kind == InsufficientScope, "{kind:?}");
        if let Some(challenge) = challenge {
            assert!(challenge.ends_with("scope=\"profile email a b\""), "{challenge}");
        }
    }
    let without = fixture.clerk_mcp_builder().build().unwrap();
    let error = without.exchange_token(&user().build(), API, &Scopes::none()).await.unwrap_err();
    assert_eq!(error.kind(), Misconfigured);
    assert!(error.to_string().contains("set CLERK_OAUTH_CLIENT_ID"), "{error}");
    assert_eq!(calls(&fixture), 0);
}

#[tokio::test]
async fn the_stand_ins_refusals_are_told_apart() {
    let fixture = Fixture::new().await;
    let application = application(&fixture);
    let exchange = exchange_of(&fixture, &application);
    let caller = caller(&fixture, 3600).await;
    use ExchangeErrorKind::{InvalidTarget, Misconfigured, SubjectRejected};
    let other = "https://other.example.com";
    let error = exchange.exchange(&caller, other, &Scopes::none()).await.unwrap_err();
    assert_eq!((error.kind(), error.oauth_error()), (InvalidTarget, Some("invalid_target")));
    // A slash more is another resource.
    let error = exchange.exchange(&caller, "https://api.example.com/", &Scopes::none()).await;
    assert_eq!(error.unwrap_err().kind(), InvalidTarget);

    // A JWT that was revoked is still valid here.
    fixture.clerk.revoke(caller.token_for_this_server().expose());
    let error = exchange.exchange(&caller, API, &Scopes::none()).await.unwrap_err();
    assert_eq!((error.kind(), error.oauth_error()), (SubjectRejected, Some("invalid_request")));

    let wrong = fixture.clerk.create_oauth_application("https://x.example");
    let secret = OAuthClientSecret::parse("wrong").unwrap();
    let instance = FrontendApi::parse(fixture.clerk.frontend_api_url()).unwrap();
    let wrong = TokenExchange::builder(instance, wrong.client_id(), secret);
    let wrong = wrong.clock(fixture.clock.clone()).build().unwrap();
    let before = calls(&fixture);
    for _ in 0..3 {
        let error = wrong.exchange(&caller, API, &Scopes::none()).await.unwrap_err();
        assert_eq!(error.kind(), Misconfigured, "{error}");
        assert!(error.to_string().contains("CLERK_OAUTH_CLIENT_SECRET"), "{error}");
    }
    // It would fail with every request.
    assert_eq!(calls(&fixture) - before, 1);
}

fn answer(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Fault {
    let mut body = json!({
        "access_token": "issued-secret", "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer", "expires_in": 60, "scope": "profile",
    });
    change(body.as_object_mut().unwrap());
    json_fault(body.to_string())
}

#[tokio::test]
async fn every_unusual_answer_is_an_error_by_kind_and_nothing_is_kept() {
    let fixture = Fixture::new().await;
    let application = application(&fixture);
    let caller = caller(&fixture, 86_000).await;
    let status = |status| Fault::Status { status, retry_after: None };
    let oauth = |status, error: &str| Fault::Body {
        status,
        content_type: "application/json".into(),
        body: json!({"error": error, "error_description": "secret details"}).to_string().into(),
    };
    use ExchangeErrorKind::*;
    let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
    let rows = [
        (answer(|body| body["scope"] = json!("profile email")), InvalidResponse, 503),
        (answer(|body| body["issued_token_type"] = json!(refresh)), InvalidResponse, 503),
        (answer(|body| body["token_type"] = json!("DPoP")), InvalidResponse, 503),
        (answer(|body| drop(body.remove("expires_in"))), InvalidResponse, 503),
        (answer(|body| drop(body.remove("access_token"))), InvalidResponse, 503),
        (
            answer(|body| {
                body["access_token"] = json!(caller.token_for_this_server().expose());
            }),
            InvalidResponse,
            503,
        ),
        (json_fault("[]"), InvalidResponse, 503),
        (Fault::Truncated, Unavailable, 503),
        (Fault::Endless, InvalidResponse, 503),
        (Fault::Down, Unavailable, 503),
        (status(429), Unavailable, 503),
        (status(500), Unavailable, 503),
        (status(404), InvalidResponse, 503),
        (Fault::Redirect("https://evil.example".into()), InvalidResponse, 503),
        (oauth(400, "invalid_target"), InvalidTarget, 500),
        (oauth(400, "invalid_scope"), InvalidScope, 500),
        (oauth(400, "invalid_request"), SubjectRejected, 403),
        (oauth(400, "invalid_grant"), SubjectRejected, 403),
        (oauth(400, "unauthorized_client"), Misconfigured, 500),
        (oauth(400, "unsupported_grant_type"), Misconfigured, 500),
        (oauth(401, "invalid_client"), Misconfigured, 500),
        (oauth(400, "invalid_client"), Misconfigured, 500),
        (oauth(403, "access_denied"), Denied, 403),
        (oauth(403, "other"), Denied, 403),
        (oauth(400, "other"), InvalidResponse, 503),
        (oauth(400, "temporarily_unavailable"), Unavailable, 503),
    ];
    for (fault, kind, code) in rows {
        // Of each, the cache is its own.
        let clerk = clerk_mcp(&fixture, &application);
        fixture.clerk.fault(Route::Token, fault.clone());
        let error = clerk.exchange_token(&caller, API, &scopes("profile")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("secret details") && !text.contains("issued-secret"), "{text}");
        let response = TestResponse::read(clerk.reject(error)).await;
        assert_eq!(response.status.as_u16(), code, "{fault:?}");
        assert_eq!(response.header("www-authenticate"), None, "{fault:?}");
        fixture.clerk.heal_all();
        fixture.advance(31);
        // What was not usable was not kept.
        let token = clerk.exchange_token(&caller, API, &scopes("profile")).await.unwrap();
        assert_ne!(token.access_token().expose(), "issued-secret");
    }
}

#[tokio::test]
async fn an_outage_makes_no_call_for_a_time_and_says_how_long() {
    let fixture = Fixture::new().await;
    let exchange = exchange_of(&fixture, &application(&fixture));
    let caller = caller(&fixture, 3600).await;
    fixture.clerk.fault(Route::Token, Fault::Status { status: 429, retry_after: Some(9) });
    for (passed, wait) in [(0, 9), (0, 9), (4, 5)] {
        fixture.advance(passed);
        let error = exchange.exchange(&caller, API, &Scopes::none()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(wait)));
    }
    assert_eq!(calls(&fixture), 1);
    fixture.clerk.heal_all();
    fixture.advance(5);
    assert!(exchange.exchange(&caller, API, &Scopes::none()).await.is_ok());
}

#[tokio::test]
async fn a_tool_passes_the_answer_on() {
    let fixture = Fixture::new().await;
    let clerk = clerk_mcp(&fixture, &application(&fixture));
    let tool = clerk.clone();
    let service = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        let clerk = tool.clone();
        async move {
            let caller = request.extensions().get::<AuthInfo>().unwrap().clone();
            let step_up = request.extensions().get::<StepUp>().unwrap().clone();
            let exchanged = clerk.exchange_token(&caller, API, &scopes("profile notes")).await;
            let text = match exchanged.map_err(|error| step_up.reject(error)) {
                Ok(token) => token.scopes().to_string(),
                Err(rejection) => rejection.description().to_owned(),
            };
            Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(text)))
        }
    });
    let service = collect_responses(clerk.auth_layer().layer(service));
    let mint = |list: &str| fixture.clerk.mint().audience(RESOURCE).scopes(list.split(' ')).jwt();
    let response = call_tool(&service, Some(&mint("profile email notes")), "x").await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (200, "profile notes"));
    let response = call_tool(&service, Some(&mint("profile email other")), "x").await;
    assert_eq!(response.status.as_u16(), 403);
    let challenge = response.header("www-authenticate").unwrap();
    assert!(challenge.ends_with("scope=\"profile email notes other\""), "{challenge}");

    fixture.clerk.fault(Route::Token, Fault::Status { status: 403, retry_after: None });
    let response = call_tool(&service, Some(&mint("profile email notes a")), "x").await;
    assert_eq!(response.status.as_u16(), 403);
    let body = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"The authorization server does not allow the call"}}"#;
    assert_eq!((response.body.as_str(), response.header("www-authenticate")), (body, None));
}

#[tokio::test]
async fn the_environment_names_the_application() {
    let fixture = Fixture::new().await;
    let application = application(&fixture);
    fixture.clerk.set_server_application(&application);
    let build = |leave_out: &str, changed: Option<(&str, &str)>| {
        let variable = |name: &str| {
            let changed = changed.filter(|(changed, _)| *changed == name);
            let value = changed.map(|(_, value)| value.to_owned());
            value.or_else(|| fixture.clerk.env_var(name)).filter(|_| name != leave_out)
        };
        let builder = ClerkMcp::builder().resource(RESOURCE.parse().unwrap());
        builder.env_from(variable).build()
    };
    let clerk = build("", None).unwrap();
    let caller = caller(&fixture, 3600).await;
    // By the clock of the operating system the token has long expired, or not yet begun.
    let outcome = clerk.exchange_token(&caller, "https://api.example.com#a", &Scopes::none()).await;
    assert_eq!(outcome.unwrap_err().kind(), ExchangeErrorKind::InvalidRequest);
    use ConfigErrorKind::{Invalid, Missing};
    let (id, secret) = ("CLERK_OAUTH_CLIENT_ID", "CLERK_OAUTH_CLIENT_SECRET");
    let rows = [
        (id, None, Missing, id),
        (secret, None, Missing, secret),
        ("", Some((secret, "marked\nsecret")), Invalid, secret),
        ("", Some((secret, "sk_test_marked")), Invalid, secret),
        ("", Some((id, "a b")), Invalid, id),
    ];
    for (leave_out, changed, kind, setting) in rows {
        let error = build(leave_out, changed).unwrap_err();
        assert_eq!((error.kind(), error.setting()), (kind, setting), "{error}");
        assert!(!error.to_string().contains("marked"), "{error}");
    }
    // A mounted secret often ends with a line end.
    let value = format!("{}\n", application.client_secret());
    assert!(build("", Some((secret, &value))).is_ok());
}

#[tokio::test]
async fn logs_show_neither_tokens_nor_the_secret() {
    let capture = LogCapture::default();
    let _logging = capture.install();
    let fixture = Fixture::new().await;
    let application = application(&fixture);
    let exchange = exchange_of(&fixture, &application);
    let caller = caller(&fixture, 3600).await;
    let token = exchange.exchange(&caller, API, &Scopes::none()).await.unwrap();
    let mut finder = SecretFinder::default();
    finder.add("the client secret", application.client_secret());
    finder.add_token("the caller's token", caller.token_for_this_server().expose());
    finder.add_token("the exchanged token", token.access_token().expose());
    let echo =
        format!("{} {}", caller.token_for_this_server().expose(), application.client_secret());
    let faults = [
        Fault::Down,
        Fault::Status { status: 429, retry_after: None },
        json_fault(json!({ "access_token": echo }).to_string()),
        json_fault(echo.clone()),
        Fault::Body { status: 400, content_type: "text/plain".into(), body: echo.into() },
    ];
    for fault in faults {
        fixture.clerk.fault(Route::Token, fault);
        fixture.advance(60);
        let error = exchange.exchange(&caller, API, &scopes("profile")).await.unwrap_err();
        finder.assert_hidden("error", &format!("{error} {error:?} {error:#?}"));
    }
    let logged = capture.text();
    assert!(logged.contains("failed to exchange a token"), "{logged}");
    finder.assert_hidden("log", &logged);
}
