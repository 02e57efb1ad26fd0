use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::sync::watch;

use super::body::ReplyBody;
use super::reply::{self, ClerkFailure, Reply};
use super::route::Route;

/// How an answer begins that never comes to its end.
const BEGINNING: Bytes = Bytes::from_static(b"{\"keys\":[");

/// What goes wrong at a route, set with [`FakeClerk::fault`](super::FakeClerk::fault).
///
/// The request is counted and recorded first. Preflights (`OPTIONS`) are answered whatever is set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is closed without an answer.
    Down,
    /// No answer at all, until the fault is healed or replaced or the server stops. No timer runs.
    Hang,
    /// The right answer, this much later.
    Slow(Duration),
    /// The right answer, once the gate is open. Made by [`Fault::hold`].
    Held(Latch),
    /// This status with an error in Clerk's shape.
    Status {
        /// The HTTP status, 200 to 999; anything else becomes 500.
        status: u16,
        /// The `Retry-After` header, in seconds.
        retry_after: Option<u64>,
    },
    /// This answer and nothing else.
    Body {
        /// The HTTP status, 200 to 999; anything else becomes 500.
        status: u16,
        /// The `Content-Type` header; left out where it is not a valid header value.
        content_type: String,
        /// The body.
        body: Bytes,
    },
    /// This response and nothing else, for headers that no other fault sets. A status below 200 becomes 500.
    Answer(Response<Bytes>),
    /// Status 200 and a `Content-Length` of 1024 bytes, of which only the first arrive before the connection closes.
    Truncated,
    /// Status 200 and the first bytes of a body, then silence for as long as the client waits.
    Stalled,
    /// The right answer, its body one byte at a time, this long after each other.
    Drip(Duration),
    /// Status 200 and a body of so much white space, of which every JSON reader takes any amount.
    Long {
        /// The length of the body.
        bytes: u64,
        /// Whether there is a `Content-Length`.
        announced: bool,
    },
    /// The same without an end.
    Endless,
    /// Status 302 to this location.
    Redirect(String),
    /// The right answer with this header set on top.
    Header(HeaderName, HeaderValue),
}

impl Fault {
    /// A fault that makes requests wait, and the gate that lets them go.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::testing::{FakeClerk, Fault, Route};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clerk = FakeClerk::start().await?;
    /// let (fault, gate) = Fault::hold();
    /// clerk.fault(Route::Jwks, fault);
    ///
    /// let url = format!("{}/.well-known/jwks.json", clerk.issuer());
    /// let request = tokio::spawn(reqwest::get(url));
    /// gate.arrived(1).await;
    /// assert_eq!(gate.waiting(), 1);
    ///
    /// gate.open();
    /// assert_eq!(request.await??.status(), 200);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn hold() -> (Self, Gate) {
        let state = Arc::new(watch::Sender::new(GateState::default()));
        let latch = Latch { state: Arc::clone(&state) };
        (Self::Held(latch), Gate { state })
    }
}

#[derive(Default)]
struct GateState {
    open: bool,
    waiting: usize,
}

/// The test's end of [`Fault::hold`]. Dropping it opens it.
pub struct Gate {
    state: Arc<watch::Sender<GateState>>,
}

impl Gate {
    /// Lets every request go on: those that wait, and those to come.
    pub fn open(self) {}

    /// How many requests wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.borrow().waiting
    }

    /// Returns once at least `n` requests wait at the same time.
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

/// The server's end of [`Fault::hold`].
#[derive(Clone)]
pub struct Latch {
    state: Arc<watch::Sender<GateState>>,
}

impl Latch {
    async fn pass(&self) {
        let _counted = Waiting::enter(&self.state);
        let _ = self.state.subscribe().wait_for(|state| state.open).await;
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").finish_non_exhaustive()
    }
}

/// Counts a request for as long as it waits, also when its client goes away.
struct Waiting<'a>(&'a watch::Sender<GateState>);

impl<'a> Waiting<'a> {
    fn enter(state: &'a watch::Sender<GateState>) -> Self {
        state.send_modify(|state| state.waiting = state.waiting.saturating_add(1));
        Self(state)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.waiting = state.waiting.saturating_sub(1));
    }
}

