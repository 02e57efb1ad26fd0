//! Counts and records the requests to each route.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::locked;
use super::route::Route;

/// A request that the fake Clerk received.
///
/// Its `Debug` output omits the body, the query and the value of `Authorization`, since all of them
/// can contain secrets.
#[derive(Clone)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, percent-encoded and without the `?`.
    pub query: Option<String>,
    /// The headers. `Authorization` is marked as sensitive.
    pub headers: HeaderMap,
    /// The body. Empty if the request's body was longer than 64 KiB.
    pub body: Bytes,
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The number of requests to each route, and the latest one.
#[derive(Default)]
pub(super) struct RequestLog {
    by_route: Mutex<HashMap<Route, RouteLog>>,
}

struct RouteLog {
    calls: usize,
    last: RecordedRequest,
}

impl RequestLog {
    pub(super) fn record(&self, route: Route, request: RecordedRequest) {
        let mut by_route = locked(&self.by_route);
        let calls = by_route.get(&route).map_or(0, |log| log.calls);
        by_route.insert(route, RouteLog { calls: calls.saturating_add(1), last: request });
    }

    pub(super) fn calls(&self, route: Route) -> usize {
        locked(&self.by_route).get(&route).map_or(0, |log| log.calls)
    }

    pub(super) fn last(&self, route: Route) -> Option<RecordedRequest> {
        locked(&self.by_route).get(&route).map(|log| log.last.clone())
    }

    pub(super) fn reset(&self) {
        locked(&self.by_route).clear();
    }
}
