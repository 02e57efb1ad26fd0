//! Decides whether a request passes, by its headers and its body.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, Response};

use crate::mcp::{AccessPolicy, InvalidBody, McpHeaders, Message, RequestId, Requirement};
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{AuthInfo, Resources, ScopeHierarchy, Scopes};
use crate::response::{
    ChallengeContext, MessageError, Rejection, RejectionReason, ResponseBody, message_rejected,
    operation_denied, unknown_host, upgrade_rejected,
};

/// The methods whose body has no meaning (RFC 9110 section 9.3). A server that reads it all the same
/// would take a call from it.
const WITHOUT_BODY: [Method; 5] =
    [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE];

/// The policy of one service and the contents of its challenges.
#[derive(Clone)]
pub(super) struct Enforcer {
    pub(super) policy: AccessPolicy,
    /// The resources; of one, the URL of its metadata.
    pub(super) resources: Resources<String>,
    pub(super) required_scopes: Scopes,
    pub(super) hierarchy: ScopeHierarchy,
    pub(super) max_body_bytes: usize,
    pub(super) allow_upgrades: bool,
    pub(super) cors: bool,
}

/// Whether a request reaches the service.
pub(super) enum PolicyVerdict<ResBody> {
    /// It does, with this body.
    Pass(Bytes),
    Respond(Response<ResponseBody<ResBody>>),
}

/// Why a request does not pass.
enum PolicyRejection {
    /// The message is invalid. The id is that of its request, if known.
    Message { error: MessageError, id: Option<RequestId> },
    /// The policy denies the operation. The id is that of its request, if known.
    Denied { id: Option<RequestId> },
    /// The operation needs these scopes.
    Operation { reason: RejectionReason, needed: Scopes },
}

impl Enforcer {
    /// Returns whether there is a policy to enforce.
    pub(super) fn has_rules(&self) -> bool {
        !self.policy.is_empty()
    }

    /// Decides about a request once its body was read.
    pub(super) fn verdict<B>(
        &self,
        parts: &Parts,
        body: Result<Bytes, MessageError>,
    ) -> PolicyVerdict<B> {
        let checked = body.map_err(PolicyRejection::from).and_then(|body| {
            self.check(parts, &body)?;
            Ok(body)
        });
        match checked {
            Ok(body) => PolicyVerdict::Pass(body),
            Err(rejection) => PolicyVerdict::Respond(self.respond(parts, rejection)),
        }
    }

    /// Responds to a request whose body is not read.
    pub(super) fn reject<B>(&self, error: MessageError) -> Response<ResponseBody<B>> {
        message_rejected(error, None, self.cors)
    }

    /// Responds to a request for another protocol.
    pub(super) fn reject_upgrade<B>(&self) -> Response<ResponseBody<B>> {
        tracing::warn!("rejected an upgrade: the access policy could not see the calls on it");
        upgrade_rejected(self.cors)
    }

    fn check(&self, parts: &Parts, body: &[u8]) -> Result<(), PolicyRejection> {
        if parts.method != Method::POST && body.is_empty() {
            return Ok(());
        }
        if WITHOUT_BODY.contains(&parts.method) {
            return Err(MessageError::InvalidRequest.into());
        }
        let Some(message) = parse(&parts.headers, body)? else {
            return Ok(());
        };
        let needed = match self.policy.required_by_all(&message.operations) {
            Requirement::Denied => return Err(PolicyRejection::Denied { id: message.id }),
            Requirement::Scopes(needed) if needed.is_empty() => return Ok(()),
            Requirement::Scopes(needed) => needed,
        };
        let reason = match parts.extensions.get::<AuthInfo>() {
            Some(caller) if self.hierarchy.grants_all(caller.scopes(), &needed) => return Ok(()),
            Some(_) => RejectionReason::InsufficientScope,
            None => RejectionReason::MissingToken,
        };
        Err(PolicyRejection::Operation { reason, needed })
    }

    fn respond<B>(&self, parts: &Parts, rejection: PolicyRejection) -> Response<ResponseBody<B>> {
        match rejection {
            PolicyRejection::Message { error, id } => message_rejected(error, id, self.cors),
            PolicyRejection::Denied { id } => operation_denied(id, self.cors),
            PolicyRejection::Operation { reason, needed } => self.challenge(parts, &needed, reason),
        }
    }

    fn challenge<B>(
        &self,
        parts: &Parts,
        needed: &Scopes,
        reason: RejectionReason,
    ) -> Response<ResponseBody<B>> {
        let resource_metadata = match &self.resources {
            Resources::One(resource_metadata) => resource_metadata.clone(),
            Resources::ByRequest(resolver) => match resolver.resolve(&parts.uri, &parts.headers) {
                Some(resource) => protected_resource_metadata_url(&resource),
                None => return unknown_host(self.cors),
            },
        };
        tracing::debug!(?reason, "rejected an operation");
        let scopes = self.required_scopes.union(needed);
        let context = ChallengeContext { resource_metadata, scopes, cors: self.cors };
        context.respond(Rejection::new(reason))
    }
}

impl From<MessageError> for PolicyRejection {
    fn from(error: MessageError) -> Self {
        Self::Message { error, id: None }
    }
}

/// Parses the message in the body, and checks that the headers agree with it. Returns `None` for a
/// body that no server can take for a message.
fn parse<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Option<Message<'a>>, PolicyRejection> {
    if is_encoded(headers) {
        return Err(MessageError::ParseError.into());
    }
    let mcp_headers = McpHeaders::parse(headers);
    let message = match Message::parse(body) {
        Ok(message) => message,
        Err(InvalidBody::NotJson)
            if cannot_be_a_message(headers, body)
                && mcp_headers.is_ok_and(|headers| headers.is_empty()) =>
        {
            return Ok(None);
        }
        Err(InvalidBody::NotJson) => return Err(MessageError::ParseError.into()),
        Err(InvalidBody::NotAMessage(id)) => {
            return Err(PolicyRejection::Message { error: MessageError::InvalidRequest, id });
        }
    };
    if mcp_headers.is_ok_and(|headers| agree(&headers, &message)) {
        return Ok(Some(message));
    }
    Err(PolicyRejection::Message { error: MessageError::HeaderMismatch, id: message.id })
}

/// Returns whether the headers agree with the body. They can describe only a single message, whose
/// operations, if it has several, differ only in what the headers do not name.
fn agree(headers: &McpHeaders<'_>, message: &Message<'_>) -> bool {
    let single = match message.operations.as_slice() {
        [operation, ..] if !message.is_batch => headers.agrees_with(operation),
        _ => false,
    };
    headers.is_empty() || single
}

/// Returns whether the service may decode the body (RFC 9110 section 8.4). A deflate stream can be
/// one JSON message as it is, and another one after inflating.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Returns whether no server, however lenient, can take the body for a message. A JSON object has
/// the byte of a brace in UTF-8 and in UTF-16.
fn cannot_be_a_message(headers: &HeaderMap, body: &[u8]) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let has_other_type = match (types.next().and_then(|value| value.to_str().ok()), types.next()) {
        (Some(content_type), None) => !content_type.to_ascii_lowercase().contains("json"),
        _ => false,
    };
    has_other_type && !body.contains(&b'{')
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
