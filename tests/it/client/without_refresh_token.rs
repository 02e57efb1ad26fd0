//! Connections without a refresh token: when the access token is over, the user has to sign in
//! again, and everybody is told so.

use std::time::Duration;

use clerk_mcp_tools::bearer_auth::AccessToken;
use clerk_mcp_tools::client::{
    Begun, Connection, ConnectionState, Connections, LoginOptions, LoginReason, TokenErrorKind,
};
use clerk_mcp_tools::testing::{FaultyStore, StoreFault};

use super::support::{TOKEN_LIFETIME, World, alice, browse, redirect, while_time_passes};
use crate::support::NOW;

const OVER: ConnectionState = ConnectionState::NeedsLogin(LoginReason::NoRefreshToken);
const NEEDS_LOGIN: TokenErrorKind = TokenErrorKind::NeedsLogin(LoginReason::NoRefreshToken);
/// The store's calls when a token was rejected: load, save.
const CALLS: usize = 2;

/// Without `offline_access` there are no refresh tokens.
async fn world() -> World {
    World::with(|clerk| clerk.scopes_supported(["profile", "email"])).await
}

async fn listed(process: &Connections) -> ConnectionState {
    let [info] = &process.list(&alice()).await.unwrap()[..] else {
        panic!("not one connection");
    };
    info.state
}

async fn sign_in_again(world: &World, process: &Connections) -> Connection {
    let options = LoginOptions::new().again();
    let begun = process.begin(&alice(), &world.server, options).await.unwrap();
    let callback = browse(&redirect(begun)).await;
    process.complete(&alice(), callback).await.unwrap().connection
}

async fn renew(world: &World, connection: &Connection, refused: &AccessToken) -> Outcome {
    let outcome = while_time_passes(&world.clock, connection.renew(refused)).await;
    outcome.map_err(|error| error.kind())
}

type Outcome = Result<AccessToken, TokenErrorKind>;

#[tokio::test]
async fn a_rejected_token_needs_a_sign_in_in_every_process() {
    let world = world().await;
    let process = world.process();
    let connection = world.connect(&process).await;
    let other = world.handle(&world.process()).await;
    let refused = connection.access_token().await.unwrap();
    assert_eq!(renew(&world, &connection, &refused).await, Err(NEEDS_LOGIN));
    assert_eq!(connection.access_token().await.unwrap_err().kind(), NEEDS_LOGIN);
    let third = world.process();
    assert_eq!(listed(&third).await, OVER);
    assert_eq!(world.handle(&third).await.info().state, OVER);
    assert_eq!(renew(&world, &other, &refused).await, Err(NEEDS_LOGIN));
    assert_eq!(process.snapshot().refresh_tokens_rejected, 0);
    // A sign-in need not be told that it is one `again`.
    let login = world.begin(&process).await;
    process.complete(&alice(), browse(&login).await).await.unwrap();
    assert_eq!(listed(&third).await, ConnectionState::Active);
    for connection in [&connection, &other] {
        let token = connection.access_token().await.unwrap();
        assert_eq!(world.call_server(token.expose()).await, 200);
    }
    assert_eq!(world.token_calls(), 2);
}

#[tokio::test]
async fn a_token_that_expires_needs_a_sign_in_by_its_time_alone() {
    let world = world().await;
    let process = world.process();
    let connection = world.connect(&process).await;
    world.advance(TOKEN_LIFETIME - 1);
    assert_eq!(listed(&process).await, ConnectionState::Active);
    assert_eq!(world.handle(&process).await.info().state, ConnectionState::Active);
    let begun = process.begin(&alice(), &world.server, LoginOptions::new()).await.unwrap();
    assert!(matches!(begun, Begun::AlreadyConnected(_)), "{begun:?}");
    world.advance(1);
    assert_eq!(listed(&process).await, OVER);
    assert_eq!(world.handle(&process).await.info().state, OVER);
    assert_eq!(connection.access_token().await.unwrap_err().kind(), NEEDS_LOGIN);
    world.begin(&process).await;
    // A process whose clock is ahead says so for itself, and ends nothing.
    world.clock.set_unix_time(Duration::from_secs(NOW + 10));
    assert_eq!(listed(&process).await, ConnectionState::Active);
}

