use crate::oauth::Scopes;

/// A good token does not allow what a handler is asked to do.
///
/// A client asks its user for more on an HTTP 403 with a challenge, and on nothing else. Whether a handler can still
/// answer with one depends on what it is:
///
/// - A tool of rmcp cannot: whatever it returns goes out in an HTTP 200, and a client takes the error for the tool's.
///   What works is a rule in front of it: [`AccessPolicyBuilder::tool`](crate::access_policy::AccessPolicyBuilder::tool) and
///   [`AccessPolicyLayer`](crate::access_policy::AccessPolicyLayer). Where a tool needs more for some arguments, make two tools of
///   it.
/// - A handler that makes the response itself turns this into a [`Rejection`](crate::Rejection), and that into the
///   response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not every scope was granted that is needed: {required}")]
pub struct InsufficientScope {
    required: Scopes,
}

impl InsufficientScope {
    /// An error that names all scopes which the operation needs, the granted ones among them.
    #[must_use]
    pub fn new(required: Scopes) -> Self {
        Self { required }
    }

    /// All scopes that are needed.
    #[must_use]
    pub fn required(&self) -> &Scopes {
        &self.required
    }

    pub(crate) fn into_required(self) -> Scopes {
        self.required
    }
}
