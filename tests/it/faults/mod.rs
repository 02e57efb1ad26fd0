//! How a server responds while requests to Clerk fail, and after Clerk has recovered.
//!
//! There are five [upstreams](upstream::Upstream), which are the calls that a server makes to
//! Clerk. A [`Case`](failures::Case) is one failure, which is tried on each of them.

mod clocks;
mod connections;
mod failures;
mod key_sets;
mod memory;
mod outages;
mod tls;
mod unusual_responses;
mod upstream;

use std::future::Future;
use std::ops::Deref;
use std::pin::pin;
use std::time::Duration;

use clerk_mcp_tools::testing::Fault;

use self::upstream::Upstream;
use crate::support::Fixture;
use crate::support::proxy::{ConnectionFault, Proxy};

/// The timeout of a call, from the first byte sent to the last byte received.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long, in seconds, a failure lets a server use old keys without waiting for newer ones.
const FAILURE_IS_RECENT: u64 = 120;
/// The bound on the body of a response from Clerk.
const MAX_RESPONSE_BYTES: usize = 512 * 1024;

/// A failure of Clerk, or of the connection to it.
#[derive(Clone, Debug)]
enum Failure {
    Response(Fault),
    Connection(ConnectionFault),
}

/// A fake Clerk behind a proxy.
struct ProxiedFixture {
    fixture: Fixture,
    proxy: Proxy,
    /// Another origin, which must not be called.
    elsewhere: Proxy,
}

impl Deref for ProxiedFixture {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl ProxiedFixture {
    async fn new() -> Self {
        let (proxy, elsewhere) = (Proxy::new(), Proxy::new());
        let fixture = Fixture::with(|clerk| clerk.origin(proxy.origin())).await;
        proxy.forward_to(fixture.clerk.address());
        Self { fixture, proxy, elsewhere }
    }

    async fn fail(&self, upstream: Upstream, failure: &Failure) {
        match failure.clone() {
            Failure::Response(fault) => self.clerk.fault(upstream.route(), fault),
            Failure::Connection(fault) => self.proxy.fail(fault).await,
        }
    }

    fn heal(&self) {
        self.clerk.heal_all();
        self.proxy.heal();
    }

    /// Awaits a call that times out: as soon as the request has arrived, the clock is advanced by
    /// the timeout.
    async fn timed_out<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let arrived = self.proxy.requests();
        while self.proxy.requests() == arrived {
            tokio::select! {
                biased;
                outcome = &mut call => return outcome,
                () = tokio::task::yield_now() => {}
            }
        }
        self.clock.advance(CALL_TIMEOUT);
        call.await
    }
}
