//! A store in Redis.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::ConnectionManager;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind};

use super::error::{StoreError, StoreErrorKind};
use super::key::{OwnerTag, RecordKey};
use super::record::{Record, Revision, ScanCursor, ScanPage};
use super::{Expect, Saved, Store};
use crate::clock::{SystemClock, timeout};
use crate::error::ConfigError;

/// How long a call waits for Redis.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The longest lifetime that is kept, 100 years: Redis rejects some that are longer.
const MAX_LIFETIME_MS: u128 = 100 * 365 * 24 * 3600 * 1000;

/// The length of a prefix.
const MAX_PREFIX: usize = 64;

/// The number of records that are read with one command.
const PAGE: usize = 500;

/// What is stored is as expected: KEYS 1 the record; ARGV 1 `absent`, `any` or `revision`, 2 the
/// revision.
macro_rules! expected {
    () => {
        "local stored = redis.call('HGET', KEYS[1], 'revision')
        if ARGV[1] == 'absent' and stored or ARGV[1] == 'revision' and stored ~= ARGV[2] then
          return 0
        end
        "
    };
}

/// KEYS 2 the index of the owner, if the record has one; ARGV 3 the value, 4 the revision, 5 the
/// lifetime in ms or an empty string, 6 the key in the index. An index lives as long as the record
/// that lives longest, and a second longer.
const SAVE: &str = concat!(
    expected!(),
    "redis.call('HSET', KEYS[1], 'value', ARGV[3], 'revision', ARGV[4])
    local lifetime = tonumber(ARGV[5])
    if lifetime then
      redis.call('PEXPIRE', KEYS[1], ARGV[5])
    else
      redis.call('PERSIST', KEYS[1])
    end
    if KEYS[2] then
      local left = redis.call('PTTL', KEYS[2])
      redis.call('ZADD', KEYS[2], 0, ARGV[6])
      if not lifetime then
        redis.call('PERSIST', KEYS[2])
      elseif left == -2 or left >= 0 and left < lifetime + 1000 then
        redis.call('PEXPIRE', KEYS[2], string.format('%.0f', lifetime + 1000))
      end
    end
    return 1"
);

/// KEYS as above; ARGV 1 the key in the index.
const TAKE: &str = "local stored = redis.call('HMGET', KEYS[1], 'value', 'revision')
    if not stored[2] then
      return false
    end
    redis.call('DEL', KEYS[1])
    if KEYS[2] then
      redis.call('ZREM', KEYS[2], ARGV[1])
    end
    return stored";

/// KEYS as above; ARGV 3 the key in the index.
const DELETE: &str = concat!(
    expected!(),
    "if not stored then
      return 0
    end
    redis.call('DEL', KEYS[1])
    if KEYS[2] then
      redis.call('ZREM', KEYS[2], ARGV[3])
    end
    return 1"
);

/// Removes what is in the index only, unless it is saved again at this moment. KEYS as above; ARGV
/// 1 the key in the index.
const FORGET: &str = "if redis.call('EXISTS', KEYS[1]) == 0 then
      redis.call('ZREM', KEYS[2], ARGV[1])
    end";

/// A [`Store`] in Redis 6.2 or newer (or a server with the same commands, such as Valkey), for any
/// number of processes.
///
/// The connection, and with it TLS and credentials, is the application's; it reconnects by itself.
/// A call that takes longer than 5 seconds fails as [`StoreErrorKind::Unavailable`]. Each call is one
/// script or one command. Redis removes expired records by itself.
///
/// **What Redis has confirmed must not get lost.** The policy `maxmemory-policy noeviction` (the
/// default), an append-only file (`appendonly yes`), and, where replicas may take over,
/// `min-replicas-to-write`: Redis replicates after it confirms, so a fail-over can lose the last
/// writes, among them a refresh token that was just replaced. Where a user must not have to sign
/// in again after that, use `PostgresStore`.
///
/// Records are hashes under `<prefix>:`, and those of one owner have a hash tag in common. A clone
/// is cheap. Needs the feature `client-redis`.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::client::RedisStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open(std::env::var("REDIS_URL")?)?;
/// let store = RedisStore::new(client.get_connection_manager().await?, "mcp")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    prefix: String,
}

