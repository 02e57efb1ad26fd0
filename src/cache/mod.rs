//! Values that are fetched and kept (RFC 5861), and calls that concurrent callers share.
//!
//! Knows neither Clerk nor HTTP.

mod refreshing;
mod single_flight;
mod state;

pub(crate) use refreshing::{Newer, RefreshError, RefreshTimes, RefreshingCache, Source};
pub(crate) use single_flight::{Interrupted, Key, SingleFlight};
