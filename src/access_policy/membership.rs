//! What a request needs of its caller's membership, which may have to be looked up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;

use super::enforcer::{BodyVerdict, Enforcer, PolicyVerdict, caller_of, operations_of, to_owned};
use super::rewriter::ResponseRewriter;
use crate::error::{VerifyError, VerifyErrorKind};
use crate::mcp::{ListRewrite, MemberRequirement, Message, Operation, RequestId};
use crate::oauth::{AuthInfo, LookUpMembership, Membership};
use crate::response::{Rejection, RejectionReason};

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

impl Enforcer {
    /// Returns what the membership of the caller decides, if anything.
    pub(super) fn member_check(
        &self,
        message: Option<&Message<'_>>,
        requirement: Option<MemberRequirement>,
        rewriter: Option<&ResponseRewriter>,
    ) -> Option<MemberCheck> {
        let is_list = || {
            let list = rewriter.and_then(|rewriter| rewriter.list.as_ref());
            list.is_some_and(ListRewrite::depends_on_membership)
        };
        (requirement.is_some() || is_list()).then(|| MemberCheck {
            requirement,
            request_id: message.and_then(|message| message.id.clone()),
            operations: to_owned(operations_of(message)),
        })
    }

    /// Decides about a request if the membership of its caller is known already.
    pub(super) fn check_member<B>(
        &self,
        parts: &Parts,
        check: MemberCheck,
        body: Bytes,
        mut rewriter: Option<Box<ResponseRewriter>>,
    ) -> BodyVerdict<B> {
        let Some(caller) = caller_of(parts) else {
            // Not reached with a requirement, which nobody without a token meets.
            if check.requirement.is_some() {
                let rejection = Rejection::new(RejectionReason::MissingToken);
                return self.reject(parts, &body, rejection).into();
            }
            self.admit(parts, &check.operations, rewriter.as_deref_mut());
            return PolicyVerdict::Pass(body, rewriter).into();
        };
        match self.memberships.known(caller) {
            Some(outcome) => self.settle(parts, check, outcome, (body, rewriter)).into(),
            None => {
                let look_up = self.memberships.look_up(caller);
                BodyVerdict::LookUp(Box::new(WaitingRequest { look_up, check, body, rewriter }))
            }
        }
    }

    /// Decides about a request once the membership of its caller was looked up.
    pub(super) fn member_verdict<B>(
        &self,
        parts: &Parts,
        waiting: WaitingRequest,
        outcome: Result<Membership, VerifyError>,
    ) -> PolicyVerdict<B> {
        let WaitingRequest { check, body, rewriter, .. } = waiting;
        self.settle(parts, check, outcome, (body, rewriter))
    }

    /// Decides about a request once the outcome of the look-up is known.
    fn settle<B>(
        &self,
        parts: &Parts,
        check: MemberCheck,
        outcome: Result<Membership, VerifyError>,
        (body, mut rewriter): (Bytes, Option<Box<ResponseRewriter>>),
    ) -> PolicyVerdict<B> {
        match check.settle(outcome, rewriter.as_deref_mut()) {
            Ok(operations) => {
                self.admit(parts, &operations, rewriter.as_deref_mut());
                PolicyVerdict::Pass(body, rewriter)
            }
            Err(rejection) => self.reject(parts, &body, rejection),
        }
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
