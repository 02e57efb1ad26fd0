//! Values that are fetched and kept (RFC 5861), calls that concurrent callers share, and their rate.
//!
//! Knows neither Clerk nor HTTP.

mod rate;
mod refreshing;
mod single_flight;
mod state;

pub(crate) use rate::{RateLimit, Share};
pub(crate) use refreshing::{Newer, RefreshError, RefreshTimes, RefreshingCache, Source};
pub(crate) use single_flight::{Interrupted, Key, SingleFlight};
