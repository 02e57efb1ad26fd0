use std::time::{Duration, Instant};

use clerk_mcp_tools::clock::Clock;

/// How many times as fast the time goes by. Keys, known tokens and pauses have their ends within a short run then.
pub(crate) const FASTER: u32 = 100;

/// A clock that is in a hurry.
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
        self.0.elapsed() * FASTER
    }
}
