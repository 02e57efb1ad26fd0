//! Decisions about requests: what operators see of them, in an audit hook, the log, metrics and spans.

mod log;
mod method_label;
#[cfg(feature = "metrics")]
mod metrics;
mod observer;
mod pending;
mod shown;
mod span;

use std::fmt;

use crate::mcp::Operation;
use crate::oauth::{AuthInfo, ResourceUrl, Scopes, TokenType};
use crate::response::{Rejection, RejectionReason};

pub(crate) use log::RejectionLog;
pub(crate) use observer::DecisionObserver;
pub(crate) use pending::PendingDecision;
pub(crate) use shown::{Shown, ShownOperation};
pub(crate) use span::record_caller;

/// What the layers decided about one request, for an audit log.
///
/// [`ClerkMcpBuilder::on_decision`](crate::ClerkMcpBuilder::on_decision) sets the function that gets
/// it, once for each request.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::response::Decision;
///
/// /// Returns a line for an audit log.
/// fn line(decision: &Decision<'_>) -> String {
///     let who = decision.caller().map_or("nobody", |caller| caller.principal().id());
///     let what: Vec<_> = decision.operations().iter().map(|one| one.method()).collect();
///     let verdict = decision.reason().map_or("admitted", |reason| reason.as_str());
///     format!("{verdict} {who} {what:?}")
/// }
/// # let _ = line;
/// ```
#[derive(Clone, Copy)]
pub struct Decision<'a> {
    rejection: Option<&'a Rejection>,
    caller: Option<&'a AuthInfo>,
    operations: &'a [Operation<'a>],
    resource: Option<&'a ResourceUrl>,
}

impl<'a> Decision<'a> {
    pub(crate) fn admitted(caller: Option<&'a AuthInfo>, operations: &'a [Operation<'a>]) -> Self {
        Self { rejection: None, caller, operations, resource: None }
    }

    pub(crate) fn rejected(rejection: &'a Rejection) -> Self {
        Self {
            rejection: Some(rejection),
            caller: rejection.caller(),
            operations: rejection.operations(),
            resource: None,
        }
    }

    /// Sets the operation that the headers name, if the body was not read.
    pub(crate) fn or_named(mut self, operation: Option<&'a Operation<'a>>) -> Self {
        if self.operations.is_empty() {
            self.operations = operation.map_or(&[], std::slice::from_ref);
        }
        self
    }

    pub(crate) fn at(mut self, resource: Option<&'a ResourceUrl>) -> Self {
        self.resource = resource;
        self
    }

    /// Returns whether the request reaches the service.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.rejection.is_none()
    }

    /// Returns why the request was rejected. `None` if it was admitted.
    #[must_use]
    pub fn reason(&self) -> Option<RejectionReason> {
        self.rejection.map(Rejection::reason)
    }

    /// Returns the rejection, whose `Display` is one line for a log. `None` if the request was
    /// admitted.
    #[must_use]
    pub fn rejection(&self) -> Option<&'a Rejection> {
        self.rejection
    }

    /// Returns the caller, whose token is valid. `None` for a request without a token, or whose
    /// token was rejected.
    #[must_use]
    pub fn caller(&self) -> Option<&'a AuthInfo> {
        self.caller
    }

    /// Returns the type of the credential: that of the caller, or that of a token which was rejected
    /// for its type. `None` if there was no token, or if it was rejected for another reason.
    #[must_use]
    pub fn token_type(&self) -> Option<TokenType> {
        let caller = self.caller.map(AuthInfo::token_type);
        caller.or_else(|| self.rejection?.rejected_type())
    }

    /// Returns what the request asks for: of a batch, all operations.
    ///
    /// Of an admitted request they are those of its body, and empty if it has none, such as a `GET`
    /// or a client's response. Where the body of a rejected request was not read, it is the one that
    /// the headers `Mcp-Method` and `Mcp-Name` name, if they do.
    ///
    /// Names and URIs are what the client sent, whatever characters they have. Those of a rejected
    /// request are cut at 256 characters, and a batch at eight operations.
    #[must_use]
    pub fn operations(&self) -> &'a [Operation<'a>] {
        self.operations
    }

    /// Returns the scopes that the caller lacks. `None` unless they are the reason of the rejection.
    #[must_use]
    pub fn missing_scopes(&self) -> Option<&'a Scopes> {
        self.rejection.map(Rejection::missing_scopes).filter(|scopes| !scopes.is_empty())
    }

    /// Returns the URL of the resource that the request is for. `None` for an unknown host.
    #[must_use]
    pub fn resource(&self) -> Option<&'a ResourceUrl> {
        self.resource
    }
}

/// Shows names as the log does.
impl fmt::Debug for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |one| ShownOperation::new(one, self.caller).to_string();
        f.debug_struct("Decision")
            .field("rejection", &self.rejection)
            .field("caller", &self.caller)
            .field("operations", &self.operations.iter().map(shown).collect::<Vec<_>>())
            .field("resource", &self.resource)
            .finish()
    }
}
