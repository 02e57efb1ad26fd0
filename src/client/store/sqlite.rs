//! A store in a SQLite file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, Error, ErrorCode, Row, ToSql};
use tokio::sync::{mpsc, oneshot};

use super::error::{StoreError, StoreErrorKind};
use super::key::{OwnerTag, RecordKey};
use super::record::{Record, ScanCursor, ScanPage};
use super::sql::{self, Dialect, Statements};
use super::{Expect, Saved, Store};

const TABLE: &str = "\"mcp_client_records\"";
const INDEX: &str = "\"mcp_client_records";

const DIALECT: Dialect = Dialect {
    now: "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    bytes: "BLOB",
    key: "TEXT",
};

/// How long a call waits for other processes that write to the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call may wait for those before it in this process.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The number of calls that wait.
const MAX_WAITING: usize = 1024;

/// How often it is tried to switch a file to WAL that another process is just opening.
const WAL_TRIES: u32 = 50;
const WAL_INTERVAL: Duration = Duration::from_millis(100);

/// A [`Store`] in a SQLite file, which any number of processes of one machine may have open.
///
/// The file is in WAL mode, and a write is on the disk before its call returns. It must not be on a
/// file system of the network, whose locks SQLite cannot rely on. A new file may be read and
/// written by its owner only.
///
/// The calls run one after the other on a thread of the store, so they block no runtime. A call
/// waits at most 5 seconds for another process that writes, and at most 10 seconds for the calls
/// before it; then it fails as [`StoreErrorKind::Unavailable`].
///
/// A clone is cheap and uses the same thread, which ends with the last one. Needs the feature
/// `client-sqlite`, which builds SQLite into the program; with the environment variable
/// `LIBSQLITE3_SYS_USE_PKG_CONFIG=1` at build time, that of the system is used (3.35 or newer).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::SqliteStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("connections.sqlite3");
/// let store = SqliteStore::open(path).await?;
/// # std::fs::remove_dir_all(directory)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    jobs: mpsc::Sender<Job>,
}

/// A call, and when it was made.
struct Job {
    since: Instant,
    run: Run,
}

/// Runs the call, or passes on why it cannot run.
type Run = Box<dyn FnOnce(Result<&Database, StoreError>) + Send>;

struct Database {
    connection: Connection,
    statements: Statements,
}

impl SqliteStore {
    /// Opens a file, creates it if it does not exist, and creates the table in it.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or written, or is not a database.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        Self::start(move || Database::open(&path)).await
    }

    /// Opens a database in memory, for tests.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be created.
    pub async fn in_memory() -> Result<Self, StoreError> {
        Self::start(|| Database::set_up(Connection::open_in_memory())).await
    }

    async fn start(
        open: impl FnOnce() -> Result<Database, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(MAX_WAITING);
        let (opened, outcome) = oneshot::channel();
        thread::Builder::new()
            .name("clerk-mcp-sqlite".to_owned())
            .spawn(move || match open() {
                Ok(database) => {
                    let _ = opened.send(Ok(()));
                    work(&database, queue);
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                }
            })
            .map_err(|error| unavailable("its thread does not start").with_source(error))?;
        outcome.await.map_err(|_| stopped())??;
        Ok(Self { jobs })
    }

    /// Runs a call on the thread of the store.
    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, outcome) = oneshot::channel();
        let run: Run = Box::new(move |database| {
            // A caller who is gone does not need it any more.
            if !reply.is_closed() {
                let _ = reply.send(database.and_then(call));
            }
        });
        let job = Job { since: Instant::now(), run };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => unavailable("too many calls are waiting"),
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        outcome.await.map_err(|_| stopped())?
    }
}

/// Runs calls until the last handle of the store is dropped.
fn work(database: &Database, mut queue: mpsc::Receiver<Job>) {
    while let Some(job) = queue.blocking_recv() {
        if job.since.elapsed() > MAX_WAIT {
            (job.run)(Err(unavailable("the calls before this one took too long")));
        } else {
            (job.run)(Ok(database));
        }
    }
}

impl Database {
    fn open(path: &PathBuf) -> Result<Self, StoreError> {
        create_private(path).map_err(|error| {
            let detail = "the file cannot be created or written";
            StoreError::new(StoreErrorKind::Misconfigured, detail).with_source(error)
        })?;
        Self::set_up(Connection::open(path))
    }

    fn set_up(connection: rusqlite::Result<Connection>) -> Result<Self, StoreError> {
        let connection = connection.map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        switch_to_wal(&connection)?;
        // What a call has confirmed survives a power failure: a refresh token that was replaced and
        // lost signs its user out.
        connection.execute_batch("PRAGMA synchronous = FULL").map_err(failed)?;
        let statements = Statements::new(TABLE, INDEX, &DIALECT);
        connection.execute_batch(&statements.schema).map_err(failed)?;
        Ok(Self { connection, statements })
    }

    /// Runs a write, and returns how many rows it changed.
    fn write(&self, statement: &str, parameters: &[&dyn ToSql]) -> Result<usize, StoreError> {
        Ok(self.query(statement, parameters, |_| Ok(()))?.len())
    }

    /// Runs a statement to its end, since it is only then that a write is committed.
    fn query<T>(
        &self,
        statement: &str,
        parameters: &[&dyn ToSql],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut prepared = self.connection.prepare(statement).map_err(failed)?;
        bind(&mut prepared, parameters)?;
        let mut rows = prepared.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            found.push(read(row)?);
        }
        Ok(found)
    }
}

