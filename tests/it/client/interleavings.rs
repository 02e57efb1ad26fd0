//! Every call of the store, failing, or stopping, at every step of a sign-in and of a refresh.

use clerk_mcp_tools::client::{
    Callback, CallbackErrorKind, Connection, LoginErrorKind, LoginOptions, LoginReason,
    TokenErrorKind,
};
use clerk_mcp_tools::testing::{FaultyStore, Route, StoreFault, StoreOperation};

use super::support::{
    TOKEN_LIFETIME, World, alice, browse, browse_to_query, fails_from, redirect, while_time_passes,
};

/// The store's calls of a refresh: load, lease, second look, mark, save, release.
const REFRESH_CALLS: usize = 6;
const SAVE: usize = 4;
/// Those of a callback: load, take, save.
const COMPLETE_CALLS: usize = 3;
/// Those of the first sign-in: load the connection and the registration; lease, second look, save
/// and release for a new registration; save the sign-in.
const BEGIN_CALLS: usize = 7;

async fn kind(world: &World, connection: &Connection) -> Option<TokenErrorKind> {
    let outcome = while_time_passes(&world.clock, connection.access_token()).await;
    outcome.err().map(|error| error.kind())
}

/// Two processes with an expired token, the first with a store that fails as told.
struct Race {
    world: World,
    store: FaultyStore,
    first: Connection,
    second: Connection,
}

impl Race {
    async fn new(world: &World) -> Self {
        let world = world.again();
        let store = FaultyStore::new(world.store.clone());
        let process = world.builder(store.clone()).build().unwrap();
        let first = world.connect(&process).await;
        let second = world.handle(&world.process()).await;
        world.advance(TOKEN_LIFETIME);
        Self { world, store, first, second }
    }

    fn refreshes(&self) -> usize {
        self.world.token_calls() - 1
    }

    /// Asserts that both have a token that the server accepts.
    async fn assert_both_work(&self, case: &str) {
        for connection in [&self.second, &self.first] {
            let token = while_time_passes(&self.world.clock, connection.access_token()).await;
            let token = token.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(self.world.call_server(token.expose()).await, 200, "{case}");
        }
    }
}

#[tokio::test]
async fn a_refresh_makes_six_calls_to_the_store() {
    let world = World::new().await;
    let race = Race::new(&world).await;
    let before = race.store.calls().len();
    race.first.access_token().await.unwrap();
    assert_eq!(race.store.calls().len() - before, REFRESH_CALLS);
}

#[tokio::test]
async fn a_call_that_fails_once_at_any_step_of_a_refresh_signs_nobody_out() {
    let world = World::new().await;
    for step in 0..REFRESH_CALLS {
        for (name, fault) in [("before", StoreFault::FailBefore), ("after", StoreFault::FailAfter)]
        {
            let case = format!("step {step}, {name}");
            let race = Race::new(&world).await;
            race.store.at_call(step + 1, fault);
            let outcome = kind(&race.world, &race.first).await;
            let expected = (step < SAVE).then_some(TokenErrorKind::Store);
            assert_eq!(outcome, expected, "{case}");
            race.assert_both_work(&case).await;
            assert_eq!(race.refreshes(), 1, "{case}");
        }
    }
}

#[tokio::test]
async fn a_process_that_dies_at_any_step_of_a_refresh_leaves_a_connection_that_works_or_says_why() {
    let world = World::new().await;
    for step in 0..REFRESH_CALLS {
        let race = Race::new(&world).await;
        fails_from(&race.store, step + 1);
        let outcome = kind(&race.world, &race.first).await;
        let expected = (step < SAVE).then_some(TokenErrorKind::Store);
        assert_eq!(outcome, expected, "{step}");
        // Its lease ends, also if it tries to store its tokens until then.
        race.world.advance(60);
        let other = kind(&race.world, &race.second).await;
        if step == SAVE {
            // The refresh token was used, and nobody has stored the next one.
            let reason = LoginReason::Interrupted;
            assert_eq!(other, Some(TokenErrorKind::NeedsLogin(reason)), "{step}");
            assert_eq!(race.refreshes(), 2, "{step}");
        } else {
            assert_eq!(other, None, "{step}");
            assert_eq!(race.refreshes(), 1, "{step}");
        }
    }
}

#[tokio::test]
async fn a_process_that_pauses_at_any_step_of_a_refresh_never_replaces_what_is_newer() {
    let world = World::new().await;
    for step in 0..REFRESH_CALLS {
        for name in ["before", "after"] {
            let case = format!("step {step}, {name}");
            let race = Race::new(&world).await;
            let (fault, gate) = match name {
                "before" => StoreFault::hold_before(),
                _ => StoreFault::hold_after(),
            };
            race.store.at_call(step + 1, fault);
            let first = race.first.clone();
            let paused = tokio::spawn(async move { first.access_token().await });
            gate.arrived(1).await;
            // The second one waits for the lease of the first one, if that has it.
            let other = kind(&race.world, &race.second).await;
            gate.open();
            let outcome = while_time_passes(&race.world.clock, paused).await.unwrap();
            let outcome = outcome.err().map(|error| error.kind());
            if (step, name) == (SAVE, "before") {
                // It paused beyond its lease with a refresh token that was used, which the other one
                // was told. The tokens that it was used for are there all the same.
                let reason = Some(TokenErrorKind::NeedsLogin(LoginReason::Interrupted));
                assert_eq!((other, outcome), (reason, None), "{case}");
                race.assert_both_work(&case).await;
                assert_eq!(race.refreshes(), 2, "{case}");
                continue;
            }
            assert_eq!((other, outcome), (None, None), "{case}");
            race.assert_both_work(&case).await;
            // It does not send its request too late either.
            assert_eq!(race.refreshes(), 1, "{case}");
        }
    }
}

