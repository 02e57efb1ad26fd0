//! A store in PostgreSQL.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool, PoolError};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use super::error::{StoreError, StoreErrorKind};
use super::key::{OwnerTag, RecordKey};
use super::record::{Record, ScanCursor, ScanPage};
use super::sql::{self, Dialect, Statements};
use super::{Expect, Saved, Store};
use crate::clock::{SystemClock, timeout};
use crate::error::ConfigError;

const TABLE: &str = "mcp_client_records";

/// A name of PostgreSQL has 63 bytes, and those of the indexes are up to 11 bytes longer.
const MAX_NAME: usize = 50;

const DIALECT: Dialect = Dialect {
    now: "CAST(extract(epoch FROM statement_timestamp()) * 1000 AS BIGINT)",
    bytes: "BYTEA",
    key: "TEXT COLLATE \"C\"",
};

/// How long a call waits for a connection and for the database.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// How often a statement is tried that the database has undone because of others.
const TRIES: usize = 4;

/// A parameter of a statement and its type.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A [`Store`] in PostgreSQL 13 or newer, for any number of processes.
///
/// The pool, and with it TLS and the credentials of the database, is the application's; each call
/// uses one connection for one statement. No statement is prepared and none needs a transaction, so
/// a pooler such as PgBouncer may stand between, in any of its modes. A call that takes longer than 5 seconds fails as
/// [`StoreErrorKind::Unavailable`], and its connection is closed.
///
/// Expired records are absent; [`sweep`](Store::sweep) removes them. A clone is cheap. Needs the
/// feature `client-postgres`.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::client::PostgresStore;
/// use deadpool_postgres::{Config, Runtime};
/// use tokio_postgres::NoTls;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config { url: std::env::var("DATABASE_URL").ok(), ..Config::default() };
/// let pool = config.create_pool(Some(Runtime::Tokio1), NoTls)?;
/// let store = PostgresStore::new(pool);
/// // Or run `store.schema()` with the migrations of the application.
/// store.migrate().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    statements: std::sync::Arc<Statements>,
}

impl PostgresStore {
    /// Creates a store in the table `mcp_client_records`. Connects when it is called.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        let statements = Statements::new(&quoted(TABLE), &format!("\"{TABLE}"), &DIALECT);
        Self { pool, statements: statements.into() }
    }

    /// Sets the table: `name` or `schema.name`, of lower-case letters, digits and `_`, each at most
    /// 50 bytes and not beginning with a digit.
    ///
    /// # Errors
    ///
    /// Returns an error if the name has another form.
    pub fn table(self, name: &str) -> Result<Self, ConfigError> {
        let parts: Vec<&str> = name.split('.').collect();
        let (Some(last), true) = (parts.last(), parts.len() <= 2 && parts.iter().all(is_name))
        else {
            return Err(ConfigError::invalid(
                "table",
                "is neither a name nor a schema and a name; use lower-case letters, digits and _",
            ));
        };
        let table = parts.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(".");
        let statements = Statements::new(&table, &format!("\"{last}"), &DIALECT);
        Ok(Self { statements: statements.into(), ..self })
    }

    /// Returns the statements that create the table and its indexes if they are not there, for the
    /// migrations of the application.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.statements.schema
    }

    /// Creates the table and its indexes if they are not there. Several processes may do so at the
    /// same time.
    ///
    /// # Errors
    ///
    /// Returns an error if the database is unavailable or does not allow it.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut outcome = self.try_migrate().await;
        for _ in 1..TRIES {
            match outcome {
                // Two processes that create a table at the same time get in each other's way.
                Err(Failed::Statement(_)) => outcome = self.try_migrate().await,
                _ => break,
            }
        }
        outcome.map_err(Failed::into_store_error)
    }

    async fn try_migrate(&self) -> Result<(), Failed> {
        let connection = self.connection().await?;
        let outcome = within(connection.batch_execute(self.schema())).await;
        finish(connection, outcome)
    }

    /// Runs one statement. One that the database has undone because of others is tried again.
    async fn query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let mut outcome = self.try_query(statement, parameters).await;
        for _ in 1..TRIES {
            match &outcome {
                Err(Failed::Statement(error)) if was_undone(error) => {
                    outcome = self.try_query(statement, parameters).await;
                }
                _ => break,
            }
        }
        outcome.map_err(Failed::into_store_error)
    }

    async fn try_query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failed> {
        let connection = self.connection().await?;
        let outcome = within(connection.query_typed(statement, parameters)).await;
        finish(connection, outcome)
    }

    async fn connection(&self) -> Result<Object, Failed> {
        within(self.pool.get()).await?.map_err(Failed::Pool)
    }
}

