//! The only place where a response is made.

mod body;
mod challenge;
pub(crate) mod cors;
pub(crate) mod rejection;

pub use body::{NoInner, ResponseBody};
pub use challenge::BearerChallenge;
pub(crate) use cors::{
    ANY_ORIGIN, METADATA_CORS_HEADERS, allow_reading, is_preflight, metadata_options_response,
    method_not_allowed, preflight_response, without_cors,
};
pub(crate) use rejection::{
    ChallengeContext, ResponseTemplates, metadata_unavailable, refuse_message, unknown_host,
};
pub(crate) use rejection::{MessageError, Rejection, RejectionReason};
