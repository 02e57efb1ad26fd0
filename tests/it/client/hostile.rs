//! Authorization servers, stores and clocks that do not keep to the rules.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clerk_mcp_tools::client::{
    CallbackErrorKind, Disconnected, Expect, IdentifyOwner, LoginErrorKind, LoginOptions,
    LoginReason, MemoryStore, Owner, OwnerTag, Record, RecordKey, Saved, ScanCursor, ScanPage,
    Store, StoreError, TokenErrorKind,
};
use clerk_mcp_tools::testing::{
    Fault, FaultyStore, ManualClock, Route, StoreFault, StoreOperation,
};
use http::request::Parts;
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::support::{
    TOKEN_LIFETIME, World, alice, browse, browse_to_query, complete, counting_server, mallory,
    redirect, while_time_passes,
};
use crate::support::{NOW, json_fault};

fn token_response(change: Value) -> Fault {
    let mut body = json!({ "access_token": "next", "token_type": "Bearer", "expires_in": 3600 });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json_fault(body.to_string())
}

#[tokio::test]
async fn no_redirect_of_an_authorization_server_is_followed() {
    let (target, followed) = counting_server().await;
    let world = World::new().await;
    let process = world.process();
    let begin = async || {
        let begun = process.begin(&alice(), &world.server, LoginOptions::new()).await;
        begun.err().map(|error| error.kind())
    };
    let redirected = || Fault::Redirect(target.clone());
    for route in [Route::AuthorizationServerMetadata, Route::OpenIdConfiguration] {
        world.clerk.fault(route, redirected());
    }
    assert_eq!(begin().await, Some(LoginErrorKind::Discovery));
    world.clerk.heal_all();
    world.clerk.fault(Route::Register, redirected());
    assert_eq!(begin().await, Some(LoginErrorKind::Registration));
    world.clerk.heal_all();
    let connection = world.connect(&process).await;
    world.advance(TOKEN_LIFETIME);
    world.clerk.fault(Route::Token, redirected());
    let error = connection.access_token().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unavailable);
    world.clerk.fault(Route::Revoke, redirected());
    assert_eq!(connection.disconnect().await.unwrap(), Disconnected::NotRevoked);
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn responses_to_a_refresh_that_are_none_leave_the_tokens_as_they_are() {
    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    let old = connection.access_token().await.unwrap();
    world.advance(TOKEN_LIFETIME - 10);
    let long = "a".repeat(1024 * 1024);
    let rows = [
        json_fault("{}"),
        json_fault(r#"{"token_type":"Bearer","expires_in":3600,"refresh_token":"r"}"#),
        token_response(json!({ "access_token": null })),
        token_response(json!({ "access_token": "" })),
        token_response(json!({ "access_token": long })),
        token_response(json!({ "access_token": "a".repeat(20_000) })),
        token_response(json!({ "refresh_token": "a".repeat(20_000) })),
        token_response(json!({ "scope": "a".repeat(200_000) })),
        token_response(json!({ "access_token": "a b" })),
        json_fault("[]"),
    ];
    let mut calls = world.token_calls();
    for fault in rows {
        world.clerk.fault(Route::Token, fault);
        assert_eq!(connection.access_token().await.unwrap(), old);
        calls += 1;
        assert_eq!(world.token_calls(), calls, "it was asked");
        // Nobody tries again for five seconds, during which the wall clock is set back.
        world.advance(5);
        world.clock.set_unix_time(Duration::from_secs(NOW + TOKEN_LIFETIME - 10));
    }
    world.clerk.heal_all();
    let new = connection.access_token().await.unwrap();
    assert_eq!(world.call_server(new.expose()).await, 200);
}

#[tokio::test]
async fn any_lifetime_of_a_token_is_taken() {
    let world = World::new().await;
    for (expires_in, calls) in [
        // Over at once: each caller has one of its own, and no more than one call.
        (json!(0), 3),
        (json!("0"), 3),
        (json!(0.4), 3),
        // Not said.
        (json!(-1), 1),
        (json!(-1.5), 1),
        (json!(1e300), 1),
        (json!("soon"), 1),
        (json!({}), 1),
        (json!(u64::MAX), 1),
    ] {
        world.clerk.heal_all();
        let world = world.again();
        let connection = world.connect(&world.process()).await;
        world.advance(TOKEN_LIFETIME);
        let refresh = json!({ "expires_in": expires_in, "refresh_token": "r" });
        world.clerk.fault(Route::Token, token_response(refresh));
        for _ in 0..3 {
            assert_eq!(connection.access_token().await.unwrap().expose(), "next", "{expires_in}");
        }
        assert_eq!(world.token_calls() - 1, calls, "{expires_in}");
    }
}

#[tokio::test]
async fn a_token_that_is_issued_once_more_is_one_refresh() {
    let world = World::new().await;
    let connection = world.connect(&world.process()).await;
    let refused = connection.access_token().await.unwrap();
    let same = json!({ "access_token": refused.expose(), "refresh_token": "r" });
    world.clerk.fault(Route::Token, token_response(same));
    assert_eq!(connection.renew(&refused).await.unwrap(), refused);
    assert_eq!(world.token_calls() - 1, 1);
}

#[tokio::test]
async fn scopes_that_nobody_asked_for_are_told_and_not_asked_for_later() {
    let world = World::new().await;
    let ceiling = clerk_mcp_tools::Scopes::parse("profile email notes:read").unwrap();
    let process = world.builder(world.store.clone()).scope_ceiling(ceiling).build().unwrap();
    let connection = world.connect(&process).await;
    world.advance(TOKEN_LIFETIME);
    let wide = json!({ "scope": "profile email notes:write admin", "refresh_token": "r" });
    world.clerk.fault(Route::Token, token_response(wide));
    connection.access_token().await.unwrap();
    let [info] = &process.list(&alice()).await.unwrap()[..] else { panic!("not one") };
    assert_eq!(info.scopes.to_string(), "profile email notes:write admin");
    let challenge = HeaderValue::from_static("Bearer scope=\"notes:read notes:write\"");
    let login = redirect(connection.step_up(&challenge).await.unwrap());
    let url = url::Url::parse(login.url()).unwrap();
    let scope = url.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
    assert_eq!(scope, "profile email notes:read offline_access");
}

/// A store that returns another record than the one that is stored, if a test says so.
#[derive(Clone, Debug)]
struct LyingStore {
    inner: MemoryStore,
    lie: Arc<Mutex<Option<(RecordKey, Record)>>>,
    calls: Arc<AtomicUsize>,
    /// How many saves of connections are conflicts, after the first of a refresh.
    conflicts: Arc<AtomicUsize>,
}

impl LyingStore {
    fn new(inner: MemoryStore) -> Self {
        Self { inner, lie: Arc::default(), calls: Arc::default(), conflicts: Arc::default() }
    }

    fn is_conflict(&self, key: &RecordKey) -> bool {
        let conflicts = self.conflicts.load(Ordering::SeqCst);
        let is_counted = conflicts > 0 && key.as_str().starts_with("connection/");
        self.conflicts.fetch_sub(usize::from(is_counted), Ordering::SeqCst);
        is_counted && conflicts <= CONFLICTS
    }

    fn says(&self, key: &RecordKey, record: &Record) {
        *self.lie.lock().unwrap() = Some((key.clone(), record.clone()));
    }

    fn lie_about(&self, key: &RecordKey) -> Option<Record> {
        let lie = self.lie.lock().unwrap();
        lie.as_ref().filter(|(about, _)| about == key).map(|(_, record)| record.clone())
    }
}

#[async_trait]
impl Store for LyingStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match self.lie_about(key) {
            Some(record) => Ok(Some(record)),
            None => self.inner.load(key).await,
        }
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_conflict(key) {
            return Ok(Saved::Conflict);
        }
        self.inner.save(key, record, expect, lifetime).await
    }

    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let taken = self.inner.take(key).await?;
        Ok(taken.and_then(|record| self.lie_about(key).or(Some(record))))
    }

    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        self.inner.delete(key, expect).await
    }

    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        let page = self.inner.list(owner, after, most).await?;
        let lie = |(key, record)| (self.lie_about(&key).unwrap_or(record), key);
        Ok(page.into_iter().map(lie).map(|(record, key)| (key, record)).collect())
    }

    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError> {
        self.inner.scan(from, most).await
    }
}

