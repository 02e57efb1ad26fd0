//! The suite for stores, on all of them.

use std::sync::Arc;

use clerk_mcp_tools::client::{PostgresStore, SqliteStore, Store};
use clerk_mcp_tools::testing::{FaultyStore, check_store};
use clerk_mcp_tools_stores::pool;

use crate::{Directory, postgres_settings, redis_url, two, unique};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_memory() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.unwrap());
    check_store(vec![store]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_a_file_that_is_opened_twice() {
    let directory = Directory::new();
    check_store(two("sqlite", &directory.file("connections")).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_with_two_pools() {
    let Some(settings) = postgres_settings() else { return };
    PostgresStore::new(pool(&settings).unwrap()).migrate().await.unwrap();
    check_store(two("postgres", &settings).await).await.unwrap();
}

/// Statements that the database undoes because of others are tried again.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_with_serializable_transactions() {
    let Some(settings) = postgres_settings() else { return };
    let serializable = "options='-c default_transaction_isolation=serializable'";
    let store = PostgresStore::new(pool(&format!("{settings} {serializable}")).unwrap());
    let store = store.table(&unique("serializable")).unwrap();
    store.migrate().await.unwrap();
    check_store(vec![Arc::new(store.clone()), Arc::new(store)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_with_two_connections() {
    let Some(url) = redis_url() else { return };
    check_store(two("redis", &url).await).await.unwrap();
}

/// A store around another one passes as well, and sees every call.
#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_store_without_faults() {
    let store = FaultyStore::new(SqliteStore::in_memory().await.unwrap());
    check_store(vec![Arc::new(store.clone())]).await.unwrap();
    assert!(store.calls().len() > 500);
}
