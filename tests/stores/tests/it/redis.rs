//! What is particular to Redis.

use std::time::Duration;

use ::redis::AsyncCommands;
use clerk_mcp_tools::client::{Expect, RedisStore, Saved, Store, StoreErrorKind};
use clerk_mcp_tools_stores::manager;

use crate::{connection, key, record, redis_url, unique};

async fn store(url: &str, prefix: &str) -> RedisStore {
    RedisStore::new(manager(url).await.unwrap(), prefix).unwrap()
}

#[tokio::test]
async fn stores_of_two_prefixes_are_apart_even_if_one_begins_with_the_other() {
    let Some(url) = redis_url() else { return };
    let prefix = unique("p");
    let (one, other) = (store(&url, &prefix).await, store(&url, &format!("{prefix}:b")).await);
    let key = connection('o', 's');
    for store in [&one, &other] {
        let saved = store.save(&key, &record(&key), Expect::Absent, None).await.unwrap();
        assert_eq!(saved, Saved::Yes);
    }
    for store in [&one, &other] {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = store.scan(cursor.as_ref(), 100).await.unwrap();
            found.extend(page.records().iter().map(|(key, _)| key.clone()));
            cursor = page.next().cloned();
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, [key.clone()]);
    }
}

/// The index of an owner has no key for longer than needed.
#[tokio::test]
async fn the_index_of_an_owner_forgets_what_is_over() {
    let Some(url) = redis_url() else { return };
    let prefix = unique("i");
    let (store, mut raw) = (store(&url, &prefix).await, manager(&url).await.unwrap());
    let owner = connection('o', 's').owner().unwrap();
    let index = format!("{prefix}:owner/{{{owner}}}");
    let long = Some(Duration::from_secs(3600));
    let save = async |server: char, lifetime| {
        let key = connection('o', server);
        let saved = store.save(&key, &record(&key), Expect::Any, lifetime).await.unwrap();
        assert_eq!(saved, Saved::Yes);
    };
    save('a', long).await;
    let left: i64 = raw.pttl(&index).await.unwrap();
    assert!((3_600_000..=3_601_000).contains(&left), "{left}");
    // A shorter lifetime changes nothing, and none at all keeps the index.
    save('b', Some(Duration::from_millis(5))).await;
    let left: i64 = raw.pttl(&index).await.unwrap();
    assert!(left > 3_000_000, "{left}");
    while store.load(&connection('o', 'b')).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.zcard::<_, usize>(&index).await.unwrap(), 2);
    assert_eq!(store.list(&owner, None, 10).await.unwrap().len(), 1);
    assert_eq!(raw.zcard::<_, usize>(&index).await.unwrap(), 1);
    save('c', None).await;
    assert_eq!(raw.pttl::<_, i64>(&index).await.unwrap(), -1);
    save('a', long).await;
    assert_eq!(raw.pttl::<_, i64>(&index).await.unwrap(), -1);
    // It is gone with the last record.
    for server in ['a', 'c'] {
        assert!(store.delete(&connection('o', server), Expect::Any).await.unwrap());
    }
    assert!(!raw.exists::<_, bool>(&index).await.unwrap());
}

#[tokio::test]
async fn what_is_not_a_record_is_corrupt() {
    let Some(url) = redis_url() else { return };
    let prefix = unique("c");
    let (store, mut raw) = (store(&url, &prefix).await, manager(&url).await.unwrap());
    let () = raw.set(format!("{prefix}:{}", key('a')), "a string").await.unwrap();
    let () = raw.hset(format!("{prefix}:{}", key('b')), "value", "x").await.unwrap();
    let () = raw.hset(format!("{prefix}:{}", key('b')), "revision", "short").await.unwrap();
    for letter in ['a', 'b'] {
        let error = store.load(&key(letter)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{letter}: {error:?}");
    }
    let record = record(&key('a'));
    let error = store.save(&key('a'), &record, Expect::Any, None).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error:?}");
}
