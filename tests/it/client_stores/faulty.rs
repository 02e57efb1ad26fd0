//! The store that fails where a test wants it to.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use clerk_mcp_tools::client::{Expect, MemoryStore, Saved, Store, StoreErrorKind};
use clerk_mcp_tools::testing::{FaultyStore, StoreFault, StoreOperation};

use super::{key, record};

fn store() -> FaultyStore {
    FaultyStore::new(MemoryStore::new(10))
}

async fn save(store: &FaultyStore, letter: char) -> Result<Saved, StoreErrorKind> {
    let key = key(letter);
    let saved = store.save(&key, &record(&key), Expect::Absent, None).await;
    saved.map_err(|error| error.kind())
}

async fn is_stored(store: &FaultyStore, letter: char) -> bool {
    store.load(&key(letter)).await.unwrap().is_some()
}

/// Whether a future has not ended after one poll, since nothing else can wake it.
fn stops(future: impl Future) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn a_call_fails_before_it_happens_or_after() {
    let store = store();
    store.at_call(2, StoreFault::FailBefore);
    store.at_call(3, StoreFault::FailAfter);
    assert_eq!(save(&store, 'a').await, Ok(Saved::Yes));
    assert_eq!(save(&store, 'b').await, Err(StoreErrorKind::Unavailable));
    assert_eq!(save(&store, 'c').await, Err(StoreErrorKind::Unavailable));
    for (letter, expected) in [('a', true), ('b', false), ('c', true)] {
        assert_eq!(is_stored(&store, letter).await, expected, "{letter}");
    }
    assert_eq!(store.calls().len(), 6);
    assert_eq!(store.calls()[1].operation, StoreOperation::Save);
    assert_eq!(store.calls()[1].key, Some(key('b')));
    // Used up.
    assert_eq!(save(&store, 'd').await, Ok(Saved::Yes));
}

#[tokio::test]
async fn a_call_stops_before_it_happens_or_after() {
    let store = store();
    store.at_call(1, StoreFault::StopBefore);
    store.at_call(2, StoreFault::StopAfter);
    assert!(stops(save(&store, 'a')));
    assert!(stops(save(&store, 'b')));
    assert!(!is_stored(&store, 'a').await);
    assert!(is_stored(&store, 'b').await);
}

#[tokio::test]
async fn a_call_of_one_method_and_kind_of_record_fails() {
    let store = store();
    store.at_operation(StoreOperation::Save, "lease/", StoreFault::FailBefore);
    store.at_operation(StoreOperation::Take, "", StoreFault::FailBefore);
    assert_eq!(save(&store, 'a').await, Ok(Saved::Yes));
    assert!(store.take(&key('a')).await.is_err());
    assert!(store.take(&key('a')).await.unwrap().is_some());
    let lease = format!("lease/{}", key('a')).parse().unwrap();
    assert!(store.save(&lease, &record(&lease), Expect::Any, None).await.is_err());
    store.at_call(1, StoreFault::FailBefore);
    store.clear_faults();
    assert_eq!(save(&store, 'b').await, Ok(Saved::Yes));
}

#[tokio::test]
async fn a_call_is_held_before_it_happens_or_after() {
    let store = store();
    let ((before, gate_before), (after, gate_after)) =
        (StoreFault::hold_before(), StoreFault::hold_after());
    store.at_call(1, before);
    store.at_call(2, after);
    let task = |letter| {
        let store = store.clone();
        tokio::spawn(async move { save(&store, letter).await })
    };
    let a = task('a');
    gate_before.arrived(1).await;
    let b = task('b');
    gate_after.arrived(1).await;
    assert!(!is_stored(&store, 'a').await);
    assert!(is_stored(&store, 'b').await);
    gate_before.open();
    gate_after.open();
    assert_eq!(a.await.unwrap(), Ok(Saved::Yes));
    assert_eq!(b.await.unwrap(), Ok(Saved::Yes));
}

#[tokio::test]
async fn a_store_that_is_down_fails_until_it_is_up() {
    let store = store();
    store.set_down(true);
    assert_eq!(save(&store, 'a').await, Err(StoreErrorKind::Unavailable));
    assert!(store.list(&owner(), None, 1).await.is_err());
    assert!(store.scan(None, 1).await.is_err());
    assert!(store.sweep(1).await.is_err());
    store.set_down(false);
    assert_eq!(save(&store, 'a').await, Ok(Saved::Yes));
}

fn owner() -> clerk_mcp_tools::client::OwnerTag {
    let tag = "a".repeat(43);
    let key: clerk_mcp_tools::client::RecordKey =
        format!("connection/{tag}/{tag}").parse().unwrap();
    key.owner().unwrap()
}