async fn records(store: &MemoryStore, kind: &str) -> Vec<(RecordKey, Record)> {
    let page = store.scan(None, 100).await.unwrap();
    let records = page.records().iter();
    records.filter(|(key, _)| key.as_str().starts_with(kind)).cloned().collect()
}

#[tokio::test]
async fn a_record_of_another_user_is_of_no_use_in_ones_own_place() {
    let world = World::new().await;
    let store = LyingStore::new(world.store.clone());
    let process = world.builder(store.clone()).build().unwrap();
    let connection = world.connect(&process).await;
    let [(key, _)] = &records(&world.store, "connection").await[..] else { panic!("not one") };
    let begun = process.begin(&mallory(), &world.server, LoginOptions::new()).await.unwrap();
    let callback = browse(&redirect(begun)).await;
    process.complete(&mallory(), callback).await.unwrap();
    let all = records(&world.store, "connection").await;
    let other = all.iter().find(|(other, _)| other != key).unwrap();
    store.says(key, &other.1);
    // Another process, and this one when it looks again.
    for process in [world.builder(store.clone()).build().unwrap(), process.clone()] {
        let error = process.get(&alice(), &world.server).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Unreadable);
        assert!(process.list(&alice()).await.unwrap().is_empty());
    }
    world.advance(TOKEN_LIFETIME);
    let error = connection.access_token().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unreadable);
    assert_eq!(world.token_calls(), 2);
}

