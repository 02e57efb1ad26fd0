//! The statements of the SQL stores. SQLite and PostgreSQL read the same text, apart from types and
//! from the clock.
//!
//! Every call is one statement, so it is atomic without a transaction, and works behind a pooler of
//! transactions.

use std::time::Duration;

use super::error::{StoreError, StoreErrorKind};
use super::record::{Record, Revision};

/// The longest lifetime that is kept, 100 years: further on, sums of milliseconds could overflow.
const MAX_LIFETIME_MS: i64 = 100 * 365 * 24 * 3600 * 1000;

/// What the two databases write differently.
pub(super) struct Dialect {
    /// The current time in milliseconds since 1970, by the clock of the database.
    pub(super) now: &'static str,
    pub(super) bytes: &'static str,
    /// The type of keys, which are compared by their bytes.
    pub(super) key: &'static str,
}

/// The statements on one table. A write returns a row for each row that it changed. Parameters are `$1`, `$2` and so on, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Statements {
    /// Creates the table and its indexes, if they are not there.
    pub(super) schema: String,
    /// `$1` key. Returns value and revision.
    pub(super) load: String,
    /// `$1` key, `$2` owner, `$3` value, `$4` revision, `$5` lifetime in ms or null.
    pub(super) save_absent: String,
    /// As above.
    pub(super) save_any: String,
    /// `$1` to `$5` as above, `$6` the expected revision.
    pub(super) save_revision: String,
    /// `$1` key. Returns value and revision.
    pub(super) take: String,
    /// `$1` key.
    pub(super) delete_any: String,
    /// `$1` key, `$2` the expected revision.
    pub(super) delete_revision: String,
    /// `$1` owner, `$2` the key before or an empty string, `$3` the number of rows. Returns key,
    /// value and revision.
    pub(super) list: String,
    /// `$1` the key before or an empty string, `$2` the number of rows.
    pub(super) scan: String,
    /// `$1` the number of rows.
    pub(super) sweep: String,
}

impl Statements {
    /// `table` is a quoted name, and `index` the quoted start of the names of its indexes without
    /// the quotation mark at its end: both are put into the statements as they are.
    pub(super) fn new(table: &str, index: &str, dialect: &Dialect) -> Self {
        let Dialect { now, bytes, key } = dialect;
        let live = format!("(expires_at IS NULL OR expires_at > {now})");
        let save = format!(
            "INSERT INTO {table} AS stored (key, owner, value, revision, expires_at, written_at) \
             VALUES ($1, $2, $3, $4, {now} + CAST($5 AS BIGINT), {now}) \
             ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, value = excluded.value, \
             revision = excluded.revision, expires_at = excluded.expires_at, \
             written_at = excluded.written_at"
        );
        Self {
            schema: format!(
                "CREATE TABLE IF NOT EXISTS {table} (key {key} PRIMARY KEY, owner {key}, \
                 value {bytes} NOT NULL, revision {bytes} NOT NULL, expires_at BIGINT, \
                 written_at BIGINT NOT NULL);\n\
                 CREATE INDEX IF NOT EXISTS {index}_owner\" ON {table} (owner, key) \
                 WHERE owner IS NOT NULL;\n\
                 CREATE INDEX IF NOT EXISTS {index}_expires_at\" ON {table} (expires_at) \
                 WHERE expires_at IS NOT NULL;\n"
            ),
            load: format!("SELECT value, revision FROM {table} WHERE key = $1 AND {live}"),
            // The row is locked before the condition is judged: of all who come at once, one passes.
            save_absent: format!("{save} WHERE stored.expires_at <= {now} RETURNING 1"),
            save_any: format!("{save} RETURNING 1"),
            save_revision: format!(
                "UPDATE {table} SET owner = $2, value = $3, revision = $4, \
                 expires_at = {now} + CAST($5 AS BIGINT), written_at = {now} \
                 WHERE key = $1 AND revision = $6 AND {live} RETURNING 1"
            ),
            take: format!(
                "DELETE FROM {table} WHERE key = $1 AND {live} RETURNING value, revision"
            ),
            delete_any: format!("DELETE FROM {table} WHERE key = $1 AND {live} RETURNING 1"),
            delete_revision: format!(
                "DELETE FROM {table} WHERE key = $1 AND revision = $2 AND {live} RETURNING 1"
            ),
            list: format!(
                "SELECT key, value, revision FROM {table} \
                 WHERE owner = $1 AND key > $2 AND {live} ORDER BY key LIMIT $3"
            ),
            scan: format!(
                "SELECT key, value, revision FROM {table} \
                 WHERE key > $1 AND {live} ORDER BY key LIMIT $2"
            ),
            // The second condition is for a row that is saved again in the meantime.
            sweep: format!(
                "DELETE FROM {table} WHERE key IN \
                 (SELECT key FROM {table} WHERE expires_at <= {now} LIMIT $1) \
                 AND expires_at <= {now} RETURNING 1"
            ),
        }
    }
}

/// A lifetime in whole milliseconds, rounded up.
pub(super) fn milliseconds(lifetime: Duration) -> i64 {
    let rounded = lifetime.as_nanos().div_ceil(1_000_000);
    i64::try_from(rounded).unwrap_or(MAX_LIFETIME_MS).min(MAX_LIFETIME_MS)
}

/// The number of rows to ask for.
pub(super) fn rows(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// Puts a record together from its columns.
pub(super) fn record(value: Vec<u8>, revision: &[u8]) -> Result<Record, StoreError> {
    let revision = revision.try_into().map_err(|_| {
        StoreError::new(StoreErrorKind::Corrupt, "a revision does not have 16 bytes")
    })?;
    Ok(Record::new(Revision::from_bytes(revision), value))
}
