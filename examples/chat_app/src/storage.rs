//! Where the connections are kept, and the keys that seal them.

use std::env::VarError;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clerk_mcp_tools::client::{PostgresStore, RedisStore, SealingKeys, SqliteStore, Store};
use deadpool_postgres::{Manager, Pool};
use redis::aio::ConnectionManagerConfig;
use tokio_postgres::NoTls;

use crate::explain;

const KEYS: &str = "MCP_CLIENT_KEYS";

pub(crate) struct Storage {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: SealingKeys,
    /// Both of them, for a person.
    pub(crate) description: String,
}

/// Opens PostgreSQL at `DATABASE_URL`, Redis at `REDIS_URL`, or else the SQLite file `MCP_CHAT_DB`.
pub(crate) async fn open() -> Result<Storage, Box<dyn Error>> {
    match (var("DATABASE_URL")?, var("REDIS_URL")?) {
        (Some(_), Some(_)) => Err("DATABASE_URL and REDIS_URL are both set; unset one".into()),
        (Some(url), None) => {
            let store = postgres(&url).await.map_err(in_setting("DATABASE_URL"))?;
            with_keys_of_environment(store, "PostgreSQL")
        }
        (None, Some(url)) => {
            let store = redis(&url).await.map_err(in_setting("REDIS_URL"))?;
            with_keys_of_environment(store, "Redis")
        }
        (None, None) => sqlite(&var("MCP_CHAT_DB")?.unwrap_or("chat_app.db".to_owned())).await,
    }
}

/// Without TLS. For a database of another machine, see the crate `tokio-postgres-rustls`.
async fn postgres(url: &str) -> Result<PostgresStore, Box<dyn Error>> {
    // An error of the parser could repeat a part of the URL, which has a password.
    let config = url
        .parse()
        .map_err(|_| "not a URL of PostgreSQL, such as postgres://user:password@localhost/name")?;
    let pool = Pool::builder(Manager::new(config, NoTls)).build()?;
    let store = PostgresStore::new(pool);
    store.migrate().await?;
    Ok(store)
}

async fn redis(url: &str) -> Result<RedisStore, Box<dyn Error>> {
    let client = redis::Client::open(url)
        .map_err(|_| "not a URL of Redis, such as redis://:password@localhost:6379")?;
    // So that it takes less than a second to say that no Redis is there.
    let config = ConnectionManagerConfig::new().set_number_of_retries(2);
    let connection = client.get_connection_manager_with_config(config).await?;
    Ok(RedisStore::new(connection, "chat_app")?)
}

/// Without `MCP_CLIENT_KEYS`, the keys are in a file beside the database, made at the first start.
///
/// Not keys in the source: everybody knows those, also those of an application that began as a copy
/// of this one. With both files the tokens can be read, so in production, keep the keys apart.
async fn sqlite(file: &str) -> Result<Storage, Box<dyn Error>> {
    let store = SqliteStore::open(file).await.map_err(|error| in_setting(file)(error.into()))?;
    let place = format!("the SQLite file {file}");
    if var(KEYS)?.is_some() {
        return with_keys_of_environment(store, &place);
    }
    let keys_file = format!("{file}.keys");
    let keys = own_keys(&keys_file).map_err(in_setting(&keys_file))?;
    let description = format!("{place}, sealed with the keys in {keys_file}");
    Ok(Storage { store: Arc::new(store), keys, description })
}

/// A database that several processes share: each has the same keys.
fn with_keys_of_environment(store: impl Store, place: &str) -> Result<Storage, Box<dyn Error>> {
    let keys = SealingKeys::from_env(KEYS)?;
    let description = format!("{place}, sealed with the keys in {KEYS}");
    Ok(Storage { store: Arc::new(store), keys, description })
}

/// Reads the keys in a file, which it creates if it is not there, for its owner alone.
fn own_keys(file: &str) -> Result<SealingKeys, Box<dyn Error>> {
    if !fs::exists(file)? {
        // Another process may start at the same time: a file with this name is complete.
        let unfinished = format!("{file}.{}", std::process::id());
        let keys = format!("lookup:{},1:{}\n", random_key()?, random_key()?);
        write_for_owner(&unfinished, &keys)?;
        let linked = fs::hard_link(&unfinished, file);
        fs::remove_file(&unfinished)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
    }
    Ok(SealingKeys::parse(fs::read_to_string(file)?.trim())?)
}

fn write_for_owner(file: &str, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}

fn random_key() -> Result<String, Box<dyn Error>> {
    let mut key = [0; 32];
    rand::fill(&mut key)?;
    Ok(STANDARD.encode(key))
}

/// Returns a variable of the environment that is neither missing nor empty.
fn var(name: &str) -> Result<Option<String>, Box<dyn Error>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8").into()),
    }
}

/// Says which setting or file an error is about.
fn in_setting(name: &str) -> impl Fn(Box<dyn Error>) -> Box<dyn Error> {
    move |error| format!("{name}: {}", explain(&*error)).into()
}
