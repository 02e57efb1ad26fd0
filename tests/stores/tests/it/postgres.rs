//! What is particular to PostgreSQL.

use clerk_mcp_tools::client::{Expect, PostgresStore, Saved, Store, StoreErrorKind};
use clerk_mcp_tools_stores::pool;

use crate::{key, postgres_settings, record, unique};

#[tokio::test]
async fn a_table_that_is_missing_is_an_error_of_the_setup() {
    let Some(settings) = postgres_settings() else { return };
    let store = PostgresStore::new(pool(&settings).unwrap()).table(&unique("missing")).unwrap();
    let error = store.load(&key('a')).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert_eq!(
        error.to_string(),
        "the store of connections is not set up: PostgreSQL refuses the statement",
    );
}

#[tokio::test]
async fn a_database_that_is_missing_is_an_error_of_the_setup() {
    let Some(settings) = postgres_settings() else { return };
    let settings = settings.replace("dbname=postgres", "dbname=missing");
    let error = PostgresStore::new(pool(&settings).unwrap()).load(&key('a')).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_create_the_table_at_once() {
    let Some(settings) = postgres_settings() else { return };
    let table = unique("together");
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = PostgresStore::new(pool(&settings).unwrap()).table(&table).unwrap();
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn tables_and_schemas_are_apart() {
    let Some(settings) = postgres_settings() else { return };
    let pool = pool(&settings).unwrap();
    let schema = unique("schema");
    let statement = format!("CREATE SCHEMA {schema}");
    pool.get().await.unwrap().batch_execute(&statement).await.unwrap();
    let stores = [unique("one"), format!("{schema}.select")]
        .map(|table| PostgresStore::new(pool.clone()).table(&table).unwrap());
    for store in &stores {
        store.migrate().await.unwrap();
        let saved = store.save(&key('a'), &record(&key('a')), Expect::Absent, None).await.unwrap();
        assert_eq!(saved, Saved::Yes);
    }
}

/// What somebody else has put into the table.
#[tokio::test]
async fn a_row_that_is_not_of_a_store_is_corrupt() {
    let Some(settings) = postgres_settings() else { return };
    let (pool, table) = (pool(&settings).unwrap(), unique("corrupt"));
    let store = PostgresStore::new(pool.clone()).table(&table).unwrap();
    store.migrate().await.unwrap();
    let insert = format!(
        "INSERT INTO {table} VALUES ('{}', NULL, 'x', 'short', NULL, 0), ('other', NULL, 'x', \
         '0123456789abcdef', NULL, 0)",
        key('a')
    );
    pool.get().await.unwrap().batch_execute(&insert).await.unwrap();
    for error in [store.load(&key('a')).await.unwrap_err(), store.scan(None, 9).await.unwrap_err()]
    {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }
}

/// A server that has become a standby does not take writes; the connection is of no use any more.
#[tokio::test]
async fn a_connection_that_cannot_write_is_closed() {
    let Some(settings) = postgres_settings() else { return };
    let (pool, table) = (pool(&settings).unwrap(), unique("standby"));
    let store = PostgresStore::new(pool.clone()).table(&table).unwrap();
    store.migrate().await.unwrap();
    let read_only = "SET default_transaction_read_only = on";
    pool.get().await.unwrap().batch_execute(read_only).await.unwrap();
    let (key, record) = (key('a'), record(&key('a')));
    let error = store.save(&key, &record, Expect::Absent, None).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    assert_eq!(store.save(&key, &record, Expect::Absent, None).await.unwrap(), Saved::Yes);
}
