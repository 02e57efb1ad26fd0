//! Decides whether a request passes, by its headers and its body.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Response};

use super::body::{BodyLimits, FREE_BYTES};
use super::membership::{MembershipSource, WaitingRequest};
use super::message::{body_has_no_meaning, parse_message};
use super::rewriter::{ResponseRewriter, StepUpResponse};
use super::step_up::StepUp;
use crate::mcp::{
    AccessPolicy, Lacking, ListKind, ListRewrite, McpHeaders, MemberRequirement, Message,
    Operation, Requirement, SecuritySchemes,
};
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{AuthInfo, ResourceUrl, Resources, ScopeHierarchy, Scopes};
use crate::response::{
    ChallengeContext, Decision, DecisionObserver, MessageError, PendingDecision, PendingRejection,
    Rejection, RejectionFormat, RejectionReason, ResponseBody, ToolResultForm, unknown_host,
};

/// The policy of one service and the contents of its challenges.
#[derive(Clone)]
pub(super) struct Enforcer {
    pub(super) policy: AccessPolicy,
    /// The resources; of one, the URL of its metadata.
    pub(super) resources: Resources<String>,
    /// The resource, if there is one only.
    pub(super) resource: Option<ResourceUrl>,
    pub(super) observer: DecisionObserver,
    pub(super) required_scopes: Scopes,
    /// For the challenges only: what a first sign-in should ask for besides `required_scopes`.
    pub(super) initial_scopes: Scopes,
    pub(super) hierarchy: ScopeHierarchy,
    pub(super) max_body_bytes: usize,
    pub(super) body_limits: BodyLimits,
    pub(super) allow_upgrades: bool,
    pub(super) rejection_format: RejectionFormat,
    pub(super) step_up: bool,
    pub(super) memberships: MembershipSource,
    /// Whether lists leave out what the caller may not use.
    pub(super) filter_lists: bool,
    /// Whether `tools/list` says what each tool needs.
    pub(super) security_schemes: bool,
    /// Whether the bearer layer passes requests without a token.
    pub(super) optional: bool,
    pub(super) cors: bool,
}

/// Whether a request reaches the service.
pub(super) enum PolicyVerdict<ResBody> {
    /// It does, with this body.
    Pass(Bytes, Option<Box<ResponseRewriter>>),
    Respond(Response<ResponseBody<ResBody>>),
}

/// What is known about a request whose body was read.
pub(super) enum BodyVerdict<ResBody> {
    Decided(PolicyVerdict<ResBody>),
    /// The membership of its caller decides.
    LookUp(Box<WaitingRequest>),
}

impl<ResBody> From<PolicyVerdict<ResBody>> for BodyVerdict<ResBody> {
    fn from(verdict: PolicyVerdict<ResBody>) -> Self {
        Self::Decided(verdict)
    }
}

/// A request that its token allows.
pub(super) struct CheckedRequest<'a> {
    /// The message in its body, if there is one.
    pub(super) message: Option<Message<'a>>,
    /// What remains to be checked about its caller.
    pub(super) member: Option<MemberRequirement>,
}

impl Enforcer {
    /// Returns whether there is a policy to enforce.
    pub(super) fn has_rules(&self) -> bool {
        !self.policy.is_empty()
    }

    /// Returns whether the body of a request that passes is read.
    pub(super) fn reads_bodies(&self) -> bool {
        self.has_rules() || self.step_up || self.security_schemes || self.observer.has_hook()
    }

    /// Returns the number of bytes that a body may have.
    ///
    /// Where the bearer layer has rejected a token that Clerk did not issue, or found none, the
    /// body only says how to respond. Anybody can send such requests, so no more of it is read than
    /// takes nothing from the budget of the others.
    pub(super) fn max_body_bytes(&self, pending: Option<&Rejection>) -> usize {
        match pending {
            Some(rejection) if !rejection.depends_on_operation() => {
                self.max_body_bytes.min(FREE_BYTES)
            }
            Some(_) | None => self.max_body_bytes,
        }
    }

    /// Decides about a request once its body was read.
    pub(super) fn verdict<B>(
        &self,
        parts: &Parts,
        body: Result<Bytes, MessageError>,
    ) -> BodyVerdict<B> {
        if let Some(PendingRejection(rejection)) = parts.extensions.get().cloned() {
            let body = body.as_deref().unwrap_or_default();
            let response = self.respond_to_pending(parts, body, rejection);
            return PolicyVerdict::Respond(response).into();
        }
        let body = match body {
            Ok(body) => body,
            Err(error) => {
                return PolicyVerdict::Respond(self.respond(parts, None, error.into())).into();
            }
        };
        match self.check(&parts.method, &parts.headers, &body, caller_of(parts)) {
            Ok(CheckedRequest { message, member }) => {
                let mut rewriter = self.rewriter(parts, message.as_ref());
                match self.member_check(message.as_ref(), member, rewriter.as_deref()) {
                    Some(check) => self.check_member(parts, check, body, rewriter),
                    None => {
                        self.admit(parts, operations_of(message.as_ref()), rewriter.as_deref_mut());
                        PolicyVerdict::Pass(body, rewriter).into()
                    }
                }
            }
            Err(rejection) => self.reject(parts, &body, rejection).into(),
        }
    }

