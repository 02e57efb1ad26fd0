//! Who was rejected and for what, and the line about it for a log.

use std::fmt;

use super::{Details, Rejection};
use crate::mcp::Operation;
use crate::oauth::{AudienceMismatch, AuthInfo, ScopeHierarchy, Scopes};
use crate::response::decision::{Shown, ShownOperation};

/// The operations that are kept of a rejected batch.
const MAX_OPERATIONS: usize = 8;
/// The characters that are kept of a method and of a name.
const MAX_CHARS: usize = 256;

static NO_SCOPES: Scopes = Scopes::none();

impl Rejection {
    /// Sets the caller, whose token is valid.
    pub(crate) fn of_caller(mut self, caller: Option<&AuthInfo>) -> Self {
        if caller.is_some() {
            self.details_mut().caller = caller.cloned();
        }
        self
    }

    /// Sets what the request asks for.
    pub(crate) fn for_operations(mut self, operations: &[Operation<'_>]) -> Self {
        if !operations.is_empty() {
            let kept = operations.iter().take(MAX_OPERATIONS);
            self.details_mut().operations =
                kept.map(|operation| operation.to_bounded(MAX_CHARS)).collect();
        }
        self
    }

    /// Adds the scopes among those that are required which the caller lacks.
    pub(crate) fn lacking(
        mut self,
        required: &Scopes,
        granted: &Scopes,
        hierarchy: &ScopeHierarchy,
    ) -> Self {
        let missing = required.iter().filter(|scope| !hierarchy.grants(granted, scope));
        if let Ok(missing) = Scopes::new(missing) {
            let details = self.details_mut();
            details.missing = details.missing.union(&missing);
        }
        self
    }

    /// Returns the caller, if the token is valid.
    pub(crate) fn caller(&self) -> Option<&AuthInfo> {
        self.details.as_ref()?.caller.as_ref()
    }

    /// Returns what the request asks for, if it was read.
    pub(crate) fn operations(&self) -> &[Operation<'static>] {
        self.details.as_ref().map_or(&[], |details| details.operations.as_slice())
    }

    /// Returns the scopes that the caller lacks, for an
    /// [`InsufficientScope`](super::RejectionReason::InsufficientScope). The challenge names more:
    /// every scope that the request needs.
    #[must_use]
    pub fn missing_scopes(&self) -> &Scopes {
        self.details.as_ref().map_or(&NO_SCOPES, |details| &details.missing)
    }
}

/// Writes one line for a log, with what is known of the caller and of the operation, and without a
/// secret. What a client sent is bounded, and control characters in it are escaped.
///
/// ```
/// use clerk_mcp_tools::{Rejection, VerifyError, VerifyErrorKind};
///
/// let error = VerifyError::new(VerifyErrorKind::Expired);
/// assert_eq!(Rejection::from(error).to_string(), "access token has expired");
/// ```
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{error}")?,
            None => self.write_description(f)?,
        }
        if let Some(detail) = self.error.as_ref().and_then(|error| error.detail()) {
            write!(f, ": {}", Shown::detail(detail))?;
        }
        if let Some(mismatch) = self.audience_mismatch() {
            write!(f, "; audience {:?}, resource {}", mismatch.audience, mismatch.resource)?;
        }
        if !self.missing_scopes().is_empty() {
            write!(f, "; missing scopes {}", Shown::text(&self.missing_scopes().to_string()))?;
        }
        if let Some(operation) = self.operations().first() {
            write!(f, "; operation {}", ShownOperation::new(operation, self.caller()))?;
        }
        let Some(caller) = self.caller() else { return Ok(()) };
        write!(f, "; caller {}", Shown::text(caller.principal().id()))?;
        match caller.client_id() {
            Some(client) => write!(f, ", client {}", Shown::text(client)),
            None => Ok(()),
        }
    }
}

impl Rejection {
    /// Writes the description on the wire as an error's `Display`.
    fn write_description(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = self.error_response().description;
        let mut chars = description.chars();
        match chars.next() {
            Some(first) => write!(f, "{}{}", first.to_ascii_lowercase(), chars.as_str()),
            None => Ok(()),
        }
    }

    /// Returns the strings that were compared, of a token for another resource.
    pub(crate) fn audience_mismatch(&self) -> Option<&AudienceMismatch> {
        self.error.as_ref()?.context()
    }
}

/// Without the names of the operations, in which a client may have put anything.
impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Details")
            .field("further_scopes", &self.further_scopes)
            .field("granted", &self.granted)
            .field("request_id", &self.request_id)
            .field("missing", &self.missing)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