/// Gives a connection back to the pool, or closes it if it may be of no use: one whose server does
/// not respond, or is no longer the one that writes go to.
fn finish<T>(connection: Object, outcome: Result<Result<T, Error>, Failed>) -> Result<T, Failed> {
    let outcome = outcome.and_then(|outcome| outcome.map_err(Failed::Statement));
    let is_of_use = match &outcome {
        Ok(_) => true,
        Err(Failed::Statement(error)) => error.code() != Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
        Err(_) => false,
    };
    if !is_of_use {
        drop(Object::take(connection));
    }
    outcome
}

async fn within<F: Future>(future: F) -> Result<F::Output, Failed> {
    timeout(&SystemClock::new(), MAX_WAIT, future).await.ok_or(Failed::Timeout)
}

/// Why a statement has no outcome.
enum Failed {
    Timeout,
    Pool(PoolError),
    Statement(Error),
}

impl Failed {
    fn into_store_error(self) -> StoreError {
        match self {
            Self::Timeout => {
                StoreError::new(StoreErrorKind::Unavailable, "PostgreSQL did not respond in 5 s")
            }
            Self::Pool(PoolError::Backend(error)) => of_database(error),
            Self::Pool(error) => {
                let detail = "the pool has no connection to PostgreSQL";
                StoreError::new(StoreErrorKind::Unavailable, detail).with_source(error)
            }
            Self::Statement(error) => of_database(error),
        }
    }
}

fn of_database(error: Error) -> StoreError {
    /// Classes of codes, by their first two characters: data and syntax that do not fit, access,
    /// and databases that do not exist.
    const SETUP: [&str; 4] = ["22", "28", "3D", "42"];
    let code = error.code().map_or("", SqlState::code);
    let (kind, detail) = match code.get(..2) {
        Some(class) if SETUP.contains(&class) => {
            (StoreErrorKind::Misconfigured, "PostgreSQL refuses the statement")
        }
        _ if code == SqlState::DISK_FULL.code() => {
            (StoreErrorKind::Full, "the disk of PostgreSQL is full")
        }
        _ => (StoreErrorKind::Unavailable, "PostgreSQL cannot be reached, or gave up"),
    };
    StoreError::new(kind, detail).with_source(error)
}

/// Whether the database has undone a statement because of others, as it may where transactions are
/// serializable by default.
fn was_undone(error: &Error) -> bool {
    let undone = [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| undone.contains(&code))
}

fn is_name(part: &&str) -> bool {
    let is_letter = |b: u8| b.is_ascii_lowercase() || b == b'_';
    (1..=MAX_NAME).contains(&part.len())
        && part.bytes().all(|b| is_letter(b) || b.is_ascii_digit())
        && part.bytes().next().is_some_and(is_letter)
}

/// Quotes a name, which may be a word of SQL.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn record(row: &Row, first: usize) -> Result<Record, StoreError> {
    let revision: Vec<u8> = row.try_get(first + 1).map_err(of_row)?;
    sql::record(row.try_get(first).map_err(of_row)?, &revision)
}

fn keyed_record(row: &Row) -> Result<(RecordKey, Record), StoreError> {
    let key: &str = row.try_get(0).map_err(of_row)?;
    Ok((RecordKey::parse(key)?, record(row, 1)?))
}

fn of_row(error: Error) -> StoreError {
    let detail = "a row is not one of this store";
    StoreError::new(StoreErrorKind::Corrupt, detail).with_source(error)
}