/// What becomes of a request after its route's fault had its turn.
pub(super) enum Verdict {
    Proceed,
    ProceedWith(HeaderName, HeaderValue),
    /// One byte at a time.
    Drip(Duration),
    Answer(Reply),
    Close,
}

/// The faults that are set, by route.
#[derive(Default)]
pub(super) struct Faults {
    set: watch::Sender<HashMap<Route, Arc<Fault>>>,
}

impl Faults {
    pub(super) fn set(&self, route: Route, fault: Fault) {
        self.set.send_modify(|set| {
            set.insert(route, Arc::new(fault));
        });
    }

    pub(super) fn heal(&self, route: Route) {
        self.set.send_modify(|set| {
            set.remove(&route);
        });
    }

    pub(super) fn heal_all(&self) {
        self.set.send_modify(HashMap::clear);
    }

    /// Waits where the route's fault says so. A fault that was healed or replaced meanwhile no longer holds anybody.
    pub(super) async fn judge(&self, route: Route) -> Verdict {
        loop {
            let current = self.set.borrow().get(&route).cloned();
            let Some(fault) = current else {
                return Verdict::Proceed;
            };
            match &*fault {
                Fault::Hang => self.replaced(route, &fault).await,
                Fault::Held(latch) => tokio::select! {
                    () = latch.pass() => return Verdict::Proceed,
                    () = self.replaced(route, &fault) => {}
                },
                other => return verdict(other).await,
            }
        }
    }

    async fn replaced(&self, route: Route, fault: &Arc<Fault>) {
        let mut set = self.set.subscribe();
        let gone = |set: &HashMap<Route, Arc<Fault>>| {
            !set.get(&route).is_some_and(|current| Arc::ptr_eq(current, fault))
        };
        // Fails only without a sender, and `self` holds it.
        let _ = set.wait_for(gone).await;
    }
}

async fn verdict(fault: &Fault) -> Verdict {
    match fault {
        Fault::Down => Verdict::Close,
        Fault::Hang | Fault::Held(_) => Verdict::Proceed,
        Fault::Slow(by) => {
            tokio::time::sleep(*by).await;
            Verdict::Proceed
        }
        Fault::Status { status, retry_after } => Verdict::Answer(failure(*status, *retry_after)),
        Fault::Body { status, content_type, body } => {
            let reply = reply::whole(status_code(*status), body.clone());
            Verdict::Answer(with_header(reply, CONTENT_TYPE, content_type))
        }
        Fault::Answer(response) => Verdict::Answer(as_it_is(response)),
        Fault::Truncated => Verdict::Answer(truncated()),
        Fault::Stalled => Verdict::Answer(json_of(ReplyBody::Stalled(BEGINNING))),
        Fault::Drip(every) => Verdict::Drip(*every),
        Fault::Long { bytes, announced } => {
            Verdict::Answer(json_of(ReplyBody::long(*bytes, *announced)))
        }
        Fault::Endless => Verdict::Answer(json_of(ReplyBody::long(u64::MAX, false))),
        Fault::Redirect(location) => {
            Verdict::Answer(with_header(reply::empty(StatusCode::FOUND), LOCATION, location))
        }
        Fault::Header(name, value) => Verdict::ProceedWith(name.clone(), value.clone()),
    }
}

fn failure(status: u16, retry_after: Option<u64>) -> Reply {
    let reply = Reply::from(ClerkFailure {
        status: status_code(status),
        code: "fault",
        message: "A fault that the test has set",
    });
    match retry_after {
        Some(seconds) => with_header(reply, RETRY_AFTER, &seconds.to_string()),
        None => reply,
    }
}

fn as_it_is(response: &Response<Bytes>) -> Reply {
    let mut reply = response.clone().map(ReplyBody::Whole);
    *reply.status_mut() = status_code(response.status().as_u16());
    reply
}

fn truncated() -> Reply {
    let mut reply = json_of(ReplyBody::Truncated(BEGINNING));
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1024"));
    reply
}

fn json_of(body: ReplyBody) -> Reply {
    with_header(Response::new(body), CONTENT_TYPE, "application/json")
}

fn with_header(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}

fn status_code(status: u16) -> StatusCode {
    let status = StatusCode::from_u16(status).ok();
    let status = status.filter(|status| !status.is_informational());
    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
