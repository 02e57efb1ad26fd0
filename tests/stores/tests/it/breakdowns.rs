//! Databases that are killed or do not respond, in the middle of calls.

use std::sync::Arc;
use std::time::Duration;

use clerk_mcp_tools::client::{
    Expect, PostgresStore, Record, RecordKey, Saved, Store, StoreErrorKind,
};
use clerk_mcp_tools::testing::check_store;
use clerk_mcp_tools_stores::{open, pool};

use crate::{Databases, Directory, key, postgres_settings, record, redis_url};

/// Saves one record after the other until a call fails, and returns the last that was confirmed
/// and the one that may be stored or not.
async fn write_until_it_fails(store: Arc<dyn Store>, key: RecordKey) -> (Record, Record) {
    let mut confirmed = record(&key);
    assert_eq!(store.save(&key, &confirmed, Expect::Any, None).await.unwrap(), Saved::Yes);
    loop {
        let next = record(&key);
        match store.save(&key, &next, Expect::Revision(confirmed.revision()), None).await {
            Ok(Saved::Yes) => confirmed = next,
            Ok(Saved::Conflict) => panic!("nobody else writes this record"),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
                return (confirmed, next);
            }
        }
    }
}

/// Kills a database while eight tasks write to it and starts it again: every call that fails is
/// "unavailable", what was confirmed is there, and the same handle works again.
async fn killed_and_back(databases: &Databases, which: &str, store: Arc<dyn Store>) {
    let writers: Vec<_> = ('a'..='h')
        .map(|letter| tokio::spawn(write_until_it_fails(Arc::clone(&store), key(letter))))
        .collect();
    // Until all have something to lose.
    for letter in 'a'..='h' {
        while store.load(&key(letter)).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    }
    databases.kill(which);
    let mut outcomes = Vec::new();
    for writer in writers {
        outcomes.push(writer.await.unwrap());
    }
    let error = store.load(&key('a')).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    let error = store.take(&key('a')).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");

    databases.start_again(which);
    heals(&*store).await;
    for (letter, (confirmed, unknown)) in ('a'..='h').zip(outcomes) {
        let stored = store.load(&key(letter)).await.unwrap();
        assert!(stored == Some(confirmed) || stored == Some(unknown), "{letter}: {stored:?}");
    }
    check_store(vec![store]).await.unwrap();
}

/// Waits until the handle has connected again, with as many tries as it may take.
async fn heals(store: &dyn Store) {
    for _ in 0..600 {
        match store.load(&key('a')).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the store does not work again");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_killed_in_the_middle_of_writes() {
    if postgres_settings().is_none() {
        return;
    }
    let databases = Databases::start("postgres");
    let store = PostgresStore::new(pool(&databases.postgres()).unwrap());
    store.migrate().await.unwrap();
    killed_and_back(&databases, "postgres", Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed_in_the_middle_of_writes() {
    if redis_url().is_none() {
        return;
    }
    let databases = Databases::start("redis");
    let store = open("redis", &databases.redis()).await.unwrap();
    killed_and_back(&databases, "redis", store).await;
}

/// Nobody listens, from the beginning.
#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable() {
    let store = PostgresStore::new(pool("host=/nonexistent dbname=stores user=stores").unwrap());
    let error = store.load(&key('a')).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    let error = store.migrate().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
}

/// Connections end with the runtime that they were made on; the store connects again on the next one.
/// Refreshes call it from a thread of the crate, and an application may have several runtimes.
fn outlives_its_runtime(kind: &str, place: &str) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let store = first.block_on(open(kind, place)).unwrap();
    assert_eq!(first.block_on(store.load(&key('a'))).unwrap(), None);
    drop(first);
    runtime().block_on(heals(&*store));
}

#[test]
fn postgres_is_used_after_the_runtime_it_was_opened_on() {
    if postgres_settings().is_none() {
        return;
    }
    let databases = Databases::start("postgres");
    let settings = databases.postgres();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let migration = async { PostgresStore::new(pool(&settings).unwrap()).migrate().await };
    runtime.block_on(migration).unwrap();
    outlives_its_runtime("postgres", &settings);
}

#[test]
fn redis_is_used_after_the_runtime_it_was_opened_on() {
    if redis_url().is_none() {
        return;
    }
    let databases = Databases::start("redis");
    outlives_its_runtime("redis", &databases.redis());
}

#[test]
fn sqlite_is_used_after_the_runtime_it_was_opened_on() {
    let directory = Directory::new();
    outlives_its_runtime("sqlite", &directory.file("connections"));
}
