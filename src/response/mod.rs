//! Builds every response that this crate sends: bodies, challenges, CORS headers and rejections.

mod body;
mod challenge;
pub(crate) mod cors;
mod once;
pub(crate) mod rejection;

pub use body::{NoInner, ResponseBody};
pub use challenge::BearerChallenge;
pub(crate) use cors::{
    ANY_ORIGIN, METADATA_CORS_HEADERS, add_cors_headers, is_preflight, metadata_options_response,
    method_not_allowed, preflight_response,
};
pub(crate) use once::take_once;
pub(crate) use rejection::{
    ChallengeContext, ResponseTemplates, message_rejected, metadata_unavailable, operation_denied,
    unknown_host, upgrade_rejected,
};
pub(crate) use rejection::{MessageError, Rejection, RejectionReason};