impl RedisStore {
    /// Creates a store of keys with this prefix and a colon: 1 to 64 letters, digits, `-`, `_`, `.`
    /// and `:`.
    ///
    /// # Errors
    ///
    /// Returns an error if the prefix has another form.
    pub fn new(connection: ConnectionManager, prefix: &str) -> Result<Self, ConfigError> {
        if !is_prefix(prefix) {
            return Err(ConfigError::invalid(
                "prefix",
                "is not 1 to 64 letters, digits, \"-\", \"_\", \".\" and \":\"",
            ));
        }
        Ok(Self { connection, prefix: prefix.to_owned() })
    }

    /// The name of a record. A part in braces decides the slot of a cluster.
    fn name(&self, key: &RecordKey) -> String {
        match key.owner() {
            Some(owner) => {
                let rest = key.as_str().strip_prefix(&owner.prefix()).unwrap_or_default();
                format!("{}:connection/{{{owner}}}/{rest}", self.prefix)
            }
            None => format!("{}:{key}", self.prefix),
        }
    }

    /// The name of the set of an owner's keys.
    fn index(&self, owner: &OwnerTag) -> String {
        format!("{}:owner/{{{owner}}}", self.prefix)
    }

    /// The key of a record by its name, or `None` if it is something else.
    fn key(&self, name: &str) -> Option<RecordKey> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix(':')?;
        let key = RecordKey::parse(&rest.replace(['{', '}'], "")).ok()?;
        (self.name(&key) == name).then_some(key)
    }

    /// A script on a record and on the index of its owner.
    fn script(&self, script: &str, key: &RecordKey) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(script);
        match key.owner() {
            Some(owner) => command.arg(2).arg(self.name(key)).arg(self.index(&owner)),
            None => command.arg(1).arg(self.name(key)),
        };
        command
    }

    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut connection = self.connection.clone();
        within(command.query_async(&mut connection)).await
    }

    /// Returns the records of these keys that are there.
    async fn records(&self, keys: Vec<RecordKey>) -> Result<Vec<Loaded>, StoreError> {
        let mut loaded = Vec::with_capacity(keys.len());
        let mut commands = Pipeline::new();
        for key in &keys {
            commands.cmd("HMGET").arg(self.name(key)).arg("value").arg("revision");
        }
        if keys.is_empty() {
            return Ok(loaded);
        }
        let mut connection = self.connection.clone();
        let stored: Vec<Stored> = within(commands.query_async(&mut connection)).await?;
        for (key, stored) in keys.into_iter().zip(stored) {
            loaded.push((key, record(stored)?));
        }
        Ok(loaded)
    }
}

/// A key, and its record unless that is gone.
type Loaded = (RecordKey, Option<Record>);

/// The value and the revision of a record, as Redis returns them.
type Stored = (Option<Vec<u8>>, Option<Vec<u8>>);

fn record(stored: Stored) -> Result<Option<Record>, StoreError> {
    let (Some(value), Some(revision)) = stored else {
        return Ok(None);
    };
    let revision = revision.try_into().map_err(|_| {
        StoreError::new(StoreErrorKind::Corrupt, "a revision does not have 16 bytes")
    })?;
    Ok(Some(Record::new(Revision::from_bytes(revision), value)))
}

/// The first two arguments of a script.
fn arguments(expect: Expect) -> (&'static str, Vec<u8>) {
    match expect {
        Expect::Absent => ("absent", Vec::new()),
        Expect::Any => ("any", Vec::new()),
        Expect::Revision(revision) => ("revision", revision.as_bytes().to_vec()),
    }
}

/// A lifetime in whole milliseconds, rounded up. Redis takes none of zero.
fn milliseconds(lifetime: Duration) -> String {
    lifetime.as_nanos().div_ceil(1_000_000).clamp(1, MAX_LIFETIME_MS).to_string()
}