/// Binds `$1`, `$2` and so on by their names: SQLite numbers such parameters by where they appear.
fn bind(
    statement: &mut rusqlite::Statement<'_>,
    parameters: &[&dyn ToSql],
) -> Result<(), StoreError> {
    for (number, parameter) in (1..).zip(parameters) {
        let index = statement.parameter_index(&format!("${number}")).map_err(failed)?;
        let index = index.ok_or_else(|| failed(Error::InvalidParameterName(number.to_string())))?;
        statement.raw_bind_parameter(index, parameter).map_err(failed)?;
    }
    Ok(())
}

/// Switches the file to WAL. SQLite does not wait for this lock, so two processes that open a new
/// file at the same time have to try again.
fn switch_to_wal(connection: &Connection) -> Result<(), StoreError> {
    for tries in 1.. {
        let outcome = connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()));
        match outcome {
            Err(error) if is_busy(&error) && tries < WAL_TRIES => thread::sleep(WAL_INTERVAL),
            outcome => return outcome.map_err(failed),
        }
    }
    Ok(())
}

/// Creates a file that its owner may read and write, unless it is there. The files that SQLite puts
/// beside it get the same permissions.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

fn record(row: &Row<'_>, first: usize) -> Result<Record, StoreError> {
    let revision: Vec<u8> = row.get(first + 1).map_err(failed)?;
    sql::record(row.get(first).map_err(failed)?, &revision)
}

fn keyed_record(row: &Row<'_>) -> Result<(RecordKey, Record), StoreError> {
    let key: String = row.get(0).map_err(failed)?;
    Ok((RecordKey::parse(&key)?, record(row, 1)?))
}

fn is_busy(error: &Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn failed(error: Error) -> StoreError {
    let (kind, detail) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (StoreErrorKind::Unavailable, "another process keeps the file locked")
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => {
            (StoreErrorKind::Unavailable, "the file cannot be read or written")
        }
        Some(ErrorCode::DiskFull) => (StoreErrorKind::Full, "the disk is full"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (StoreErrorKind::Corrupt, "the file is not a SQLite database, or is damaged")
        }
        Some(_) => (StoreErrorKind::Misconfigured, "SQLite cannot use the file"),
        // A column of another type.
        None => (StoreErrorKind::Corrupt, "a row is not one of this store"),
    };
    StoreError::new(kind, detail).with_source(error)
}

fn unavailable(detail: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, detail)
}

fn stopped() -> StoreError {
    unavailable("the thread of the store has stopped")
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        self.call(move |database| {
            let statement = &database.statements.load;
            Ok(database.query(statement, &[&key.as_str()], |row| record(row, 0))?.pop())
        })
        .await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Record,
        expect: Expect,
        lifetime: Option<Duration>,
    ) -> Result<Saved, StoreError> {
        let (key, record) = (key.clone(), record.clone());
        self.call(move |database| {
            let statements = &database.statements;
            let owner = key.owner();
            let (key, owner) = (key.as_str(), owner.as_ref().map(OwnerTag::as_str));
            let revision = record.revision();
            let (value, revision) = (&record.sealed()[..], &revision.as_bytes()[..]);
            let lifetime = lifetime.map(sql::milliseconds);
            let parameters: [&dyn ToSql; 5] = [&key, &owner, &value, &revision, &lifetime];
            let changed = match expect {
                Expect::Absent => database.write(&statements.save_absent, &parameters)?,
                Expect::Any => database.write(&statements.save_any, &parameters)?,
                Expect::Revision(expected) => {
                    let expected = &expected.as_bytes()[..];
                    let parameters = [&parameters[..], &[&expected]].concat();
                    database.write(&statements.save_revision, &parameters)?
                }
            };
            Ok(if changed > 0 { Saved::Yes } else { Saved::Conflict })
        })
        .await
    }

    async fn take(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        self.call(move |database| {
            let statement = &database.statements.take;
            Ok(database.query(statement, &[&key.as_str()], |row| record(row, 0))?.pop())
        })
        .await
    }

    async fn delete(&self, key: &RecordKey, expect: Expect) -> Result<bool, StoreError> {
        let key = key.clone();
        self.call(move |database| {
            let statements = &database.statements;
            let changed = match expect {
                Expect::Absent => 0,
                Expect::Any => database.write(&statements.delete_any, &[&key.as_str()])?,
                Expect::Revision(expected) => {
                    let parameters: [&dyn ToSql; 2] = [&key.as_str(), &&expected.as_bytes()[..]];
                    database.write(&statements.delete_revision, &parameters)?
                }
            };
            Ok(changed > 0)
        })
        .await
    }

    async fn list(
        &self,
        owner: &OwnerTag,
        after: Option<&RecordKey>,
        most: usize,
    ) -> Result<Vec<(RecordKey, Record)>, StoreError> {
        let (owner, after) = (owner.clone(), after.map_or("", RecordKey::as_str).to_owned());
        self.call(move |database| {
            let parameters: [&dyn ToSql; 3] = [&owner.as_str(), &after, &sql::rows(most)];
            database.query(&database.statements.list, &parameters, keyed_record)
        })
        .await
    }

    async fn scan(&self, from: Option<&ScanCursor>, most: usize) -> Result<ScanPage, StoreError> {
        let (after, most) = (from.map_or("", ScanCursor::as_str).to_owned(), most.max(1));
        self.call(move |database| {
            let parameters: [&dyn ToSql; 2] = [&after, &sql::rows(most)];
            let records = database.query(&database.statements.scan, &parameters, keyed_record)?;
            Ok(ScanPage::in_order_of_keys(records, most))
        })
        .await
    }

    async fn sweep(&self, most: usize) -> Result<u64, StoreError> {
        self.call(move |database| {
            let swept = database.write(&database.statements.sweep, &[&sql::rows(most)])?;
            Ok(swept as u64)
        })
        .await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}
