//! Holds requests until a test lets them pass.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Returns the two ends of one gate: the server waits at the latch, the test opens the gate.
pub(super) fn gate() -> (Latch, Gate) {
    let state = Arc::new(watch::Sender::new(GateState::default()));
    (Latch { state: Arc::clone(&state) }, Gate { state })
}

#[derive(Default)]
struct GateState {
    open: bool,
    waiting: usize,
}

/// The test's end of [`Fault::hold`](super::Fault::hold). Dropping it lets all requests pass.
pub struct Gate {
    state: Arc<watch::Sender<GateState>>,
}

impl Gate {
    /// Lets all waiting and future requests pass.
    pub fn open(self) {}

    /// Returns the number of requests that are waiting.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.borrow().waiting
    }

    /// Waits until at least `n` requests are waiting at the same time.
    pub async fn arrived(&self, n: usize) {
        // Fails only without a sender, and this gate holds one.
        let _ = self.state.subscribe().wait_for(|state| state.waiting >= n).await;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.open = true);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("waiting", &self.waiting()).finish()
    }
}

/// The server's end of [`Fault::hold`](super::Fault::hold).
#[derive(Clone)]
pub struct Latch {
    state: Arc<watch::Sender<GateState>>,
}

impl Latch {
    /// Waits until the gate is open.
    pub(super) async fn pass(&self) {
        let _counted = WaitingRequest::enter(&self.state);
        // Fails only without a sender, and this latch holds one.
        let _ = self.state.subscribe().wait_for(|state| state.open).await;
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").finish_non_exhaustive()
    }
}

/// Counts a request as waiting until it is dropped, which also happens when its client disconnects.
struct WaitingRequest<'a>(&'a watch::Sender<GateState>);

impl<'a> WaitingRequest<'a> {
    fn enter(state: &'a watch::Sender<GateState>) -> Self {
        state.send_modify(|state| state.waiting = state.waiting.saturating_add(1));
        Self(state)
    }
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.waiting = state.waiting.saturating_sub(1));
    }
}
