//! Connections to one origin: how they are made, kept and given up.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::{Client, Request, Response};

use crate::clock::{CONNECT_TIMEOUT, Clock, http_client};

/// How many connections are kept between calls. Each may be dead when it is used again.
const MAX_KEPT: usize = 4;
/// How long a connection is kept. Servers and what is between close theirs after a minute or more.
const KEEP_TIME: Duration = Duration::from_secs(15);

/// The connections of one origin.
pub(super) struct Connections {
    keeping: Client,
    /// Makes a new connection for every request. Built when it is first needed: it loads the root
    /// certificates once more, which takes milliseconds.
    fresh: OnceLock<Client>,
    origin: Origin,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// What the clients depend on.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) on_loopback: bool,
    pub(super) has_tls: bool,
}

/// Times of the monotonic clock.
#[derive(Default)]
struct State {
    last_response: Option<Duration>,
    /// The kept connections are not used before this time.
    distrusted_until: Option<Duration>,
}

impl Connections {
    pub(super) fn new(origin: Origin, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        Ok(Self {
            keeping: client(origin, MAX_KEPT)?,
            fresh: OnceLock::new(),
            origin,
            clock,
            state: Mutex::default(),
        })
    }

    /// Returns a client, to build requests with.
    pub(super) fn client(&self) -> &Client {
        &self.keeping
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Sends a request that only reads. If a connection that may have been kept from an earlier
    /// call ends without a response, the request is sent once more, on a new connection (RFC 9110
    /// section 9.2.2): the server has closed the connection while the request was on its way.
    pub(super) async fn execute(&self, request: Request) -> Result<Response, reqwest::Error> {
        if self.are_kept_ones_distrusted() {
            return self.responded(self.fresh()?.execute(request).await);
        }
        let again = self.may_be_kept().then(|| request.try_clone()).flatten();
        match (self.keeping.execute(request).await, again) {
            (Err(error), Some(again)) if has_ended(&error) => {
                self.responded(self.fresh()?.execute(again).await)
            }
            (outcome, _) => self.responded(outcome),
        }
    }

    fn fresh(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.fresh.get() {
            return Ok(client);
        }
        let client = client(self.origin, 0)?;
        Ok(self.fresh.get_or_init(|| client))
    }

    /// Uses new connections until all that are kept now are closed. One that is open and does not
    /// respond cannot be told from others.
    pub(super) fn distrust_kept_ones(&self) {
        let until = self.clock.monotonic().saturating_add(KEEP_TIME);
        self.update(|state| state.distrusted_until = Some(until));
    }

    fn are_kept_ones_distrusted(&self) -> bool {
        let now = self.clock.monotonic();
        self.update(|state| state.distrusted_until).is_some_and(|until| now < until)
    }

    fn may_be_kept(&self) -> bool {
        let now = self.clock.monotonic();
        let last = self.update(|state| state.last_response);
        last.is_some_and(|last| now.saturating_sub(last) < KEEP_TIME)
    }

    fn responded(
        &self,
        outcome: Result<Response, reqwest::Error>,
    ) -> Result<Response, reqwest::Error> {
        if outcome.is_ok() {
            let now = self.clock.monotonic();
            self.update(|state| state.last_response = Some(now));
        }
        outcome
    }

    fn update<T>(&self, update: impl FnOnce(&mut State) -> T) -> T {
        update(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns whether the connection was made, and ended before the head of a response.
fn has_ended(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

fn client(origin: Origin, max_kept: usize) -> Result<Client, reqwest::Error> {
    let builder = http_client()
        .pool_max_idle_per_host(max_kept)
        .pool_idle_timeout(KEEP_TIME)
        .tcp_keepalive(KEEP_TIME)
        .tcp_keepalive_interval(CONNECT_TIMEOUT)
        .tcp_keepalive_retries(2)
        .https_only(!origin.on_loopback);
    // Without TLS no certificates are needed. Loading those of the machine takes milliseconds.
    let builder = if origin.has_tls { builder } else { builder.tls_certs_only([]) };
    // Sent bytes that nobody acknowledges for this long end the connection.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let builder = builder.tcp_user_timeout(super::CALL_TIMEOUT);
    // A proxy would see plain HTTP to this machine, with its secrets.
    let builder = if origin.on_loopback { builder.no_proxy() } else { builder };
    builder.build()
}