    pub(super) fn reject<B>(
        &self,
        parts: &Parts,
        body: &[u8],
        rejection: Rejection,
    ) -> PolicyVerdict<B> {
        let form = self.form(parts, body);
        PolicyVerdict::Respond(self.respond(parts, form.as_ref(), rejection))
    }

    /// Decides to pass a request; or leaves it to the handler, if that may have it rejected.
    pub(super) fn admit(
        &self,
        parts: &Parts,
        operations: &[Operation<'_>],
        rewriter: Option<&mut ResponseRewriter>,
    ) {
        if let Some(step_up) = rewriter.and_then(|rewriter| rewriter.step_up.as_mut()) {
            return step_up.decision.leave_to_handler();
        }
        // Only a hook sees the resource, which may have to be resolved.
        let resource = if self.observer.has_hook() { self.resource(parts) } else { None };
        let decision = Decision::admitted(caller_of(parts), operations);
        self.observer.observe(&decision.at(resource.as_ref()));
    }

    fn resource(&self, parts: &Parts) -> Option<ResourceUrl> {
        match &self.resources {
            Resources::One(_) => self.resource.clone(),
            Resources::ByRequest(resolver) => resolver.resolve(parts),
        }
    }

    /// Returns what is to be done with the response to a request that passes.
    fn rewriter(
        &self,
        parts: &Parts,
        message: Option<&Message<'_>>,
    ) -> Option<Box<ResponseRewriter>> {
        if parts.method != Method::POST {
            return None;
        }
        let list = message.and_then(|message| self.list_rewrite(parts, message));
        let step_up = if self.step_up { Some(self.step_up(parts, message)?) } else { None };
        (list.is_some() || step_up.is_some()).then(|| Box::new(ResponseRewriter { list, step_up }))
    }

    /// Returns how the list is changed that a message asks for.
    fn list_rewrite(&self, parts: &Parts, message: &Message<'_>) -> Option<ListRewrite> {
        let filter = self.filter_lists && self.has_rules();
        if !filter && !self.security_schemes {
            return None;
        }
        let kind = ListKind::of(message)?;
        let schemes = (self.security_schemes && kind == ListKind::Tools).then(|| SecuritySchemes {
            baseline: self.required_scopes.clone(),
            optional: self.optional,
        });
        (filter || schemes.is_some()).then(|| ListRewrite {
            kind,
            policy: self.policy.clone(),
            hierarchy: self.hierarchy.clone(),
            caller: caller_of(parts).cloned(),
            membership: None,
            filter,
            schemes,
        })
    }

    /// Returns what a handler asks for further scopes with, and the response to that.
    fn step_up(&self, parts: &Parts, message: Option<&Message<'_>>) -> Option<StepUpResponse> {
        let (caller, hierarchy) = (caller_of(parts).cloned(), self.hierarchy.clone());
        let is_single = message.is_some_and(|message| !message.is_batch);
        let form = message.filter(|_| self.rejection_format.is_tool_result(&parts.headers));
        let challenge_context = self.challenge_context(parts)?;
        let operations = operations_of(message);
        let observer = self.observer.clone();
        let log = Arc::clone(observer.log());
        Some(StepUpResponse {
            challenge_context,
            decision: PendingDecision::new(
                observer,
                caller.as_ref(),
                operations,
                self.resource(parts),
            ),
            form: form.and_then(|message| ToolResultForm::of(&parts.headers, message)),
            request_id: message.and_then(|message| message.id.clone()),
            step_up: StepUp::new(caller, hierarchy, self.memberships.clone(), log, is_single),
        })
    }

    /// Returns an error unless the caller's token allows what the body asks for.
    pub(super) fn check<'a>(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: &'a [u8],
        caller: Option<&AuthInfo>,
    ) -> Result<CheckedRequest<'a>, Rejection> {
        let without_rule = |message| CheckedRequest { message, member: None };
        if !self.has_rules() {
            // Nothing can be wrong with a body that no rule judges.
            return Ok(without_rule(parse_message(headers, body).unwrap_or_default()));
        }
        if *method != Method::POST && body.is_empty() {
            return Ok(without_rule(None));
        }
        if body_has_no_meaning(method) {
            return Err(MessageError::InvalidRequest.into());
        }
        let Some(message) = parse_message(headers, body)? else {
            return Ok(without_rule(None));
        };
        match self.judge(&message, caller) {
            Ok(member) => Ok(CheckedRequest { message: Some(message), member }),
            Err(rejection) => Err(rejection.for_operations(&message.operations)),
        }
    }

    /// Returns what remains to be checked about the membership of the caller.
    fn judge(
        &self,
        message: &Message<'_>,
        caller: Option<&AuthInfo>,
    ) -> Result<Option<MemberRequirement>, Rejection> {
        let needed = self.policy.required_by_all(&message.operations);
        match needed.check(caller, &self.hierarchy) {
            Ok(None) => Ok(None),
            Ok(Some(_)) => Ok(match needed {
                Requirement::Member(member) => Some(member),
                Requirement::Scopes(_) | Requirement::Denied => None,
            }),
            Err(Lacking::Denied) => {
                let denied = Rejection::new(RejectionReason::OperationDenied);
                Err(denied.about_request(message.id.clone()))
            }
            Err(Lacking::Scopes(needed)) => Err(self.lacking(needed, caller)),
        }
    }

    /// Returns the rejection of a caller who lacks some of these scopes, or a token.
    pub(super) fn lacking(&self, needed: &Scopes, caller: Option<&AuthInfo>) -> Rejection {
        let rejection = match caller {
            Some(caller) => {
                let rejection = Rejection::new(RejectionReason::InsufficientScope)
                    .granted(caller.scopes().clone())
                    .lacking(needed, caller.scopes(), &self.hierarchy);
                if self.step_up {
                    rejection.keep_all_granted()
                } else {
                    rejection.keep_granted(&self.policy.scopes())
                }
            }
            None => Rejection::new(RejectionReason::MissingToken),
        };
        rejection.needing(needed)
    }

    /// Adds the operation of a request that is rejected anyway, and its scopes: as the body names it,
    /// or as the headers do if the body is not a message.
    fn name_operation(&self, headers: &HeaderMap, body: &[u8], rejection: Rejection) -> Rejection {
        if let Ok(Some(message)) = parse_message(headers, body) {
            let needed = self.policy.required_by_all(&message.operations);
            let needed = needed.scopes().cloned().unwrap_or_default();
            return rejection.needing(&needed).for_operations(&message.operations);
        }
        match McpHeaders::parse(headers).ok().and_then(McpHeaders::into_operation) {
            Some(operation) => rejection
                .needing(&self.policy.scopes_by_headers(&operation))
                .for_operations(&[operation]),
            None => rejection,
        }
    }

    /// Builds the response to a request that the bearer layer has rejected.
    pub(super) fn respond_to_pending<B>(
        &self,
        parts: &Parts,
        body: &[u8],
        rejection: Rejection,
    ) -> Response<ResponseBody<B>> {
        let rejection = if rejection.depends_on_operation() {
            self.name_operation(&parts.headers, body, rejection)
        } else {
            rejection
        };
        self.respond(parts, self.form(parts, body).as_ref(), rejection)
    }

    /// Returns the form of the response to a tool call, if it is a result.
    fn form(&self, parts: &Parts, body: &[u8]) -> Option<ToolResultForm> {
        if parts.method != Method::POST || !self.rejection_format.is_tool_result(&parts.headers) {
            return None;
        }
        let message = parse_message(&parts.headers, body).ok()??;
        ToolResultForm::of(&parts.headers, &message)
    }

    /// Builds the response to a rejected request.
    pub(super) fn respond<B>(
        &self,
        parts: &Parts,
        form: Option<&ToolResultForm>,
        rejection: Rejection,
    ) -> Response<ResponseBody<B>> {
        let Some(context) = self.challenge_context(parts) else {
            let rejection = Rejection::new(RejectionReason::UnknownHost);
            self.observer.observe(&Decision::rejected(&rejection));
            return unknown_host(self.cors);
        };
        let rejection = match rejection.caller() {
            None => rejection.of_caller(caller_of(parts)),
            Some(_) => rejection,
        };
        let operation = McpHeaders::parse(&parts.headers).ok().and_then(McpHeaders::into_operation);
        let decision = Decision::rejected(&rejection).or_named(operation.as_ref());
        self.observer.observe(&decision.at(self.resource(parts).as_ref()));
        context.respond_in(form, rejection)
    }

    /// Returns the contents of the challenges of the resource that a request is for.
    fn challenge_context(&self, parts: &Parts) -> Option<ChallengeContext> {
        let resource_metadata = match &self.resources {
            Resources::One(resource_metadata) => resource_metadata.clone(),
            Resources::ByRequest(resolver) => {
                protected_resource_metadata_url(&resolver.resolve(parts)?)
            }
        };
        Some(ChallengeContext {
            resource_metadata,
            scopes: self.required_scopes.clone(),
            initial_scopes: self.initial_scopes.clone(),
            cors: self.cors,
        })
    }
}

/// Returns copies of operations, which outlive the body.
pub(super) fn to_owned(operations: &[Operation<'_>]) -> Vec<Operation<'static>> {
    operations.iter().map(|operation| operation.to_bounded(usize::MAX)).collect()
}

pub(super) fn operations_of<'a>(message: Option<&'a Message<'_>>) -> &'a [Operation<'a>] {
    message.map_or(&[], |message| message.operations.as_slice())
}

pub(super) fn caller_of(parts: &Parts) -> Option<&AuthInfo> {
    parts.extensions.get()
}

impl fmt::Debug for Enforcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enforcer")
            .field("policy", &self.policy)
            .field("required_scopes", &self.required_scopes)
            .field("max_body_bytes", &self.max_body_bytes)
            .finish_non_exhaustive()
    }
}
