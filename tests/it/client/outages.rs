//! Outages of the authorization server and of the store: neither signs a user out.

use std::time::Duration;

use clerk_mcp_tools::bearer_auth::AccessToken;
use clerk_mcp_tools::client::{
    Connection, Connections, LoginErrorKind, LoginOptions, LoginReason, TokenErrorKind,
};
use clerk_mcp_tools::testing::{Fault, FaultyStore, Route};

use super::support::{
    TOKEN_LIFETIME, World, alice, browse, fails_from, heals, redirect, while_time_passes,
};

async fn kind(connection: &Connection) -> Option<TokenErrorKind> {
    connection.access_token().await.err().map(|error| error.kind())
}

#[tokio::test]
async fn while_the_authorization_server_is_down_a_token_is_served_until_it_expires() {
    let world = World::new().await;
    let process = world.process();
    let connection = world.connect(&process).await;
    let token = connection.access_token().await.unwrap();
    let body = |status, body: &str| Fault::Body {
        status,
        content_type: "application/json".into(),
        body: body.to_owned().into(),
    };
    let faults = [
        Fault::Down,
        Fault::Status { status: 500, retry_after: None },
        Fault::Status { status: 429, retry_after: None },
        body(503, r#"{"error":"invalid_grant"}"#),
        body(403, r#"{"error":"invalid_grant"}"#),
        body(400, r#"{"error":"invalid_request"}"#),
        body(200, "not JSON"),
    ];
    world.advance(TOKEN_LIFETIME - 30);
    for fault in &faults {
        world.clerk.fault(Route::Token, fault.clone());
        assert_eq!(connection.access_token().await.unwrap(), token, "{fault:?}");
        world.advance(1);
    }
    // Nobody tries again for five seconds.
    assert_eq!(world.token_calls(), 1 + 2);
    world.advance(30);
    for fault in &faults {
        world.clerk.fault(Route::Token, fault.clone());
        assert_eq!(kind(&connection).await, Some(TokenErrorKind::Unavailable), "{fault:?}");
        world.advance(5);
    }
    assert_eq!(process.snapshot().refresh_failures, 2 + 7);
    world.clerk.heal_all();
    let renewed = connection.access_token().await.unwrap();
    assert_eq!(world.call_server(renewed.expose()).await, 200);
}

#[tokio::test]
async fn the_server_says_when_to_try_again() {
    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    world.advance(TOKEN_LIFETIME);
    world.clerk.fault(Route::Token, Fault::Status { status: 503, retry_after: Some(60) });
    let error = connection.access_token().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    world.clerk.heal_all();
    world.advance(59);
    assert_eq!(kind(&connection).await, Some(TokenErrorKind::Unavailable));
    assert_eq!(world.token_calls(), 2);
    world.advance(1);
    assert_eq!(kind(&connection).await, None);
}

#[tokio::test]
async fn a_token_endpoint_that_does_not_respond_is_given_up() {
    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    world.advance(TOKEN_LIFETIME);
    let (fault, gate) = Fault::hold();
    world.clerk.fault(Route::Token, fault);
    let pending = tokio::spawn(async move { kind(&connection).await });
    gate.arrived(1).await;
    world.advance(5);
    assert_eq!(pending.await.unwrap(), Some(TokenErrorKind::Unavailable));
}

#[tokio::test]
async fn while_the_store_is_down_a_token_is_served_from_memory_until_it_expires() {
    let world = World::new().await;
    let store = FaultyStore::new(world.store.clone());
    let process = world.builder(store.clone()).build().unwrap();
    let connection = world.connect(&process).await;
    let token = connection.access_token().await.unwrap();
    store.set_down(true);
    for seconds in [0, 60, TOKEN_LIFETIME - 60 - 31, 1, 29] {
        world.advance(seconds);
        assert_eq!(connection.access_token().await.unwrap(), token, "{seconds}");
    }
    world.advance(1);
    assert_eq!(kind(&connection).await, Some(TokenErrorKind::Store));
    let error = process.get(&alice(), &world.server).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Store);
    let error = process.begin(&alice(), &world.server, LoginOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), LoginErrorKind::Store);
    assert_eq!(world.token_calls(), 1);
    heals(&store);
    assert_eq!(kind(&connection).await, None);
}

#[tokio::test]
async fn tokens_that_cannot_be_stored_are_served_and_stored_later() {
    let world = World::new().await;
    let store = FaultyStore::new(world.store.clone());
    let process = world.builder(store.clone()).build().unwrap();
    let connection = world.connect(&process).await;
    world.advance(TOKEN_LIFETIME);
    // Loads, lease, second look, mark; then nothing more.
    fails_from(&store, 5);
    let token = connection.access_token().await.unwrap();
    assert_eq!(process.snapshot().unsaved_tokens, 1);
    assert_eq!(connection.access_token().await.unwrap(), token);
    heals(&store);
    // A look at the store by the same process does not take their place.
    let same = world.handle(&process).await;
    assert_eq!(same.access_token().await.unwrap(), token);
    // Another process waits for the lease, and then has the same token.
    let other = world.handle(&world.process()).await;
    let shared = while_time_passes(&world.clock, other.access_token()).await.unwrap();
    assert_eq!(shared, token);
    assert_eq!(world.token_calls(), 2);
}

#[tokio::test]
async fn a_new_sign_in_takes_the_place_of_tokens_that_are_not_stored() {
    let world = World::new().await;
    let store = FaultyStore::new(world.store.clone());
    let process = world.builder(store.clone()).build().unwrap();
    let connection = world.connect(&process).await;
    world.advance(TOKEN_LIFETIME);
    fails_from(&store, 5);
    let unsaved = connection.access_token().await.unwrap();
    heals(&store);
    let options = LoginOptions::new().again();
    let begun = process.begin(&alice(), &world.server, options).await.unwrap();
    let callback = browse(&redirect(begun)).await;
    process.complete(&alice(), callback).await.unwrap();
    let token = connection.access_token().await.unwrap();
    assert_ne!(token, unsaved);
    let other = world.handle(&world.process()).await;
    assert_eq!(other.access_token().await.unwrap(), token);
}

/// A process that has refreshed a token and could not store it.
struct Unsaved {
    world: World,
    store: FaultyStore,
    process: Connections,
    connection: Connection,
    token: AccessToken,
}

impl Unsaved {
    async fn new() -> Self {
        let world = World::new().await;
        let store = FaultyStore::new(world.store.clone());
        let process = world.builder(store.clone()).build().unwrap();
        let connection = world.connect(&process).await;
        world.advance(TOKEN_LIFETIME);
        // Loads, lease, second look, mark; then nothing more.
        fails_from(&store, 5);
        let token = connection.access_token().await.unwrap();
        Self { world, store, process, connection, token }
    }
}

/// Waits until the task that stores new tokens has given up, and its lease has ended.
async fn saving_is_given_up(world: &World, store: &FaultyStore) {
    while_time_passes(&world.clock, async {
        while store.calls().len() < 30 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.advance(30);
}

#[tokio::test]
async fn the_next_caller_stores_what_could_not_be_stored_for_long() {
    let Unsaved { world, store, connection, token, .. } = Unsaved::new().await;
    saving_is_given_up(&world, &store).await;
    world.advance(30);
    assert_eq!(connection.access_token().await.unwrap(), token);
    heals(&store);
    world.advance(60);
    assert_eq!(connection.access_token().await.unwrap(), token);
    let other = world.handle(&world.process()).await;
    assert_eq!(other.access_token().await.unwrap(), token);
    assert_eq!(world.token_calls(), 2);
}

/// Another process used the old refresh token in between, and stored that it was rejected.
#[tokio::test]
async fn tokens_that_are_stored_late_take_the_place_of_a_rejection_of_those_before() {
    let Unsaved { world, store, process, connection, token } = Unsaved::new().await;
    let other = world.handle(&world.process()).await;
    saving_is_given_up(&world, &store).await;
    let rejected = TokenErrorKind::NeedsLogin(LoginReason::Interrupted);
    assert_eq!(kind(&other).await, Some(rejected));
    heals(&store);
    world.advance(60);
    assert_eq!(connection.access_token().await.unwrap(), token);
    assert_eq!(other.access_token().await.unwrap(), token);
    assert_eq!(process.snapshot().unsaved_tokens, 1);
}

/// The user has signed in again in the meantime, in another process.
#[tokio::test]
async fn tokens_that_are_stored_late_do_not_take_the_place_of_those_of_another_sign_in() {
    let Unsaved { world, store, connection, token: unsaved, .. } = Unsaved::new().await;
    saving_is_given_up(&world, &store).await;
    let other = world.process();
    let begun = other.begin(&alice(), &world.server, LoginOptions::new().again()).await.unwrap();
    let callback = browse(&redirect(begun)).await;
    let signed_in = other.complete(&alice(), callback).await.unwrap().connection;
    let token = signed_in.access_token().await.unwrap();
    assert_ne!(token, unsaved);
    heals(&store);
    world.advance(60);
    assert_eq!(connection.access_token().await.unwrap(), token);
    let third = world.handle(&world.process()).await;
    assert_eq!(third.access_token().await.unwrap(), token);
}

#[tokio::test]
async fn records_are_sealed_anew_after_the_key_was_replaced() {
    use clerk_mcp_tools::client::{KeyId, SealingKeys};

    let world = World::new().await;
    let old = world.process();
    world.begin(&old).await;
    world.connect(&old).await;
    let current = |keys: SealingKeys| {
        let uri = super::support::REDIRECT_URI;
        Connections::builder(world.store.clone(), keys, uri)
            .egress(clerk_mcp_tools::client::Egress::public().allow_loopback())
            .clock(world.clock.clone())
            .build()
            .unwrap()
    };
    let id = |id: &str| KeyId::parse(id).unwrap();
    let new_only = SealingKeys::new([1; 32], id("new"), [3; 32]).unwrap();
    let both = new_only.clone().and_retired(id("test"), [2; 32]).unwrap();
    // Without the old key nothing is lost.
    let done = current(new_only.clone()).reseal(None, 100).await.unwrap();
    assert_eq!((done.resealed, done.left, done.unreadable), (0, 0, 3));
    let process = current(both);
    let mut next = None;
    let mut counts = (0, 0, 0);
    loop {
        let page = process.reseal(next, 1).await.unwrap();
        counts.0 += page.resealed;
        counts.1 += page.left;
        counts.2 += page.unreadable;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    // The connection and the registration; the sign-in ends by itself.
    assert_eq!(counts, (2, 1, 0));
    let done = process.reseal(None, 100).await.unwrap();
    assert_eq!((done.resealed, done.left), (0, 1));
    let connection = world.handle(&current(new_only)).await;
    world.advance(TOKEN_LIFETIME);
    let token = connection.access_token().await.unwrap();
    assert_eq!(world.call_server(token.expose()).await, 200);
}

#[tokio::test]
async fn a_refresh_in_progress_is_not_disturbed_by_resealing() {
    use clerk_mcp_tools::client::{KeyId, SealingKeys};

    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    let id = |id: &str| KeyId::parse(id).unwrap();
    let keys = SealingKeys::new([1; 32], id("new"), [3; 32]).unwrap();
    let keys = keys.and_retired(id("test"), [2; 32]).unwrap();
    let uri = super::support::REDIRECT_URI;
    let other = Connections::builder(world.store.clone(), keys, uri)
        .clock(world.clock.clone())
        .build()
        .unwrap();
    world.advance(TOKEN_LIFETIME);
    let (fault, gate) = Fault::hold();
    world.clerk.fault(Route::Token, fault);
    let pending = tokio::spawn(async move { kind(&connection).await });
    gate.arrived(1).await;
    let done = other.reseal(None, 100).await.unwrap();
    // The registration is sealed anew; the connection and its lease are not.
    assert_eq!((done.resealed, done.left), (1, 2));
    gate.open();
    assert_eq!(pending.await.unwrap(), None);
    assert_eq!(world.token_calls(), 2);
}

#[tokio::test]
async fn a_key_that_is_missing_is_told_apart_and_ends_nothing() {
    use clerk_mcp_tools::client::{KeyId, SealingKeys};

    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    let keys = SealingKeys::new([1; 32], KeyId::parse("other").unwrap(), [3; 32]).unwrap();
    let uri = super::support::REDIRECT_URI;
    let process = Connections::builder(world.store.clone(), keys, uri)
        .egress(clerk_mcp_tools::client::Egress::public().allow_loopback())
        .clock(world.clock.clone())
        .build()
        .unwrap();
    let error = process.get(&alice(), &world.server).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unreadable);
    assert!(process.list(&alice()).await.unwrap().is_empty());
    assert_eq!(kind(&connection).await, None);
    assert_eq!(process.forget_owner(&alice()).await.unwrap(), 1);
}
