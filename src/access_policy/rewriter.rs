//! What is done to the response of a request that has passed.

use http::Response;

use super::step_up::StepUp;
use crate::response::{ChallengeContext, ResponseBody, ToolResultForm};

/// What is left to do with the response to one request.
pub(super) struct ResponseRewriter {
    pub(super) challenge_context: ChallengeContext,
    /// The form of a rejection that takes the place of the response.
    pub(super) form: Option<ToolResultForm>,
    pub(super) step_up: StepUp,
}

impl ResponseRewriter {
    pub(super) fn rewrite<B>(&self, response: Response<B>) -> Response<ResponseBody<B>> {
        if let Some(rejection) = self.step_up.close() {
            tracing::debug!(reason = ?rejection.reason(), "a handler rejected a request");
            return self.challenge_context.respond_in(self.form.as_ref(), rejection);
        }
        response.map(ResponseBody::inner)
    }
}