fn is_prefix(prefix: &str) -> bool {
    (1..=MAX_PREFIX).contains(&prefix.len())
        && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

async fn within<T>(call: impl Future<Output = Result<T, RedisError>>) -> Result<T, StoreError> {
    let outcome = timeout(&SystemClock::new(), MAX_WAIT, call).await.ok_or_else(|| {
        StoreError::new(StoreErrorKind::Unavailable, "Redis did not respond in 5 s")
    })?;
    outcome.map_err(failed)
}

fn failed(error: RedisError) -> StoreError {
    let (kind, detail) = match (error.kind(), error.code()) {
        (_, Some("OOM")) => (StoreErrorKind::Full, "Redis has no memory left"),
        (_, Some("WRONGTYPE")) | (ErrorKind::UnexpectedReturnType | ErrorKind::Parse, _) => {
            (StoreErrorKind::Corrupt, "what Redis keeps under a key is not a record")
        }
        (_, Some("NOAUTH" | "WRONGPASS"))
        | (ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
            (StoreErrorKind::Misconfigured, "Redis does not allow the command")
        }
        _ => (StoreErrorKind::Unavailable, "Redis cannot be reached, or gave up"),
    };
    StoreError::new(kind, detail).with_source(error)
}

#[async_trait]
impl Store for RedisStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.name(key)).arg("value").arg("revision");
        record(self.run(&command).await?)
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError> {
        let (expect, expected) = arguments(expect);
        let mut command = self.script(SAVE, key);
        command.arg(expect).arg(expected);
        command.arg(&record.sealed()[..]).arg(&record.revision().as_bytes()[..]);
        command.arg(lifetime.map(milliseconds).unwrap_or_default()).arg(key.as_str());
        let is_saved: bool = self.run(&command).await?;
        Ok(if is_saved { Saved::Yes } else { Saved::Conflict })
    }

    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let mut command = self.script(TAKE, key);
        command.arg(key.as_str());
        let taken: Option<Stored> = self.run(&command).await?;
        taken.map_or(Ok(None), record)
    }

    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        let (expect, expected) = arguments(expect);
        let mut command = self.script(DELETE, key);
        command.arg(expect).arg(expected).arg(key.as_str());
        self.run(&command).await
    }

    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        let mut listed = Vec::new();
        let mut last = after.cloned();
        while listed.len() < most {
            let page = self.members(owner, last.as_ref(), most - listed.len()).await?;
            let Some(end) = page.last() else {
                break;
            };
            last = Some(end.clone());
            for (key, record) in self.records(page).await? {
                match record {
                    Some(record) => listed.push((key, record)),
                    None => self.forget(&key).await?,
                }
            }
        }
        Ok(listed)
    }

    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError> {
        let cursor = from.map_or("0", ScanCursor::as_str);
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(format!("{}:*", self.prefix));
        command.arg("COUNT").arg(most.clamp(1, PAGE)).arg("TYPE").arg("hash");
        let (next, names): (String, Vec<Vec<u8>>) = self.run(&command).await?;
        let names = names.iter().filter_map(|name| std::str::from_utf8(name).ok());
        let keys = names.filter_map(|name| self.key(name)).collect();
        let records = self.records(keys).await?.into_iter();
        let records = records.filter_map(|(key, record)| Some((key, record?))).collect();
        Ok(ScanPage::new(records, (next != "0").then(|| ScanCursor::new(next))))
    }
}

/// Lists by the index of an owner.
impl RedisStore {
    async fn members(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<RecordKey>, StoreError> {
        let mut command = redis::cmd("ZRANGEBYLEX");
        let start = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
        command.arg(self.index(owner)).arg(start).arg("+");
        command.arg("LIMIT").arg(0).arg(most.min(PAGE));
        let keys: Vec<String> = self.run(&command).await?;
        keys.iter().map(|key| RecordKey::parse(key)).collect()
    }

    async fn forget(&self, key: &RecordKey) -> Result<(), StoreError> {
        let mut command = self.script(FORGET, key);
        command.arg(key.as_str());
        self.run(&command).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_no_pattern_and_no_hash_tag() {
        for prefix in ["mcp", "app:1:mcp", "a-b_c.d", &"a".repeat(64)] {
            assert!(is_prefix(prefix), "{prefix}");
        }
        for prefix in ["", "a*", "a?", "[a]", "{a}", "a\\", "a b", "a\n", "é", &"a".repeat(65)] {
            assert!(!is_prefix(prefix), "{prefix}");
        }
    }

    #[test]
    fn lifetimes_are_whole_milliseconds_that_redis_takes() {
        for (lifetime, expected) in [
            (Duration::ZERO, "1"),
            (Duration::from_micros(1), "1"),
            (Duration::from_micros(1001), "2"),
            (Duration::from_secs(30), "30000"),
            (Duration::MAX, "3153600000000"),
        ] {
            assert_eq!(milliseconds(lifetime), expected);
        }
    }
}
