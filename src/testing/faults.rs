//! The faults that are set, and their effect on a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::sync::watch;

use super::body::FakeBody;
use super::fault::Fault;
use super::response::{self, BackendApiError, FakeResponse};
use super::route::Route;

/// The start of a JSON body that is never completed.
const BODY_START: Bytes = Bytes::from_static(b"{\"keys\":[");

/// What to do with a request after the fault of its route has been applied.
pub(super) enum FaultEffect {
    /// Send the regular response.
    None,
    /// Send the regular response with this header.
    SetHeader(HeaderName, HeaderValue),
    /// Send the body of the regular response one byte at a time.
    Drip(Duration),
    /// Send this response.
    Respond(FakeResponse),
    /// Close the connection without a response.
    Close,
}

/// The current faults, by route.
#[derive(Default)]
pub(super) struct Faults {
    by_route: watch::Sender<HashMap<Route, Arc<Fault>>>,
}

impl Faults {
    pub(super) fn set(&self, route: Route, fault: Fault) {
        self.by_route.send_modify(|faults| {
            faults.insert(route, Arc::new(fault));
        });
    }

    pub(super) fn heal(&self, route: Route) {
        self.by_route.send_modify(|faults| {
            faults.remove(&route);
        });
    }

    pub(super) fn heal_all(&self) {
        self.by_route.send_modify(HashMap::clear);
    }

    /// Applies the fault of this route. Waits as long as the fault holds requests; a fault that is
    /// removed or replaced meanwhile releases them.
    pub(super) async fn apply(&self, route: Route) -> FaultEffect {
        loop {
            let current = self.by_route.borrow().get(&route).cloned();
            let Some(fault) = current else {
                return FaultEffect::None;
            };
            match &*fault {
                Fault::Hang => self.replaced(route, &fault).await,
                Fault::Held(latch) => tokio::select! {
                    () = latch.pass() => return FaultEffect::None,
                    () = self.replaced(route, &fault) => {}
                },
                other => return effect(other).await,
            }
        }
    }

    async fn replaced(&self, route: Route, fault: &Arc<Fault>) {
        let mut faults = self.by_route.subscribe();
        let is_gone = |faults: &HashMap<Route, Arc<Fault>>| {
            !faults.get(&route).is_some_and(|current| Arc::ptr_eq(current, fault))
        };
        // Fails only without a sender, and `self` holds it.
        let _ = faults.wait_for(is_gone).await;
    }
}

async fn effect(fault: &Fault) -> FaultEffect {
    match fault {
        Fault::Down => FaultEffect::Close,
        Fault::Hang | Fault::Held(_) => FaultEffect::None,
        Fault::Slow(by) => {
            tokio::time::sleep(*by).await;
            FaultEffect::None
        }
        Fault::Status { status, retry_after } => FaultEffect::Respond(error(*status, *retry_after)),
        Fault::Body { status, content_type, body } => {
            let response = response::whole(status_code(*status), body.clone());
            FaultEffect::Respond(with_header(response, CONTENT_TYPE, content_type))
        }
        Fault::Answer(response) => FaultEffect::Respond(verbatim(response)),
        Fault::Truncated => FaultEffect::Respond(truncated()),
        Fault::Stalled => FaultEffect::Respond(json_response(FakeBody::Stalled(BODY_START))),
        Fault::Drip(interval) => FaultEffect::Drip(*interval),
        Fault::Long { bytes, announced } => {
            FaultEffect::Respond(json_response(FakeBody::long(*bytes, *announced)))
        }
        Fault::Endless => FaultEffect::Respond(json_response(FakeBody::long(u64::MAX, false))),
        Fault::Redirect(location) => {
            let response = response::empty(StatusCode::FOUND);
            FaultEffect::Respond(with_header(response, LOCATION, location))
        }
        Fault::Header(name, value) => FaultEffect::SetHeader(name.clone(), value.clone()),
    }
}

fn error(status: u16, retry_after: Option<u64>) -> FakeResponse {
    let response = FakeResponse::from(BackendApiError {
        status: status_code(status),
        code: "fault",
        message: "A fault set by the test",
    });
    match retry_after {
        Some(seconds) => with_header(response, RETRY_AFTER, &seconds.to_string()),
        None => response,
    }
}

fn verbatim(response: &Response<Bytes>) -> FakeResponse {
    let status = status_code(response.status().as_u16());
    let mut response = response.clone().map(FakeBody::Whole);
    *response.status_mut() = status;
    response
}

fn truncated() -> FakeResponse {
    let mut response = json_response(FakeBody::Truncated(BODY_START));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1024"));
    response
}

fn json_response(body: FakeBody) -> FakeResponse {
    with_header(Response::new(body), CONTENT_TYPE, "application/json")
}

fn with_header(mut response: FakeResponse, name: HeaderName, value: &str) -> FakeResponse {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Returns 500 for values that are not a final status: hyper cannot send a 1xx as a response.
fn status_code(status: u16) -> StatusCode {
    let status = StatusCode::from_u16(status).ok();
    let status = status.filter(|status| !status.is_informational());
    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
