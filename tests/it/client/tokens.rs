//! Access tokens: fresh, or refreshed once for all tasks of all processes.

use std::collections::HashSet;

use clerk_mcp_tools::client::{
    Connection, ConnectionState, LoginReason, TokenError, TokenErrorKind,
};
use clerk_mcp_tools::testing::{Fault, FaultyStore, Route, StoreFault};
use url::form_urlencoded;

use super::support::{TOKEN_LIFETIME, World, alice, while_time_passes};

pub(super) fn needs_login(reason: LoginReason) -> Option<TokenErrorKind> {
    Some(TokenErrorKind::NeedsLogin(reason))
}

async fn token(connection: &Connection) -> String {
    connection.access_token().await.unwrap().expose().to_owned()
}

fn kind<T>(outcome: Result<T, TokenError>) -> Option<TokenErrorKind> {
    outcome.err().map(|error| error.kind())
}

fn invalid(error: &str) -> Fault {
    Fault::Body {
        status: 400,
        content_type: "application/json".into(),
        body: format!("{{\"error\":\"{error}\",\"error_description\":\"marked\"}}").into(),
    }
}

#[tokio::test]
async fn a_token_is_refreshed_thirty_seconds_before_it_expires() {
    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    let first = token(&connection).await;
    world.advance(TOKEN_LIFETIME - 31);
    assert_eq!(token(&connection).await, first);
    assert_eq!(world.token_calls(), 1);
    world.advance(1);
    let second = token(&connection).await;
    assert_ne!(second, first);
    assert_eq!(world.token_calls(), 2);
    assert_eq!(world.call_server(&second).await, 200);
    let sent = world.clerk.last_request(Route::Token).unwrap().body;
    let sent: Vec<_> = form_urlencoded::parse(&sent).into_owned().collect();
    let names: HashSet<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, HashSet::from(["grant_type", "refresh_token", "resource"]));
    assert!(sent.contains(&("resource".into(), world.server.as_str().into())));
    // The refresh token was replaced, and the new one is used the next time.
    world.advance(TOKEN_LIFETIME);
    assert_ne!(token(&connection).await, second);
    assert_eq!(world.token_calls(), 3);
}

#[tokio::test]
async fn a_short_token_is_refreshed_at_half_of_its_lifetime() {
    let world = World::with(|clerk| clerk.token_lifetime(std::time::Duration::from_secs(20))).await;
    let connection = world.connect(&world.process()).await;
    let first = token(&connection).await;
    world.advance(9);
    assert_eq!(token(&connection).await, first);
    world.advance(1);
    assert_ne!(token(&connection).await, first);
}

