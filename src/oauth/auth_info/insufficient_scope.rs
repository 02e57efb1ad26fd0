//! The error for a caller that lacks a scope.

use crate::oauth::Scopes;

/// A verified token does not have the scopes that an operation requires.
///
/// A client asks its user for further scopes only after an HTTP 403 with a challenge. Whether a
/// handler can still send one depends on the handler:
///
/// - An rmcp tool cannot: whatever it returns is sent with HTTP 200, and the client takes an error
///   for a failure of the tool. Set a rule in front of it instead, with
///   [`AccessPolicyBuilder::tool`](crate::access_policy::AccessPolicyBuilder::tool) and
///   [`AccessPolicyLayer`](crate::access_policy::AccessPolicyLayer). If a tool requires more scopes
///   for some arguments, use [`StepUp`](crate::access_policy::StepUp), which has the layer send the
///   403 in place of the tool's result.
/// - A handler that builds the HTTP response converts this error into a
///   [`Rejection`](crate::Rejection), and that into the response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("insufficient scope: the operation requires {required}")]
pub struct InsufficientScope {
    required: Scopes,
}

impl InsufficientScope {
    /// Creates an error that names all scopes which the operation requires, including those that
    /// were granted.
    #[must_use]
    pub fn new(required: Scopes) -> Self {
        Self { required }
    }

    /// Returns all scopes that are required.
    #[must_use]
    pub fn required(&self) -> &Scopes {
        &self.required
    }

    pub(crate) fn into_required(self) -> Scopes {
        self.required
    }
}
