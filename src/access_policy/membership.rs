//! What a request needs of its caller's membership, which may have to be looked up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::rewriter::ResponseRewriter;
use crate::error::{VerifyError, VerifyErrorKind};
use crate::mcp::{MemberRequirement, Operation, RequestId};
use crate::oauth::{AuthInfo, LookUpMembership, Membership};
use crate::response::Rejection;

/// Where memberships are looked up. Without a source nobody is known to be a member.
#[derive(Clone, Default)]
pub(super) struct MembershipSource(Option<Arc<dyn LookUpMembership>>);

/// A membership that is being looked up.
type LookUp = Pin<Box<dyn Future<Output = Result<Membership, VerifyError>> + Send>>;

/// What the caller of one request has to be.
pub(super) struct MemberCheck {
    /// `None` if the membership only decides what a list shows.
    pub(super) requirement: Option<MemberRequirement>,
    pub(super) request_id: Option<RequestId>,
    /// What the request asks for.
    pub(super) operations: Vec<Operation<'static>>,
}

/// A request that waits for the membership of its caller.
pub(super) struct WaitingRequest {
    pub(super) look_up: LookUp,
    pub(super) check: MemberCheck,
    pub(super) body: Bytes,
    pub(super) rewriter: Option<Box<ResponseRewriter>>,
}

impl MembershipSource {
    pub(super) fn new(source: impl LookUpMembership) -> Self {
        Self(Some(Arc::new(source)))
    }

    /// Returns what is known about the caller without waiting.
    pub(super) fn known(&self, caller: &AuthInfo) -> Option<Result<Membership, VerifyError>> {
        match &self.0 {
            Some(source) => source.known(caller).map(Ok),
            None => Some(Err(no_source())),
        }
    }

    /// Returns a future of what the caller is.
    pub(super) fn look_up(&self, caller: &AuthInfo) -> LookUp {
        let (source, caller) = (self.0.clone(), caller.clone());
        Box::pin(async move {
            match source {
                Some(source) => source.look_up(&caller).await,
                None => Err(no_source()),
            }
        })
    }

    /// Returns an error unless the caller is a member as required.
    pub(super) async fn check(
        &self,
        requirement: &MemberRequirement,
        caller: &AuthInfo,
    ) -> Result<(), Rejection> {
        let outcome = match self.known(caller) {
            Some(outcome) => outcome,
            None => self.look_up(caller).await,
        };
        judge(requirement, &outcome)
    }
}

impl MemberCheck {
    /// Decides about a request once the outcome of the look-up is known. Returns what it asks for.
    pub(super) fn settle(
        self,
        outcome: Result<Membership, VerifyError>,
        rewriter: Option<&mut ResponseRewriter>,
    ) -> Result<Vec<Operation<'static>>, Rejection> {
        if let Some(requirement) = &self.requirement {
            judge(requirement, &outcome).map_err(|rejection| {
                rejection.about_request(self.request_id).for_operations(&self.operations)
            })?;
        }
        if let Some(list) = rewriter.and_then(|rewriter| rewriter.list.as_mut()) {
            list.membership = outcome.ok();
        }
        Ok(self.operations)
    }
}

fn judge(
    requirement: &MemberRequirement,
    outcome: &Result<Membership, VerifyError>,
) -> Result<(), Rejection> {
    match outcome {
        Ok(membership) => Ok(requirement.check(membership)?),
        Err(error) => Err(Rejection::not_available(error.clone())),
    }
}

/// The layer has rules about members, but cannot ask anybody.
fn no_source() -> VerifyError {
    const PROBLEM: &str = "the access policy has rules about members of an organization: set \
        AccessPolicyLayer::look_up_memberships";
    tracing::error!("{PROBLEM}");
    VerifyError::new(VerifyErrorKind::Misconfigured).with_detail(PROBLEM)
}

impl fmt::Debug for MembershipSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MembershipSource").field(&self.0.is_some()).finish()
    }
}
