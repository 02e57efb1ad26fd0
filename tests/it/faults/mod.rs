//! What a server's callers get while its Clerk does not do as it should, and afterwards.
//!
//! There are five [ways](ways::Way) to Clerk. A [row](rows::Row) is one thing that goes wrong on any of them.

mod clocks;
mod harmless;
mod key_sets;
mod memory;
mod outage;
mod rows;
mod tls;
mod ways;

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use clerk_mcp_tools::testing::{FakeClerk, Fault};

use self::ways::Way;
use crate::support::Fixture;
use crate::support::wire::{Cut, Wire};

/// How long a call may take, from the first byte sent to the last one received.
const CALL: Duration = Duration::from_secs(5);

/// Something that goes wrong.
#[derive(Clone, Debug)]
enum Trouble {
    AtClerk(Fault),
    OnTheWire(Cut),
}

/// A Clerk, the wire that leads to it, and a place that nobody has any business to call.
struct Site {
    fixture: Fixture,
    wire: Wire,
    elsewhere: Wire,
}

impl Site {
    async fn new() -> Self {
        let (wire, elsewhere) = (Wire::new(), Wire::new());
        let fixture = Fixture::with(|clerk| clerk.origin(wire.origin())).await;
        wire.lead_to(fixture.clerk.address());
        Self { fixture, wire, elsewhere }
    }

    fn clerk(&self) -> &FakeClerk {
        &self.fixture.clerk
    }

    async fn trouble(&self, way: Way, trouble: &Trouble) {
        match trouble.clone() {
            Trouble::AtClerk(fault) => self.clerk().fault(way.route(), fault),
            Trouble::OnTheWire(cut) => self.wire.cut(cut).await,
        }
    }

    fn heal(&self) {
        self.clerk().heal_all();
        self.wire.heal();
    }

    /// What comes of a call that nobody answers, and nobody's time is lost: once the call has arrived, the time of the
    /// runtime goes by as fast as nothing else happens in it.
    async fn unanswered<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let arrived = self.wire.requests();
        while self.wire.requests() == arrived {
            tokio::select! {
                biased;
                outcome = &mut call => return outcome,
                () = tokio::task::yield_now() => {}
            }
        }
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let outcome = call.await;
        let took = began.elapsed();
        tokio::time::resume();
        assert!(took <= CALL + Duration::from_millis(10), "{took:?} of the runtime's own time");
        outcome
    }
}
