//! The store of connections in memory: the suite for stores, lifetimes by its clock, and its bound.
//! And that the suite finds what it should, in stores that break one rule each.

mod broken;
mod faulty;

use std::sync::Arc;
use std::time::Duration;

use clerk_mcp_tools::client::{
    Expect, KeyId, MemoryStore, Record, RecordKey, Saved, SealingKeys, Store, StoreErrorKind,
};
use clerk_mcp_tools::testing::{ManualClock, check_store};

const MINUTE: Duration = Duration::from_secs(60);

fn key(letter: char) -> RecordKey {
    RecordKey::parse(&format!("login/{}", letter.to_string().repeat(43))).unwrap()
}

fn record(key: &RecordKey) -> Record {
    let keys = SealingKeys::new([1; 32], KeyId::parse("k").unwrap(), [2; 32]).unwrap();
    keys.seal(key, b"value").unwrap()
}

async fn save(store: &MemoryStore, letter: char, lifetime: Option<Duration>) -> Saved {
    let key = key(letter);
    store.save(&key, &record(&key), Expect::Absent, lifetime).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_memory_keeps_the_rules() {
    let store = MemoryStore::new(1000);
    let handles = [store.clone(), store.clone()].map(|store| Arc::new(store) as Arc<dyn Store>);
    check_store(handles.to_vec()).await.unwrap();
    assert!(store.scan(None, 1000).await.unwrap().records().is_empty(), "it cleans up");
}

#[tokio::test]
async fn a_lifetime_ends_by_the_clock_and_the_record_is_absent_from_then_on() {
    let clock = ManualClock::new(1_767_182_400);
    let store = MemoryStore::new(10).clock(clock.clone());
    assert_eq!(save(&store, 'a', Some(MINUTE)).await, Saved::Yes);
    assert_eq!(save(&store, 'b', None).await, Saved::Yes);
    clock.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(save(&store, 'a', Some(MINUTE)).await, Saved::Conflict);
    clock.advance(Duration::from_millis(1));
    assert_eq!(store.load(&key('a')).await.unwrap(), None);
    assert_eq!(store.scan(None, 10).await.unwrap().records().len(), 1);
    assert_eq!(save(&store, 'a', Some(MINUTE)).await, Saved::Yes);
    clock.advance(MINUTE);
    assert_eq!(store.take(&key('a')).await.unwrap(), None);
    assert!(store.load(&key('b')).await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_store_rejects_new_records_and_makes_room_by_what_is_over() {
    let clock = ManualClock::new(1_767_182_400);
    let store = MemoryStore::new(2).clock(clock.clone());
    assert_eq!(save(&store, 'a', Some(MINUTE)).await, Saved::Yes);
    assert_eq!(save(&store, 'b', None).await, Saved::Yes);
    let (c, b) = (key('c'), key('b'));
    let error = store.save(&c, &record(&c), Expect::Any, None).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    // One that replaces another needs no room.
    assert_eq!(store.save(&b, &record(&b), Expect::Any, None).await.unwrap(), Saved::Yes);
    clock.advance(MINUTE);
    assert_eq!(save(&store, 'c', None).await, Saved::Yes);
}