#[async_trait]
impl Store for PostgresStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let rows = self.query(&self.statements.load, &[(&key.as_str(), Type::TEXT)]).await?;
        rows.first().map(|row| record(row, 0)).transpose()
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError> {
        let owner = key.owner();
        let (key, owner) = (key.as_str(), owner.as_ref().map(OwnerTag::as_str));
        let revision = record.revision();
        let (value, revision) = (&record.sealed()[..], &revision.as_bytes()[..]);
        let lifetime = lifetime.map(sql::milliseconds);
        let expected = match &expect {
            Expect::Revision(revision) => Some(&revision.as_bytes()[..]),
            Expect::Absent | Expect::Any => None,
        };
        let mut parameters: Vec<Parameter<'_>> = vec![
            (&key, Type::TEXT),
            (&owner, Type::TEXT),
            (&value, Type::BYTEA),
            (&revision, Type::BYTEA),
            (&lifetime, Type::INT8),
        ];
        let statement = match expect {
            Expect::Absent => &self.statements.save_absent,
            Expect::Any => &self.statements.save_any,
            Expect::Revision(_) => {
                parameters.push((&expected, Type::BYTEA));
                &self.statements.save_revision
            }
        };
        let changed = self.query(statement, &parameters).await?;
        Ok(if changed.is_empty() { Saved::Conflict } else { Saved::Yes })
    }

    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let rows = self.query(&self.statements.take, &[(&key.as_str(), Type::TEXT)]).await?;
        rows.first().map(|row| record(row, 0)).transpose()
    }

    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        let key = key.as_str();
        let key: Parameter<'_> = (&key, Type::TEXT);
        let changed = match expect {
            Expect::Absent => return Ok(false),
            Expect::Any => self.query(&self.statements.delete_any, &[key]).await?,
            Expect::Revision(revision) => {
                let revision = &revision.as_bytes()[..];
                let parameters = [key, (&revision, Type::BYTEA)];
                self.query(&self.statements.delete_revision, &parameters).await?
            }
        };
        Ok(!changed.is_empty())
    }

    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        let (owner, after) = (owner.as_str(), after.map_or("", RecordKey::as_str));
        let most = sql::rows(most);
        let parameters: [Parameter<'_>; 3] =
            [(&owner, Type::TEXT), (&after, Type::TEXT), (&most, Type::INT8)];
        let rows = self.query(&self.statements.list, &parameters).await?;
        rows.iter().map(keyed_record).collect()
    }

    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError> {
        let (after, most) = (from.map_or("", ScanCursor::as_str), most.max(1));
        let limit = sql::rows(most);
        let parameters: [Parameter<'_>; 2] = [(&after, Type::TEXT), (&limit, Type::INT8)];
        let rows = self.query(&self.statements.scan, &parameters).await?;
        let records = rows.iter().map(keyed_record).collect::<Result<_, _>>()?;
        Ok(ScanPage::in_order_of_keys(records, most))
    }

    async fn sweep(&self, most: usize) -> Result<u64, StoreError> {
        let most = sql::rows(most);
        let swept = self.query(&self.statements.sweep, &[(&most, Type::INT8)]).await?;
        Ok(swept.len() as u64)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_table_cannot_leave_its_place() {
        let pool = || {
            let manager = deadpool_postgres::Manager::new(
                tokio_postgres::Config::new(),
                tokio_postgres::NoTls,
            );
            Pool::builder(manager).build().unwrap()
        };
        for (name, expected) in [
            ("records", "\"records\""),
            ("select", "\"select\""),
            ("app_1._records2", "\"app_1\".\"_records2\""),
        ] {
            let store = PostgresStore::new(pool()).table(name).unwrap();
            assert!(store.schema().contains(&format!("EXISTS {expected} (key")), "{name}");
        }
        let (long, fits) = ("a".repeat(51), "a".repeat(50));
        assert!(PostgresStore::new(pool()).table(&fits).is_ok());
        for name in [
            "", ".", "a.", ".a", "a.b.c", "1a", "A", "a b", "a;b", "a\"b", "a'b", "a-b", "é",
            "a\0", "a$1", &long,
        ] {
            let error = PostgresStore::new(pool()).table(name).unwrap_err();
            assert_eq!(error.setting(), "table", "{name}");
        }
    }
}
