//! Who may complete a sign-in, with what, and how often.

use std::time::Duration;

use clerk_mcp_tools::client::{
    BrowserBinding, Callback, CallbackErrorKind, Connections, LoginRedirect, Store,
};
use clerk_mcp_tools::testing::{Fault, FaultyStore, Route, StoreFault};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::support::{World, alice, browse, browse_to_query, complete, mallory};

async fn kind(process: &Connections, query: &str) -> Option<CallbackErrorKind> {
    complete(process, query).await.err().map(|error| error.kind())
}

/// What a browser sends that has the cookie of this sign-in.
fn cookies(login: &LoginRedirect) -> HeaderMap {
    let cookie = login.set_cookie();
    let pair = cookie.to_str().unwrap().split(';').next().unwrap();
    HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(pair).unwrap())])
}

#[tokio::test]
async fn the_link_of_an_attacker_is_of_no_use_to_a_victim() {
    let world = World::new().await;
    let process = world.process();
    let callback = browse(&world.begin(&process).await).await;
    let error = process.complete(&mallory(), callback.clone()).await.unwrap_err();
    assert_eq!(error.kind(), CallbackErrorKind::OtherUser);
    assert_eq!(world.token_calls(), 0);
    // The user who began it can still complete it.
    process.complete(&alice(), callback).await.unwrap();
}

#[tokio::test]
async fn the_fifth_stranger_ends_a_sign_in() {
    let world = World::new().await;
    let process = world.process();
    let callback = browse(&world.begin(&process).await).await;
    for _ in 0..5 {
        let error = process.complete(&mallory(), callback.clone()).await.unwrap_err();
        assert_eq!(error.kind(), CallbackErrorKind::OtherUser);
    }
    let error = process.complete(&alice(), callback).await.unwrap_err();
    assert_eq!(error.kind(), CallbackErrorKind::UnknownLogin);
    assert_eq!(world.token_calls(), 0);
}

#[tokio::test]
async fn without_a_signed_in_user_the_browser_has_to_be_the_same() {
    let world = World::new().await;
    let process = world.process();
    let (first, second) = (world.begin(&process).await, world.begin(&process).await);
    let callback = browse(&first).await;
    // The cookie of another sign-in has another name.
    assert!(BrowserBinding::from_headers(&cookies(&second), &callback).is_none());
    let other = second.binding().clone();
    let error = process.complete_in_browser(other, callback.clone()).await.unwrap_err();
    assert_eq!(error.kind(), CallbackErrorKind::OtherUser);
    assert_eq!(world.token_calls(), 0);
    let binding = BrowserBinding::from_headers(&cookies(&first), &callback).unwrap();
    process.complete_in_browser(binding, callback).await.unwrap();
    let token = world.handle(&process).await.access_token().await.unwrap();
    assert_eq!(world.call_server(token.expose()).await, 200);
}

#[tokio::test]
async fn a_response_is_used_once() {
    let world = World::new().await;
    let process = world.process();
    let query = browse_to_query(&world.begin(&process).await).await;
    complete(&process, &query).await.unwrap();
    assert_eq!(kind(&process, &query).await, Some(CallbackErrorKind::UnknownLogin));
    assert_eq!(world.token_calls(), 1);
}

#[tokio::test]
async fn of_two_callbacks_at_once_one_redeems_the_code() {
    let world = World::new().await;
    let (first, store) = (world.process(), FaultyStore::new(world.store.clone()));
    let second = world.builder(store.clone()).build().unwrap();
    let query = browse_to_query(&world.begin(&first).await).await;
    // The second one has loaded the sign-in when the first one takes it.
    let (fault, gate) = StoreFault::hold_before();
    store.at_call(2, fault);
    let late = tokio::spawn({
        let query = query.clone();
        async move { kind(&second, &query).await }
    });
    gate.arrived(1).await;
    complete(&first, &query).await.unwrap();
    gate.open();
    assert_eq!(late.await.unwrap(), Some(CallbackErrorKind::AlreadyUsed));
    assert_eq!(world.token_calls(), 1);
}

