//! What tests of stores and of their callers need: the suite that checks a store, and a store that
//! fails where a test wants it to.

mod conformance;
mod contention;
mod faulty;
mod lifetimes;
mod listing;
mod sample;
mod writes;

pub use conformance::{StoreViolation, check_store};
pub use faulty::{FaultyStore, StoreCall, StoreFault, StoreOperation};
