//! A clock that runs faster than real time.

use std::time::{Duration, Instant};

use clerk_mcp_tools::clock::Clock;

/// The speed of the clock. Keys, cached tokens and backoffs expire within a short run.
pub(crate) const SPEED: u32 = 100;

/// A clock that runs at [`SPEED`] times the speed.
#[derive(Clone, Debug)]
pub(crate) struct FastClock(Instant);

impl FastClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for FastClock {
    fn unix_time(&self) -> Duration {
        Duration::from_secs(1_800_000_000) + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed() * SPEED
    }
}
