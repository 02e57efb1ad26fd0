//! A record and its revision, and the pages of a scan.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use bytes::Bytes;

use super::key::RecordKey;

/// What is stored under a key: sealed bytes, and the revision of this write.
///
/// `Debug` shows the number of bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    revision: Revision,
    sealed: Bytes,
}

impl Record {
    /// Puts together a record that a store has kept.
    #[must_use]
    pub fn new(revision: Revision, sealed: impl Into<Bytes>) -> Self {
        Self { revision, sealed: sealed.into() }
    }

    /// Returns the revision: a new one for every write.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the sealed bytes.
    #[must_use]
    pub fn sealed(&self) -> &Bytes {
        &self.sealed
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("revision", &self.revision)
            .field("bytes", &self.sealed.len())
            .finish()
    }
}

/// 128 random bits that stand for one write of a record.
///
/// Not a counter: one that begins again after the record was removed would let a writer pass that
/// slept in the meantime.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision([u8; 16]);

impl Revision {
    /// Puts together a revision that a store has kept.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the revision.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn random() -> Result<Self, Unspecified> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Where the next page of a [`Store::scan`](super::Store::scan) begins. It means something to the
/// store only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCursor(String);

impl ScanCursor {
    /// Creates a cursor from what the store has chosen.
    #[must_use]
    pub fn new(position: impl Into<String>) -> Self {
        Self(position.into())
    }

    /// Returns what the store has chosen.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A page of a [`Store::scan`](super::Store::scan).
#[derive(Clone, Debug)]
pub struct ScanPage {
    records: Vec<(RecordKey, Record)>,
    next: Option<ScanCursor>,
}

impl ScanPage {
    /// Creates a page. Without a cursor it is the last one.
    #[must_use]
    pub fn new(records: Vec<(RecordKey, Record)>, next: Option<ScanCursor>) -> Self {
        Self { records, next }
    }

    /// A page of a store that scans in the order of keys. A full page has one behind it.
    pub(super) fn in_order_of_keys(records: Vec<(RecordKey, Record)>, most: usize) -> Self {
        let last = records.last().filter(|_| records.len() >= most);
        let next = last.map(|(key, _)| ScanCursor::new(key.as_str()));
        Self { records, next }
    }

    /// Returns the records of the page.
    #[must_use]
    pub fn records(&self) -> &[(RecordKey, Record)] {
        &self.records
    }

    /// Returns where the next page begins, or `None` after the last one.
    #[must_use]
    pub fn next(&self) -> Option<&ScanCursor> {
        self.next.as_ref()
    }
}
