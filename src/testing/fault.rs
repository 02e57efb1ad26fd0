//! The failures that a test can set on a route.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};

use super::gate::{Gate, Latch, gate};

/// A failure of a route, set with [`FakeClerk::fault`](super::FakeClerk::fault).
///
/// The request is counted and recorded before the fault applies. CORS preflights are not affected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Closes the connection without a response.
    Down,
    /// Sends nothing until the fault is removed or replaced, or the server stops. Uses no timer.
    Hang,
    /// Sends the regular response after this delay.
    Slow(Duration),
    /// Sends the regular response once the gate is open. Created by [`Fault::hold`].
    Held(Latch),
    /// Responds with this status and an error in the format of Clerk's Backend API.
    Status {
        /// The HTTP status, 200 to 999. Any other value becomes 500.
        status: u16,
        /// The `Retry-After` header, in seconds.
        retry_after: Option<u64>,
    },
    /// Responds with this status and body.
    Body {
        /// The HTTP status, 200 to 999. Any other value becomes 500.
        status: u16,
        /// The `Content-Type` header. Omitted if it is not a valid header value.
        content_type: String,
        /// The body.
        body: Bytes,
    },
    /// Responds with exactly this response. A status below 200 becomes 500.
    Answer(Response<Bytes>),
    /// Responds with status 200 and a `Content-Length` of 1024 bytes, and closes the connection
    /// after the first few.
    Truncated,
    /// Responds with status 200 and the first bytes of a body, then sends nothing more.
    Stalled,
    /// Sends the regular response with its body one byte at a time, at this interval.
    Drip(Duration),
    /// Responds with status 200 and a body of this much white space, which JSON allows anywhere.
    Long {
        /// The length of the body, in bytes.
        bytes: u64,
        /// Whether to send a `Content-Length`.
        announced: bool,
    },
    /// Responds with status 200 and an endless body of white space.
    Endless,
    /// Responds with status 302 and this location.
    Redirect(String),
    /// Sends the regular response with this header added or replaced.
    Header(HeaderName, HeaderValue),
}

impl Fault {
    /// Returns a fault that makes requests wait, and the gate that lets them pass.
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
        let (latch, gate) = gate();
        (Self::Held(latch), gate)
    }
}
