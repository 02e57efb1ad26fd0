//! Recorded requests and faults of a running fake Clerk.

use super::FakeClerk;
use crate::testing::fault::Fault;
use crate::testing::request_log::RecordedRequest;
use crate::testing::route::Route;

/// Recorded requests and faults.
impl FakeClerk {
    /// Returns the number of requests to this route since the start or the last
    /// [reset](Self::reset_calls). It includes requests to which a fault applied, and excludes CORS
    /// preflights.
    #[must_use]
    pub fn calls(&self, route: Route) -> usize {
        self.instance().log.calls(route)
    }

    /// Resets all counts and removes the recorded requests.
    pub fn reset_calls(&self) {
        self.instance().log.reset();
    }

    /// Returns the latest request to this route.
    #[must_use]
    pub fn last_request(&self, route: Route) -> Option<RecordedRequest> {
        self.instance().log.last(route)
    }

    /// Sets the fault of this route. It replaces the previous one.
    pub fn fault(&self, route: Route, fault: Fault) {
        self.instance().faults.set(route, fault);
    }

    /// Sets the fault of every route.
    pub fn fault_all(&self, fault: Fault) {
        for route in Route::ALL {
            self.fault(route, fault.clone());
        }
    }

    /// Removes the fault of this route. Requests that it holds get their response.
    pub fn heal(&self, route: Route) {
        self.instance().faults.heal(route);
    }

    /// Removes all faults.
    pub fn heal_all(&self) {
        self.instance().faults.heal_all();
    }
}
