//! The stores of connections, opened by what their tests and programs are given, and connections in
//! them that are of one user.

use std::error::Error;
use std::sync::Arc;

use clerk_mcp_tools::client::{
    Connections, ConnectionsBuilder, Egress, KeyId, Owner, PostgresStore, RedisStore, SealingKeys,
    SqliteStore, Store,
};
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

/// Returns the builder of what every process of one application has.
pub fn connections(store: Arc<dyn Store>) -> Result<ConnectionsBuilder, Box<dyn Error>> {
    let keys = SealingKeys::new([1; 32], KeyId::parse("test")?, [2; 32])?;
    let builder = Connections::builder(store, keys, "https://app.example.com/callback");
    Ok(builder.egress(Egress::public().allow_loopback()))
}

/// The user.
pub fn owner() -> Owner {
    Owner::new("user_marked_0123456789")
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