#[tokio::test]
async fn the_issuer_is_checked_before_anything_of_the_response_is_used() {
    let world = World::new().await;
    let process = world.process();
    for change in ["missing", "other", "slash", "twice"] {
        for answer in ["code", "error"] {
            let query = browse_to_query(&world.begin(&process).await).await;
            let mut pairs: Vec<(String, String)> =
                url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let issuer = |value: &str| ("iss".to_owned(), value.to_owned());
            pairs.retain(|(name, _)| name != "iss");
            match change {
                "other" => pairs.push(issuer("https://evil.example")),
                "slash" => pairs.push(issuer(&format!("{}/", world.clerk.issuer()))),
                "twice" => {
                    pairs.extend([issuer(world.clerk.issuer()), issuer(world.clerk.issuer())]);
                }
                _ => {}
            }
            if answer == "error" {
                pairs.retain(|(name, _)| name != "code");
                pairs.push(("error".to_owned(), "access_denied".to_owned()));
            }
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            let query = query.extend_pairs(pairs).finish();
            let error = match Callback::from_query(&query) {
                Ok(callback) => process.complete(&alice(), callback).await.unwrap_err(),
                Err(error) => error,
            };
            let expected = match change {
                "twice" => CallbackErrorKind::Malformed,
                _ => CallbackErrorKind::WrongIssuer,
            };
            assert_eq!((error.kind(), error.oauth_error()), (expected, None), "{change} {answer}");
        }
    }
    assert_eq!(world.token_calls(), 0);
}

#[tokio::test]
async fn error_responses_are_told_apart_and_end_the_sign_in() {
    let world = World::new().await;
    let process = world.process();
    let rows = [
        ("access_denied", CallbackErrorKind::Denied, Some("access_denied")),
        ("invalid_scope", CallbackErrorKind::Refused, Some("invalid_scope")),
        ("server_error", CallbackErrorKind::Refused, Some("server_error")),
        ("%3Cscript%3Emarked", CallbackErrorKind::Refused, None),
    ];
    for (code, expected, oauth_error) in rows {
        let query = browse_to_query(&world.begin(&process).await).await;
        let pairs = query.split('&').filter(|pair| !pair.starts_with("code="));
        let query = pairs.collect::<Vec<_>>().join("&");
        let query = format!("{query}&error={code}&error_description=marked");
        let error = complete(&process, &query).await.unwrap_err();
        assert_eq!((error.kind(), error.oauth_error()), (expected, oauth_error), "{code}");
        assert!(!format!("{error} {error:?}").contains("marked"), "{error:?}");
        assert_eq!(kind(&process, &query).await, Some(CallbackErrorKind::UnknownLogin), "{code}");
    }
    assert_eq!(world.token_calls(), 0);
}

#[tokio::test]
async fn a_sign_in_ends_after_ten_minutes() {
    let world = World::new().await;
    let process = world.process();
    let query = browse_to_query(&world.begin(&process).await).await;
    world.advance(10 * 60 - 1);
    let late = browse_to_query(&world.begin(&process).await).await;
    world.advance(1);
    assert_eq!(kind(&process, &query).await, Some(CallbackErrorKind::UnknownLogin));
    assert_eq!(kind(&process, &late).await, None);
    assert_eq!(kind(&process, "state=unknown&code=x").await, Some(CallbackErrorKind::UnknownLogin));
}

#[tokio::test]
async fn a_stranger_does_not_prolong_a_sign_in() {
    let world = World::new().await;
    let process = world.process();
    let callback = browse(&world.begin(&process).await).await;
    world.advance(9 * 60);
    process.complete(&mallory(), callback.clone()).await.unwrap_err();
    world.advance(60);
    assert_eq!(world.store.scan(None, 10).await.unwrap().records().len(), 1, "the registration");
    let error = process.complete(&alice(), callback).await.unwrap_err();
    assert_eq!(error.kind(), CallbackErrorKind::UnknownLogin);
}

