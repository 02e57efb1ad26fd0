//! The only place where a response is made.

mod body;
mod challenge;
mod cors;
mod rejection;

pub use body::{NoInner, ResponseBody};
pub use challenge::BearerChallenge;
pub use cors::CORS_HEADERS;
pub(crate) use cors::{
    ANY_ORIGIN, allow_reading, is_preflight, metadata_options_response, method_not_allowed,
    preflight_response, without_cors,
};
pub(crate) use rejection::{Challenged, Refusals, metadata_unavailable, refuse_message, unknown_host};
pub use rejection::{Rejection, RejectionReason};
