//! Values that are fetched, and calls that are shared. Knows neither Clerk nor HTTP.

mod refreshing;
mod single_flight;

pub(crate) use refreshing::{RefreshTimes, RefreshingCache, Source};
pub(crate) use single_flight::{NoAnswer, SingleFlight};