#[tokio::test]
async fn a_hundred_tasks_in_ten_processes_are_one_refresh() {
    let world = World::new().await;
    world.connect(&world.process()).await;
    let mut connections = Vec::new();
    for _ in 0..10 {
        connections.push(world.handle(&world.process()).await);
    }
    for round in 1..=2 {
        world.advance(TOKEN_LIFETIME);
        let (fault, gate) = Fault::hold();
        world.clerk.fault(Route::Token, fault);
        let tasks: Vec<_> = (0..100)
            .map(|task| {
                let connection = connections[task % 10].clone();
                tokio::spawn(async move { token(&connection).await })
            })
            .collect();
        gate.arrived(1).await;
        gate.open();
        let all = async {
            let mut tokens = HashSet::new();
            for task in tasks {
                tokens.insert(task.await.unwrap());
            }
            tokens
        };
        let tokens = while_time_passes(&world.clock, all).await;
        assert_eq!((tokens.len(), world.token_calls()), (1, 1 + round));
        let token = tokens.into_iter().next().unwrap();
        assert_eq!(world.call_server(&token).await, 200);
    }
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_served_while_another_process_refreshes() {
    let world = World::new().await;
    let first = world.connect(&world.process()).await;
    let second = world.handle(&world.process()).await;
    let old = token(&first).await;
    world.advance(TOKEN_LIFETIME - 10);
    let (fault, gate) = Fault::hold();
    world.clerk.fault(Route::Token, fault);
    let refreshing = tokio::spawn(async move { token(&first).await });
    gate.arrived(1).await;
    assert_eq!(token(&second).await, old);
    gate.open();
    let new = refreshing.await.unwrap();
    assert_ne!(new, old);
    assert_eq!(token(&second).await, new);
    assert_eq!(world.token_calls(), 2);
}

#[tokio::test]
async fn after_a_401_the_token_is_renewed_once() {
    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    let other = world.handle(&world.process()).await;
    let refused = connection.access_token().await.unwrap();
    let renewed = connection.renew(&refused).await.unwrap();
    assert_ne!(renewed, refused);
    // Whoever comes later with the same token gets the newer one, in every process.
    assert_eq!(connection.renew(&refused).await.unwrap(), renewed);
    assert_eq!(other.renew(&refused).await.unwrap(), renewed);
    assert_eq!(connection.access_token().await.unwrap(), renewed);
    assert_eq!(world.token_calls(), 2);
    assert_ne!(other.renew(&renewed).await.unwrap(), renewed);
    assert_eq!(world.token_calls(), 3);
}

#[tokio::test]
async fn a_caller_that_joins_a_look_at_the_store_does_not_get_the_token_that_was_refused() {
    let world = World::new().await;
    let store = FaultyStore::new(world.store.clone());
    let process = world.builder(store.clone()).build().unwrap();
    let connection = world.connect(&process).await;
    let refused = connection.access_token().await.unwrap();
    world.advance(60);
    let (fault, gate) = StoreFault::hold_before();
    store.at_call(1, fault);
    let looking = tokio::spawn({
        let connection = connection.clone();
        async move { connection.access_token().await }
    });
    gate.arrived(1).await;
    let renewing = tokio::spawn({
        let (connection, refused) = (connection.clone(), refused.clone());
        async move { connection.renew(&refused).await }
    });
    // It has joined when it has been polled once.
    tokio::task::yield_now().await;
    gate.open();
    assert_eq!(looking.await.unwrap().unwrap(), refused);
    assert_ne!(renewing.await.unwrap().unwrap(), refused);
    assert_eq!(world.token_calls(), 2);
}

#[tokio::test]
async fn a_refresh_token_that_is_kept_is_used_again() {
    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    let response = |token: &str| {
        crate::support::json_fault(format!(
            "{{\"access_token\":\"{token}\",\"token_type\":\"bearer\",\"expires_in\":60}}"
        ))
    };
    world.advance(TOKEN_LIFETIME);
    world.clerk.fault(Route::Token, response("second"));
    assert_eq!(token(&connection).await, "second");
    let first = world.clerk.last_request(Route::Token).unwrap().body;
    world.advance(60);
    world.clerk.fault(Route::Token, response("third"));
    assert_eq!(token(&connection).await, "third");
    assert_eq!(world.clerk.last_request(Route::Token).unwrap().body, first);
    // The scopes stay those that were granted.
    let scopes = world.handle(&world.process()).await.info().scopes.to_string();
    assert_eq!(scopes, "profile email offline_access");
}

#[tokio::test]
async fn without_an_expiry_a_token_is_good_until_the_server_rejects_it() {
    let world = World::new().await;
    let process = world.process();
    let login = world.begin(&process).await;
    let callback = super::support::browse(&login).await;
    let body = r#"{"access_token":"eternal","token_type":"bearer"}"#;
    world.clerk.fault(Route::Token, crate::support::json_fault(body));
    let connection = process.complete(&alice(), callback).await.unwrap().connection;
    world.advance(365 * 24 * 60 * 60);
    let eternal = connection.access_token().await.unwrap();
    assert_eq!(eternal.expose(), "eternal");
    let refused = connection.renew(&eternal).await;
    assert_eq!(kind(refused), needs_login(LoginReason::NoRefreshToken));
    assert_eq!(world.token_calls(), 1);
}

#[tokio::test]
async fn a_rejected_refresh_token_means_a_new_sign_in() {
    let world = World::new().await;
    let process = world.process();
    let connection = world.connect(&process).await;
    world.advance(TOKEN_LIFETIME);
    world.clerk.fault(Route::Token, invalid("invalid_grant"));
    let error = connection.access_token().await.unwrap_err();
    assert_eq!(Some(error.kind()), needs_login(LoginReason::Refused));
    assert!(!format!("{error} {error:?}").contains("marked"));
    world.clerk.heal_all();
    // Nobody tries again, in no process.
    let other = world.handle(&world.process()).await;
    assert_eq!(kind(other.access_token().await), needs_login(LoginReason::Refused));
    assert_eq!(other.info().state, ConnectionState::NeedsLogin(LoginReason::Refused));
    assert_eq!(world.token_calls(), 2);
    assert_eq!(process.snapshot().refresh_tokens_rejected, 1);
    world.connect(&process).await;
    assert_eq!(world.call_server(&token(&connection).await).await, 200);
}

#[tokio::test]
async fn a_client_that_is_gone_is_registered_anew() {
    let world = World::new().await;
    let process = world.process();
    let connection = world.connect(&process).await;
    world.advance(TOKEN_LIFETIME);
    world.clerk.fault(Route::Token, invalid("invalid_client"));
    assert_eq!(kind(connection.access_token().await), needs_login(LoginReason::ClientGone));
    world.clerk.heal_all();
    assert_eq!(world.clerk.calls(Route::Register), 1);
    world.connect(&process).await;
    assert_eq!(world.clerk.calls(Route::Register), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_lose_a_rotated_token() {
    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    let other = world.handle(&world.process()).await;
    world.advance(TOKEN_LIFETIME);
    let (fault, gate) = Fault::hold();
    world.clerk.fault(Route::Token, fault);
    let caller = tokio::spawn(async move { token(&connection).await });
    gate.arrived(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.open();
    let new = while_time_passes(&world.clock, token(&other)).await;
    assert_eq!(world.call_server(&new).await, 200);
    assert_eq!(world.token_calls(), 2);
}

#[tokio::test]
async fn disconnecting_during_a_refresh_stays_disconnected() {
    let world = World::new().await;
    let process = world.process();
    let connection = world.connect(&process).await;
    let other = world.handle(&world.process()).await;
    world.advance(TOKEN_LIFETIME);
    let (fault, gate) = Fault::hold();
    world.clerk.fault(Route::Token, fault);
    let refreshing = tokio::spawn(async move { connection.access_token().await });
    gate.arrived(1).await;
    // While the authorization server cannot revoke the grant.
    world.clerk.fault(Route::Revoke, Fault::Down);
    other.disconnect().await.unwrap();
    world.clerk.heal(Route::Revoke);
    gate.open();
    let outcome = refreshing.await.unwrap();
    assert_eq!(kind(outcome), needs_login(LoginReason::Disconnected));
    assert!(process.get(&alice(), &world.server).await.unwrap().is_none());
    // What was issued in the meantime is revoked: with the second refresh token.
    let revoked = world.clerk.last_request(Route::Revoke).unwrap().body;
    let revoked = form_urlencoded::parse(&revoked).find(|(name, _)| name == "token").unwrap().1;
    assert_eq!(world.clerk.calls(Route::Revoke), 2);
    assert!(!world.clerk.revoke(&revoked), "it is revoked already");
}

#[tokio::test]
async fn a_connection_that_was_ended_elsewhere_is_served_for_a_minute_at_most() {
    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    world.handle(&world.process()).await.disconnect().await.unwrap();
    world.advance(59);
    connection.access_token().await.unwrap();
    world.advance(1);
    assert_eq!(kind(connection.access_token().await), needs_login(LoginReason::Disconnected));
}

#[tokio::test]
async fn a_token_that_was_loaded_while_the_connection_ended_is_not_served() {
    let world = World::new().await;
    let store = FaultyStore::new(world.store.clone());
    let process = world.builder(store.clone()).build().unwrap();
    let connection = world.connect(&process).await;
    let (fault, gate) = StoreFault::hold_before();
    store.at_call(1, fault);
    let ending = tokio::spawn(connection.clone().disconnect());
    gate.arrived(1).await;
    connection.access_token().await.unwrap();
    gate.open();
    ending.await.unwrap().unwrap();
    assert_eq!(kind(connection.access_token().await), needs_login(LoginReason::Disconnected));
}

#[tokio::test]
async fn a_new_sign_in_during_a_refresh_wins() {
    let world = World::new().await;
    let process = world.process();
    let connection = world.connect(&process).await;
    world.advance(TOKEN_LIFETIME);
    let callback = {
        let options = clerk_mcp_tools::client::LoginOptions::new().again();
        let begun = process.begin(&alice(), &world.server, options).await.unwrap();
        super::support::browse(&super::support::redirect(begun)).await
    };
    let (fault, gate) = Fault::hold();
    world.clerk.fault(Route::Token, fault);
    let refreshing = tokio::spawn({
        let connection = connection.clone();
        async move { token(&connection).await }
    });
    gate.arrived(1).await;
    world.clerk.heal(Route::Token);
    // The gate is still closed for the refresh: only a fault that is replaced lets it pass.
    let completed = process.complete(&alice(), callback).await.unwrap();
    gate.open();
    let served = refreshing.await.unwrap();
    assert_eq!(world.call_server(&served).await, 200);
    let new = token(&completed.connection).await;
    assert_eq!(world.call_server(&new).await, 200);
    assert_eq!(token(&world.handle(&world.process()).await).await, new);
}