#[tokio::test]
async fn a_sign_in_in_the_place_of_another_one_redeems_no_code() {
    let world = World::new().await;
    let store = LyingStore::new(world.store.clone());
    let process = world.builder(store.clone()).build().unwrap();
    let query = browse_to_query(&world.begin(&process).await).await;
    let [(key, _)] = &records(&world.store, "login").await[..] else { panic!("not one") };
    world.begin(&process).await;
    let all = records(&world.store, "login").await;
    store.says(key, &all.iter().find(|(other, _)| other != key).unwrap().1);
    let error = complete(&process, &query).await.unwrap_err();
    assert_eq!(error.kind(), CallbackErrorKind::Unreadable);
    assert_eq!(world.token_calls(), 0);
}

#[tokio::test]
async fn a_store_that_returns_an_old_record_uses_no_refresh_token_and_is_not_flooded() {
    let world = World::new().await;
    let store = LyingStore::new(world.store.clone());
    let process = world.process();
    let connection = world.connect(&process).await;
    let [(key, old)] = &records(&world.store, "connection").await[..] else { panic!("not one") };
    world.advance(TOKEN_LIFETIME);
    connection.access_token().await.unwrap();
    // As a replica that lags behind.
    store.says(key, old);
    let other = world.handle(&world.builder(store.clone()).build().unwrap()).await;
    let before = store.calls.load(Ordering::SeqCst);
    let error = while_time_passes(&world.clock, other.access_token()).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unavailable);
    assert_eq!(world.token_calls(), 2);
    let calls = store.calls.load(Ordering::SeqCst) - before;
    assert!(calls < 4000, "{calls}");
    // Nobody was signed out by it.
    *store.lie.lock().unwrap() = None;
    let token = other.access_token().await.unwrap();
    assert_eq!(token, connection.access_token().await.unwrap());
    assert_eq!(world.call_server(token.expose()).await, 200);
}

/// How often tokens are stored in one try.
const CONFLICTS: usize = 5;

#[tokio::test]
async fn new_tokens_that_meet_too_many_conflicts_are_kept_and_stored_by_the_next_try() {
    let world = World::new().await;
    let store = LyingStore::new(world.store.clone());
    let connection = world.connect(&world.builder(store.clone()).build().unwrap()).await;
    world.advance(TOKEN_LIFETIME);
    // The mark is stored, and then nothing in one try.
    store.conflicts.store(1 + CONFLICTS, Ordering::SeqCst);
    let token = while_time_passes(&world.clock, connection.access_token()).await.unwrap();
    assert_eq!(store.conflicts.load(Ordering::SeqCst), 0);
    assert_eq!(world.call_server(token.expose()).await, 200);
    let other = world.handle(&world.process()).await;
    assert_eq!(other.access_token().await.unwrap(), token);
    assert_eq!(world.token_calls(), 2);
}

