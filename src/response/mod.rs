//! Builds every response that this crate sends: bodies, challenges, CORS headers and rejections.

#[cfg(feature = "axum")]
mod axum_responses;
mod body;
mod browser_page;
mod challenge;
pub(crate) mod cors;
mod decision;
mod format;
mod list_body;
mod once;
mod oneshot;
pub(crate) mod rejection;

pub use body::{NoInner, ResponseBody};
pub(crate) use browser_page::{asks_for_page, browser_page, with_page};
pub use challenge::BearerChallenge;
pub(crate) use cors::{
    ANY_ORIGIN, METADATA_CORS_HEADERS, add_cors_headers, add_vary_origin, is_preflight,
    metadata_options_response, method_not_allowed, preflight_response, uncached_preflight_response,
};
pub use decision::Decision;
pub(crate) use decision::{DecisionObserver, PendingDecision, RejectionLog, record_caller};
pub use format::RejectionFormat;
pub(crate) use format::ToolResultForm;
pub(crate) use list_body::ListBody;
pub(crate) use once::take_once;
pub(crate) use oneshot::Oneshot;
pub(crate) use rejection::{
    ChallengeContext, HandlerRejection, PendingRejection, ResponseTemplates, metadata_unavailable,
    unknown_host,
};
pub(crate) use rejection::{MessageError, Rejection, RejectionReason};
