//! What is decided about a request whose body has been read.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Response};

use crate::mcp::{AccessPolicy, McpHeaders, Message, Operation, RequestId, Unreadable};
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{AuthInfo, ResolveResource, ScopeHierarchy, Scopes};
use crate::response::{
    ChallengeContext, MessageError, Rejection, RejectionReason, ResponseBody, refuse_message,
    unknown_host, without_cors,
};

/// The rules of one service, and what its challenges name.
#[derive(Clone)]
pub(super) struct Enforcer {
    pub(super) rules: AccessPolicy,
    pub(super) guarded: Guarded,
    pub(super) baseline: Scopes,
    pub(super) hierarchy: ScopeHierarchy,
    pub(super) max_body_bytes: usize,
    pub(super) cors: bool,
}

#[derive(Clone)]
pub(super) enum Guarded {
    /// One resource, with its metadata here.
    One(String),
    /// One of several.
    Several(Arc<dyn ResolveResource>),
}

impl Enforcer {
    /// Whether there is anything to decide.
    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether a request with this body may pass.
    pub(super) fn admit(&self, parts: &Parts, body: &[u8]) -> Result<(), Refusal> {
        let Some(message) = read(&parts.headers, body)? else {
            return Ok(());
        };
        let needed = self.needed(&message.operations);
        match parts.extensions.get::<AuthInfo>() {
            _ if needed.is_empty() => Ok(()),
            Some(caller) if self.hierarchy.grants_all(caller.scopes(), &needed) => Ok(()),
            Some(_) => {
                Err(Refusal::Operation { reason: RejectionReason::InsufficientScope, needed })
            }
            None => Err(Refusal::Operation { reason: RejectionReason::MissingToken, needed }),
        }
    }

    pub(super) fn refuse<B>(&self, parts: &Parts, refusal: Refusal) -> Response<ResponseBody<B>> {
        match refusal {
            Refusal::Message { error, id } => self.refuse_message(error, id),
            Refusal::Operation { reason, needed } => {
                self.with_cors(self.challenge(parts, &needed, reason))
            }
        }
    }

    /// A refusal of the message itself.
    pub(super) fn refuse_message<B>(
        &self,
        error: MessageError,
        id: Option<RequestId>,
    ) -> Response<ResponseBody<B>> {
        tracing::debug!(?error, "a message was refused");
        self.with_cors(refuse_message(error, id))
    }

    fn with_cors<B>(&self, response: Response<ResponseBody<B>>) -> Response<ResponseBody<B>> {
        if self.cors { response } else { without_cors(response) }
    }

    fn needed(&self, operations: &[Operation<'_>]) -> Scopes {
        let rules = operations.iter().map(|operation| self.rules.required_by(operation));
        rules.fold(Scopes::none(), |needed, scopes| needed.union(&scopes))
    }

    fn challenge<B>(
        &self,
        parts: &Parts,
        needed: &Scopes,
        reason: RejectionReason,
    ) -> Response<ResponseBody<B>> {
        let resource_metadata = match &self.guarded {
            Guarded::One(resource_metadata) => resource_metadata.clone(),
            Guarded::Several(resolver) => match resolver.resolve(&parts.uri, &parts.headers) {
                Some(resource) => protected_resource_metadata_url(&resource),
                None => return unknown_host(),
            },
        };
        tracing::debug!(?reason, "an operation was refused");
        let challenge_context =
            ChallengeContext { resource_metadata, scopes: self.baseline.union(needed) };
        challenge_context.refuse(Rejection::new(reason))
    }
}

/// Why a request may not pass.
pub(super) enum Refusal {
    /// The message itself is wrong; it has this id, if that is known.
    Message { error: MessageError, id: Option<RequestId> },
    /// What it asks for needs these scopes.
    Operation { reason: RejectionReason, needed: Scopes },
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        Self::Message { error, id: None }
    }
}

/// What the body asks for, if the headers say the same; `None` for a body that cannot be a message.
fn read<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<Option<Message<'a>>, Refusal> {
    if is_encoded(headers) {
        return Err(MessageError::ParseError.into());
    }
    let claim = McpHeaders::read(headers);
    let message = match Message::read(body) {
        Ok(message) => message,
        Err(Unreadable::NotJson)
            if is_no_message(headers, body) && claim.is_ok_and(|c| c.is_empty()) =>
        {
            return Ok(None);
        }
        Err(Unreadable::NotJson) => return Err(MessageError::ParseError.into()),
        Err(Unreadable::NotAMessage(id)) => {
            return Err(Refusal::Message { error: MessageError::InvalidRequest, id });
        }
    };
    if claim.is_ok_and(|claim| agree(&claim, &message)) {
        return Ok(Some(message));
    }
    Err(Refusal::Message { error: MessageError::HeaderMismatch, id: message.id })
}

/// A claim is about one message with a method.
fn agree(claim: &McpHeaders<'_>, message: &Message<'_>) -> bool {
    let single = match message.operations.as_slice() {
        [operation] if !message.is_batch => claim.agrees_with(operation),
        _ => false,
    };
    claim.is_empty() || single
}

/// Whether somebody behind may decode the body (RFC 9110 section 8.4). Of deflate there are streams that are JSON as they
/// stand and another message once they are inflated.
fn is_encoded(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.into_iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether no server, however lenient, can take these bytes for a message. A JSON object has a brace, in UTF-8 as in
/// UTF-16.
fn is_no_message(headers: &HeaderMap, body: &[u8]) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let another_type = match (types.next().and_then(|value| value.to_str().ok()), types.next()) {
        (Some(content_type), None) => !content_type.to_ascii_lowercase().contains("json"),
        _ => false,
    };
    another_type && !body.contains(&b'{')
}

impl fmt::Debug for Enforcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enforcer")
            .field("rules", &self.rules)
            .field("baseline", &self.baseline)
            .field("max_body_bytes", &self.max_body_bytes)
            .finish_non_exhaustive()
    }
}