#[tokio::test]
async fn failures_of_the_token_endpoint_are_told_apart() {
    let world = World::new().await;
    let process = world.process();
    let body = |status, body: &str| Fault::Body {
        status,
        content_type: "application/json".into(),
        body: body.to_owned().into(),
    };
    let rows = [
        (body(400, r#"{"error":"invalid_grant"}"#), CallbackErrorKind::Exchange),
        (body(400, r#"{"error":"invalid_target"}"#), CallbackErrorKind::Exchange),
        (body(200, r#"{"access_token":"a b","token_type":"Bearer"}"#), CallbackErrorKind::Exchange),
        (body(200, r#"{"access_token":"a","token_type":"mac"}"#), CallbackErrorKind::Exchange),
        (body(200, "not JSON"), CallbackErrorKind::Exchange),
        (Fault::Redirect("https://evil.example/".into()), CallbackErrorKind::Exchange),
        (Fault::Long { bytes: 300 * 1024, announced: false }, CallbackErrorKind::Exchange),
        (Fault::Long { bytes: 300 * 1024, announced: true }, CallbackErrorKind::Exchange),
        (Fault::Endless, CallbackErrorKind::Exchange),
        (Fault::Status { status: 503, retry_after: Some(7) }, CallbackErrorKind::Unavailable),
        (Fault::Status { status: 429, retry_after: None }, CallbackErrorKind::Unavailable),
        (Fault::Down, CallbackErrorKind::Unavailable),
        (Fault::Truncated, CallbackErrorKind::Unavailable),
    ];
    for (fault, expected) in rows {
        let query = browse_to_query(&world.begin(&process).await).await;
        world.clerk.fault(Route::Token, fault.clone());
        assert_eq!(kind(&process, &query).await, Some(expected), "{fault:?}");
        world.clerk.heal_all();
        assert!(process.get(&alice(), &world.server).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_token_endpoint_that_does_not_respond_is_given_up() {
    let world = World::new().await;
    let process = world.process();
    let query = browse_to_query(&world.begin(&process).await).await;
    let (fault, gate) = Fault::hold();
    world.clerk.fault(Route::Token, fault);
    let pending = tokio::spawn(async move { kind(&process, &query).await });
    gate.arrived(1).await;
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(pending.await.unwrap(), Some(CallbackErrorKind::Unavailable));
}

#[tokio::test]
async fn a_registration_that_is_gone_is_made_again_by_the_next_sign_in() {
    let world = World::new().await;
    let process = world.process();
    let query = browse_to_query(&world.begin(&process).await).await;
    let fault = Fault::Body {
        status: 401,
        content_type: "application/json".into(),
        body: r#"{"error":"invalid_client"}"#.into(),
    };
    world.clerk.fault(Route::Token, fault);
    let error = complete(&process, &query).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.oauth_error()),
        (CallbackErrorKind::Exchange, Some("invalid_client"),)
    );
    world.clerk.heal_all();
    world.connect(&process).await;
    assert_eq!(world.clerk.calls(Route::Register), 2);
}

#[tokio::test]
async fn the_code_goes_to_the_server_of_the_start_whatever_the_metadata_says_later() {
    let world = World::new().await;
    let process = world.process();
    let query = browse_to_query(&world.begin(&process).await).await;
    // From now on the authorization server is said to be another one.
    let other = World::new().await;
    let metadata = serde_json::json!({
        "issuer": world.clerk.issuer(),
        "authorization_endpoint": format!("{}/oauth/authorize", other.clerk.issuer()),
        "token_endpoint": format!("{}/oauth/token", other.clerk.issuer()),
        "code_challenge_methods_supported": ["S256"],
    });
    let fault = crate::support::json_fault(metadata.to_string());
    world.clerk.fault(Route::AuthorizationServerMetadata, fault);
    complete(&process, &query).await.unwrap();
    assert_eq!((world.token_calls(), other.token_calls()), (1, 0));
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_lose_the_tokens() {
    let world = World::new().await;
    let process = world.process();
    let query = browse_to_query(&world.begin(&process).await).await;
    let (fault, gate) = Fault::hold();
    world.clerk.fault(Route::Token, fault);
    let caller = tokio::spawn(async move { kind(&process, &query).await });
    gate.arrived(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.open();
    let other = world.process();
    while other.get(&alice(), &world.server).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}