/// The other process changes the record twice: it marks it before its request, and stores that the
/// request was rejected while the first one looks at the mark.
#[tokio::test]
async fn tokens_are_stored_however_often_another_process_changes_the_record() {
    let world = World::new().await;
    let race = Race::new(&world).await;
    let slow = FaultyStore::new(race.world.store.clone());
    let other = race.world.builder(slow.clone()).build().unwrap();
    let other = race.world.handle(&other).await;
    // After the save that finds the mark, and a look at the record.
    let [save, second_save] = [SAVE + 1, SAVE + 3].map(|call| {
        let (fault, gate) = StoreFault::hold_before();
        race.store.at_call(call, fault);
        gate
    });
    let hold_save = || {
        let (fault, gate) = StoreFault::hold_before();
        slow.at_operation(StoreOperation::Save, "connection/", fault);
        gate
    };
    let mark = hold_save();
    let first = tokio::spawn(async move { race.first.access_token().await });
    save.arrived(1).await;
    let second = tokio::spawn(async move { other.access_token().await });
    while_time_passes(&race.world.clock, mark.arrived(1)).await;
    let rejection = hold_save();
    mark.open();
    rejection.arrived(1).await;
    save.open();
    second_save.arrived(1).await;
    rejection.open();
    let reason = Some(TokenErrorKind::NeedsLogin(LoginReason::Interrupted));
    assert_eq!(second.await.unwrap().err().map(|error| error.kind()), reason);
    second_save.open();
    let token = while_time_passes(&race.world.clock, first).await.unwrap().unwrap();
    assert_eq!(race.second.access_token().await.unwrap(), token);
    assert_eq!(race.world.call_server(token.expose()).await, 200);
}

#[tokio::test]
async fn a_call_that_fails_at_any_step_of_a_callback_is_told_apart() {
    let world = World::new().await;
    for step in 0..COMPLETE_CALLS {
        for (name, fault) in [("before", StoreFault::FailBefore), ("after", StoreFault::FailAfter)]
        {
            let case = format!("step {step}, {name}");
            let world = world.again();
            let store = FaultyStore::new(world.store.clone());
            let process = world.builder(store.clone()).build().unwrap();
            let query = browse_to_query(&world.begin(&process).await).await;
            let complete = || async {
                let callback = Callback::from_query(&query).unwrap();
                let owner = alice();
                let call = process.complete(&owner, callback);
                let outcome = while_time_passes(&world.clock, call).await;
                outcome.err().map(|error| error.kind())
            };
            let is_taken = step == 1 && name == "after";
            store.at_call(step + 1, fault);
            let expected = (step < 2).then_some(CallbackErrorKind::Store);
            assert_eq!(complete().await, expected, "{case}");
            let expected = match step {
                // The response may be used again: nothing has happened.
                0 | 1 if !is_taken => None,
                _ => Some(CallbackErrorKind::UnknownLogin),
            };
            assert_eq!(complete().await, expected, "{case}");
            assert_eq!(world.token_calls(), usize::from(!is_taken), "{case}");
        }
    }
}

#[tokio::test]
async fn tokens_that_cannot_be_stored_after_a_sign_in_are_revoked() {
    let world = World::new().await;
    let store = FaultyStore::new(world.store.clone());
    let process = world.builder(store.clone()).build().unwrap();
    let callback = browse(&world.begin(&process).await).await;
    fails_from(&store, 3);
    let outcome = while_time_passes(&world.clock, process.complete(&alice(), callback)).await;
    assert_eq!(outcome.unwrap_err().kind(), CallbackErrorKind::Store);
    assert_eq!((world.token_calls(), world.clerk.calls(Route::Revoke)), (1, 1));
}

#[tokio::test]
async fn a_call_that_fails_at_any_step_of_a_first_sign_in_leaves_nothing_that_blocks_the_next() {
    let world = World::new().await;
    for step in 0..BEGIN_CALLS {
        for (name, fault) in [("before", StoreFault::FailBefore), ("after", StoreFault::FailAfter)]
        {
            let case = format!("step {step}, {name}");
            let world = world.again();
            let store = FaultyStore::new(world.store.clone());
            let process = world.builder(store.clone()).build().unwrap();
            let begin = || async {
                let owner = alice();
                let call = process.begin(&owner, &world.server, LoginOptions::new());
                while_time_passes(&world.clock, call).await
            };
            store.at_call(step + 1, fault);
            let outcome = begin().await.err().map(|error| error.kind());
            let is_release = step == 5;
            let expected = (!is_release).then_some(LoginErrorKind::Store);
            assert_eq!(outcome, expected, "{case}");
            let login = redirect(begin().await.unwrap());
            process.complete(&alice(), browse(&login).await).await.unwrap();
            let is_lost = step == 4 && name == "before";
            assert_eq!(world.clerk.calls(Route::Register), 1 + usize::from(is_lost), "{case}");
        }
    }
}