#[tokio::test]
async fn with_a_refresh_token_an_expired_connection_is_active() {
    let world = World::new().await;
    let process = world.process();
    world.connect(&process).await;
    world.advance(TOKEN_LIFETIME);
    assert_eq!(listed(&process).await, ConnectionState::Active);
}

#[tokio::test]
async fn another_token_than_the_stored_one_ends_nothing() {
    let world = world().await;
    let (first, second) = (world.process(), world.process());
    let connection = world.connect(&first).await;
    let refused = connection.access_token().await.unwrap();
    let newer = sign_in_again(&world, &second).await.access_token().await.unwrap();
    assert_eq!(renew(&world, &connection, &refused).await, Ok(newer.clone()));
    assert_eq!(listed(&second).await, ConnectionState::Active);
    let other = AccessToken::from("another");
    assert_eq!(renew(&world, &connection, &other).await, Ok(newer));
    assert_eq!(listed(&second).await, ConnectionState::Active);
}

#[tokio::test]
async fn a_newer_sign_in_is_never_replaced_at_whatever_step_it_ends() {
    let world = world().await;
    for step in 0..CALLS {
        for name in ["before", "after"] {
            let case = format!("step {step}, {name}");
            let world = world.again();
            let store = FaultyStore::new(world.store.clone());
            let process = world.builder(store.clone()).build().unwrap();
            let connection = world.connect(&process).await;
            let refused = connection.access_token().await.unwrap();
            let (fault, gate) = match name {
                "before" => StoreFault::hold_before(),
                _ => StoreFault::hold_after(),
            };
            store.at_call(step + 1, fault);
            let paused = tokio::spawn({
                let connection = connection.clone();
                async move { connection.renew(&refused).await }
            });
            gate.arrived(1).await;
            let other = world.process();
            let newer = sign_in_again(&world, &other).await.access_token().await.unwrap();
            gate.open();
            let outcome = while_time_passes(&world.clock, paused).await.unwrap();
            let outcome = outcome.map_err(|error| error.kind());
            // If it was told before the sign-in that there is no token, that is what it says.
            let is_too_late = (step, name) == (CALLS - 1, "after");
            let expected = if is_too_late { Err(NEEDS_LOGIN) } else { Ok(newer.clone()) };
            assert_eq!(outcome, expected, "{case}");
            assert_eq!(listed(&other).await, ConnectionState::Active, "{case}");
            for process in [process, other, world.process()] {
                let token = world.handle(&process).await.access_token().await.unwrap();
                assert_eq!(token, newer, "{case}");
            }
            assert_eq!(connection.access_token().await.unwrap(), newer, "{case}");
        }
    }
}

#[tokio::test]
async fn while_the_store_fails_nobody_is_sent_to_a_sign_in() {
    let world = world().await;
    for step in 0..CALLS {
        for (name, fault) in [("before", StoreFault::FailBefore), ("after", StoreFault::FailAfter)]
        {
            let case = format!("step {step}, {name}");
            let world = world.again();
            let store = FaultyStore::new(world.store.clone());
            let process = world.builder(store.clone()).build().unwrap();
            let connection = world.connect(&process).await;
            let refused = connection.access_token().await.unwrap();
            store.at_call(step + 1, fault);
            let outcome = renew(&world, &connection, &refused).await;
            assert_eq!(outcome, Err(TokenErrorKind::Store), "{case}");
            assert_eq!(renew(&world, &connection, &refused).await, Err(NEEDS_LOGIN), "{case}");
            assert_eq!(listed(&world.process()).await, OVER, "{case}");
        }
    }
}
