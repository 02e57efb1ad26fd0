//! PostgreSQL behind PgBouncer, which gives each transaction another connection to the database.

use clerk_mcp_tools::client::PostgresStore;
use clerk_mcp_tools::testing::check_store;
use clerk_mcp_tools_stores::pool;
use tokio_postgres::error::SqlState;

use crate::processes::one_wins_each_round;
use crate::{two, variable};

fn settings() -> Option<String> {
    variable("STORES_PGBOUNCER")
}

/// That it does so here: what one client has prepared, another one meets on its connection.
#[tokio::test]
async fn two_clients_have_one_connection() {
    let Some(settings) = settings() else { return };
    let alone = settings.replace("dbname=postgres", "dbname=alone");
    let (one, other) = (pool(&alone).unwrap(), pool(&alone).unwrap());
    let prepare = "PREPARE of_one_client AS SELECT 1";
    one.get().await.unwrap().batch_execute(prepare).await.unwrap();
    let error = other.get().await.unwrap().batch_execute(prepare).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::DUPLICATE_PSTATEMENT), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_with_two_pools() {
    let Some(settings) = settings() else { return };
    PostgresStore::new(pool(&settings).unwrap()).migrate().await.unwrap();
    check_store(two("postgres", &settings).await).await.unwrap();
}

#[tokio::test]
async fn processes_contend_for_the_same_records() {
    let Some(settings) = settings() else { return };
    PostgresStore::new(pool(&settings).unwrap()).migrate().await.unwrap();
    one_wins_each_round("postgres", &settings);
}
