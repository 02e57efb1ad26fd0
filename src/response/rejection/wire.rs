//! The status, error code and description that each rejection reason has on the wire.

use http::StatusCode;

use super::{MessageError, Rejection, RejectionReason};
use crate::error::VerifyErrorKind;

/// What a response says about a rejection.
pub(super) struct ErrorResponse {
    pub(super) status: StatusCode,
    /// The error code in the body, and in a challenge [`WithError`](Challenge::WithError).
    pub(super) code: &'static str,
    pub(super) description: &'static str,
    pub(super) challenge: Challenge,
    /// The error code of JSON-RPC. An MCP client expects one where its message is wrong or denied.
    pub(super) json_rpc_code: Option<i32>,
}

/// The challenge of a response.
pub(super) enum Challenge {
    None,
    /// Without `error`, since the request had no credentials (RFC 6750 section 3.1).
    WithoutError,
    WithError,
}

impl Rejection {
    /// Returns what every form of the response says.
    pub(super) fn error_response(&self) -> ErrorResponse {
        let mut error = self.reason.error_response();
        if let Some(token_type) = self.rejected_type() {
            error.description = token_type.not_accepted();
        }
        error
    }
}

impl RejectionReason {
    pub(super) fn error_response(self) -> ErrorResponse {
        let (status, code, description, challenge) = match self {
            // RFC 6750 section 3.1: "the resource server SHOULD NOT include an error code".
            Self::MissingToken => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "An access token is required",
                Challenge::WithoutError,
            ),
            // RFC 6750 section 3.1: a request that "uses more than one method for including an
            // access token".
            Self::AmbiguousCredentials => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "More than one Authorization header was sent",
                Challenge::WithError,
            ),
            // RFC 6750 section 3.1.
            Self::InvalidToken(kind) => (
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                kind.description(),
                Challenge::WithError,
            ),
            // RFC 6750 section 3.1; MCP 2026-07-28, authorization: this code makes a client request
            // more scopes.
            Self::InsufficientScope => (
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                "The access token lacks a required scope",
                Challenge::WithError,
            ),
            // No challenge, on which a client would discard a token that may be valid. The code is
            // that of RFC 6749 section 4.1.2.1.
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                VerifyErrorKind::Unavailable.description(),
                Challenge::None,
            ),
            Self::MetadataUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "The metadata of the authorization server cannot be fetched at the moment",
                Challenge::None,
            ),
            Self::Misconfigured => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                VerifyErrorKind::Misconfigured.description(),
                Challenge::None,
            ),
            // RFC 9110 section 15.5.20.
            Self::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected_request",
                "This server does not answer for the requested host",
                Challenge::None,
            ),
            // MCP 2025-11-25, session management: on a 404 a client starts a new session.
            Self::UnknownSession => (
                StatusCode::NOT_FOUND,
                "session_not_found",
                "The session does not exist",
                Challenge::None,
            ),
            // A client cannot get this by asking for more scopes, so there is no challenge.
            Self::UpgradeNotAllowed => (
                StatusCode::FORBIDDEN,
                "upgrade_not_allowed",
                "This server does not allow the connection to be upgraded",
                Challenge::None,
            ),
            // No token allows it, so there is no challenge. An MCP client expects a JSON-RPC error,
            // whose code is one of those that are left to servers (JSON-RPC 2.0 section 5.1).
            Self::OperationDenied => {
                return ErrorResponse {
                    status: StatusCode::FORBIDDEN,
                    code: "operation_denied",
                    description: "This server does not allow the operation",
                    challenge: Challenge::None,
                    json_rpc_code: Some(-32000),
                };
            }
            // Neither helps a client to ask its user for more, so there is no challenge. The code
            // is that of RFC 6749 section 4.1.2.1.
            Self::Permission(error) => return access_denied(error.description()),
            Self::ExchangeRejected => {
                return access_denied("The authorization server does not allow the call");
            }
            Self::AuthorizationServerUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "The authorization server cannot be asked at the moment",
                Challenge::None,
            ),
            Self::Message(error) => return error.error_response(),
        };
        ErrorResponse { status, code, description, challenge, json_rpc_code: None }
    }
}

