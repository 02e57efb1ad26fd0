//! The stores of connections, opened by what their tests and the program `contender` are given.

use std::error::Error;
use std::sync::Arc;

use clerk_mcp_tools::client::{PostgresStore, RedisStore, SqliteStore, Store};
use deadpool_postgres::{Config, Pool, PoolConfig, Runtime};
use redis::aio::ConnectionManager;
use tokio_postgres::NoTls;

/// The connections of one pool.
const CONNECTIONS: usize = 8;

/// Opens a store by its kind and by a path, by the settings of a connection, or by a URL.
pub async fn open(kind: &str, place: &str) -> Result<Arc<dyn Store>, Box<dyn Error>> {
    Ok(match kind {
        "sqlite" => Arc::new(SqliteStore::open(place).await?),
        "postgres" => Arc::new(PostgresStore::new(pool(place)?)),
        "redis" => Arc::new(RedisStore::new(manager(place).await?, "stores")?),
        _ => return Err(format!("{kind} is no kind of store").into()),
    })
}

/// Creates a pool by settings such as `host=/tmp user=stores`.
pub fn pool(settings: &str) -> Result<Pool, Box<dyn Error>> {
    let config = Config {
        url: Some(settings.to_owned()),
        pool: Some(PoolConfig::new(CONNECTIONS)),
        ..Config::default()
    };
    Ok(config.create_pool(Some(Runtime::Tokio1), NoTls)?)
}

/// Connects to Redis by a URL.
pub async fn manager(url: &str) -> Result<ConnectionManager, Box<dyn Error>> {
    Ok(redis::Client::open(url)?.get_connection_manager().await?)
}
