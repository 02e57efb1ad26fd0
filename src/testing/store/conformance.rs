//! The suite that checks a store.

use std::fmt;
use std::sync::Arc;

use super::sample::Sample;
use super::{contention, lifetimes, listing, writes};
use crate::client::{Record, RecordKey, Store, StoreError};

/// Checks that a store does what [`Store`] asks for: compare and set, lifetimes, at most one taker,
/// lists in pages, complete scans, and all of it with 64 callers at once.
///
/// The handles are of one store, such as two pools of connections to one database; calls are spread
/// over them. The store may hold other records, which the suite does not touch, except that expired
/// ones may be swept. What it wrote is removed at the end, unless it fails. It runs for some seconds
/// at most, on a runtime of tokio, and waits for lifetimes of a few milliseconds by the clock of the
/// store.
///
/// # Errors
///
/// Returns the first rule that does not hold, and how.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use clerk_mcp_tools::client::{MemoryStore, Store};
/// use clerk_mcp_tools::testing::check_store;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new(10_000);
/// check_store(vec![Arc::new(store.clone()) as Arc<dyn Store>, Arc::new(store)]).await?;
/// # Ok(()) }
/// ```
pub async fn check_store(handles: Vec<Arc<dyn Store>>) -> Result<(), StoreViolation> {
    let sample = Sample::new(handles).map_err(|failure| failure.of("a store is given"))?;
    let sample = Arc::new(sample);
    writes::check(&sample).await?;
    lifetimes::check(&sample).await?;
    listing::check(&sample).await?;
    contention::check(&sample).await?;
    sample.clean_up().await.map_err(|failure| failure.of("what was written can be removed"))
}

/// A rule that a store breaks. Returned by [`check_store`].
#[derive(Clone, Debug)]
pub struct StoreViolation {
    rule: &'static str,
    failure: Failure,
}

impl StoreViolation {
    /// Returns the rule.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.rule
    }
}

impl fmt::Display for StoreViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store breaks the rule \"{}\": ", self.rule)?;
        match &self.failure {
            Failure::Broken(how) => f.write_str(how),
            Failure::Store(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for StoreViolation {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.failure {
            Failure::Broken(_) => None,
            Failure::Store(error) => Some(error),
        }
    }
}

/// How a rule does not hold.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Broken(String),
    Store(StoreError),
}

impl Failure {
    pub(super) fn of(self, rule: &'static str) -> StoreViolation {
        StoreViolation { rule, failure: self }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The outcome of a rule.
pub(super) type Held = Result<(), Failure>;

/// The length of what is shown of a value.
const MAX_SHOWN: usize = 300;

/// Fails with what was found unless it is what was expected.
pub(super) fn expect<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Held {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (shown(&found), shown(&expected));
    Err(Failure::Broken(format!("{what} is {found} and not {expected}")))
}

fn shown(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Fails at the first record that is not the one that was expected.
pub(super) fn expect_records(
    what: &str,
    found: &[(RecordKey, Record)],
    expected: &[(RecordKey, Record)],
) -> Held {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        expect(&format!("record {number} of {what}"), found, expected)?;
    }
    expect(&format!("the length of {what}"), found.len(), expected.len())
}