/// Two processes with an expired token, at a store whose clock is not theirs.
struct Skewed {
    world: World,
    clock: ManualClock,
    store: FaultyStore,
    first: clerk_mcp_tools::client::Connection,
    second: clerk_mcp_tools::client::Connection,
}

impl Skewed {
    async fn new(ends_grant: bool) -> Self {
        let mut world = World::with(|clerk| clerk.revoke_on_refresh_token_reuse(ends_grant)).await;
        let clock = ManualClock::new(NOW);
        world.store = MemoryStore::new(100).clock(clock.clone());
        let store = FaultyStore::new(world.store.clone());
        let process = world.builder(store.clone()).build().unwrap();
        let first = world.connect(&process).await;
        let second = world.handle(&world.process()).await;
        world.advance(TOKEN_LIFETIME);
        Self { world, clock, store, first, second }
    }
}

#[tokio::test]
async fn a_lease_that_ends_too_early_signs_nobody_out() {
    for ends_grant in [false, true] {
        let Skewed { world, clock, store, first, second } = Skewed::new(ends_grant).await;
        // The first one has its new tokens and is about to store them.
        let (fault, gate) = StoreFault::hold_before();
        store.at_call(5, fault);
        let paused = tokio::spawn({
            let first = first.clone();
            async move { first.access_token().await }
        });
        gate.arrived(1).await;
        assert_eq!(world.token_calls(), 2);
        // The clock of the database jumps: its lease is over, and the second one has the old token.
        clock.advance(Duration::from_secs(3600));
        let other = while_time_passes(&world.clock, second.access_token()).await;
        assert!(matches!(other.unwrap_err().kind(), TokenErrorKind::NeedsLogin(_)));
        gate.open();
        let token = while_time_passes(&world.clock, paused).await.unwrap().unwrap();
        for connection in [&first, &second] {
            assert_eq!(connection.access_token().await.unwrap(), token);
        }
        assert_eq!(world.call_server(token.expose()).await, 200);
        // Unless the authorization server ends a grant whose refresh token is used twice.
        world.advance(TOKEN_LIFETIME);
        let outcome = second.access_token().await.err().map(|error| error.kind());
        let refused = TokenErrorKind::NeedsLogin(LoginReason::Refused);
        assert_eq!(outcome, ends_grant.then_some(refused));
    }
}

#[tokio::test]
async fn a_lease_that_does_not_end_is_an_outage_until_it_does() {
    let Skewed { world, clock, store, first, second } = Skewed::new(true).await;
    // A process dies with the lease, and the clock of the database stands still or is set back.
    store.at_operation(StoreOperation::Save, "lease/", StoreFault::StopAfter);
    let dead = tokio::spawn(async move { first.access_token().await });
    while records(&world.store, "lease").await.is_empty() {
        tokio::task::yield_now().await;
    }
    clock.set_unix_time(Duration::from_secs(NOW - 3600));
    let outcome = while_time_passes(&world.clock, second.access_token()).await;
    assert_eq!(outcome.unwrap_err().kind(), TokenErrorKind::Unavailable);
    assert_eq!(world.token_calls(), 1);
    clock.advance(Duration::from_secs(30));
    let token = while_time_passes(&world.clock, second.access_token()).await.unwrap();
    assert_eq!(world.call_server(token.expose()).await, 200);
    dead.abort();
}

/// Panics the first time.
struct Panics(AtomicUsize);

#[async_trait]
impl IdentifyOwner for Panics {
    async fn owner(&self, _: &Parts) -> Option<Owner> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "a panic that a test expects");
        Some(alice())
    }
}

#[tokio::test]
async fn a_panic_of_the_application_uses_nothing_up() {
    let world = World::new().await;
    let process = world.process();
    let query = browse_to_query(&world.begin(&process).await).await;
    let service = process.callback_service(Panics(AtomicUsize::new(0)));
    let send = || {
        let request = Request::get(format!("/callback?{query}")).body(()).unwrap();
        tokio::spawn(service.clone().oneshot(request))
    };
    assert!(send().await.unwrap_err().is_panic());
    assert_eq!(world.token_calls(), 0);
    let response = send().await.unwrap().unwrap();
    assert_eq!(response.headers()[http::header::LOCATION], "/");
    world.handle(&process).await.access_token().await.unwrap();
}