/// Returns a response that a client shows to its user or its model: a JSON-RPC error.
fn access_denied(description: &'static str) -> ErrorResponse {
    ErrorResponse {
        status: StatusCode::FORBIDDEN,
        code: "access_denied",
        description,
        challenge: Challenge::None,
        json_rpc_code: Some(-32000),
    }
}

impl MessageError {
    /// Returns a response without a challenge, since the credentials are not at fault.
    fn error_response(self) -> ErrorResponse {
        let (status, code, description, json_rpc_code) = match self {
            // RFC 9110 section 15.5.14.
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "content_too_large",
                "The request body is too large",
                None,
            ),
            // RFC 9110 section 15.6.4.
            Self::NoCapacity => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "The server is reading too many large request bodies at the moment",
                None,
            ),
            // RFC 9110 section 15.5.9.
            Self::TimedOut => (
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "The request body did not arrive in time",
                None,
            ),
            // JSON-RPC 2.0 section 5.1.
            Self::ParseError => (
                StatusCode::BAD_REQUEST,
                "parse_error",
                "The request body is not valid JSON",
                Some(-32700),
            ),
            // JSON-RPC 2.0 section 5.1.
            Self::InvalidRequest => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "The body is not a valid, unambiguous JSON-RPC message",
                Some(-32600),
            ),
            // MCP 2026-07-28, Streamable HTTP, section "server validation".
            Self::HeaderMismatch => (
                StatusCode::BAD_REQUEST,
                "header_mismatch",
                "The headers Mcp-Method and Mcp-Name contradict the body",
                Some(-32020),
            ),
        };
        ErrorResponse { status, code, description, challenge: Challenge::None, json_rpc_code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{PermissionError, TokenType};

    const KINDS: [VerifyErrorKind; 15] = {
        use VerifyErrorKind::*;
        [
            Malformed,
            WrongTokenType,
            UnsupportedAlgorithm,
            UnknownKey,
            InvalidSignature,
            InvalidIssuer,
            InvalidClaim,
            Expired,
            NotYetValid,
            InvalidAudience,
            Revoked,
            UnknownToken,
            InsufficientScope,
            Unavailable,
            Misconfigured,
        ]
    };

    const REASONS: [RejectionReason; 22] = {
        use RejectionReason::*;
        [
            MissingToken,
            AmbiguousCredentials,
            InsufficientScope,
            OperationDenied,
            Permission(PermissionError::NoOrganization),
            Permission(PermissionError::NotMember),
            Permission(PermissionError::RoleNotSufficient),
            Permission(PermissionError::NotUser),
            ExchangeRejected,
            AuthorizationServerUnavailable,
            Unavailable,
            Misconfigured,
            UnknownHost,
            UnknownSession,
            UpgradeNotAllowed,
            MetadataUnavailable,
            Message(MessageError::TooLarge),
            Message(MessageError::NoCapacity),
            Message(MessageError::TimedOut),
            Message(MessageError::ParseError),
            Message(MessageError::InvalidRequest),
            Message(MessageError::HeaderMismatch),
        ]
    };

    #[test]
    fn every_description_fits_into_an_error_description() {
        let reasons = REASONS.into_iter().chain(KINDS.map(RejectionReason::InvalidToken));
        let descriptions = reasons.map(|reason| reason.error_response().description);
        for description in descriptions.chain(TokenType::ALL.map(TokenType::not_accepted)) {
            // RFC 6750 section 3: %x20-21 / %x23-5B / %x5D-7E.
            let allowed = |c| matches!(c, ' '..='~') && c != '"' && c != '\\';
            assert!(description.chars().all(allowed), "{description}");
            // A client that searches the header for a parameter must not find it in a description.
            for name in ["scope=", "error=", "resource_metadata="] {
                assert!(!description.contains(name), "{description}");
            }
        }
    }

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        // Those that no token is rejected with have the name of their reason.
        let of_tokens = KINDS.into_iter().filter(|kind| {
            use VerifyErrorKind::{InsufficientScope, Misconfigured, Unavailable};
            ![InsufficientScope, Unavailable, Misconfigured].contains(kind)
        });
        let reasons = REASONS.into_iter().chain(of_tokens.map(RejectionReason::InvalidToken));
        let mut names: Vec<_> = reasons.map(RejectionReason::as_str).collect();
        let is_plain = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(names.iter().all(is_plain), "{names:?}");
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
