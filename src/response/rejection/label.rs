//! The names of the reasons, for logs and metrics.

use super::{MessageError, RejectionReason};
use crate::error::VerifyErrorKind;
use crate::oauth::PermissionError;

impl RejectionReason {
    /// Returns a name for logs, such as `insufficient_scope`. The event of a rejection has it, and
    /// the label `reason` of the metrics. It does not change in later versions.
    ///
    /// ```
    /// use clerk_mcp_tools::{RejectionReason, VerifyErrorKind};
    ///
    /// let reason = RejectionReason::InvalidToken(VerifyErrorKind::Expired);
    /// assert_eq!(reason.as_str(), "expired_token");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::AmbiguousCredentials => "ambiguous_credentials",
            Self::InvalidToken(kind) => of_kind(kind),
            Self::InsufficientScope => "insufficient_scope",
            Self::OperationDenied => "operation_denied",
            Self::Permission(error) => of_permission(error),
            Self::ExchangeRejected => "exchange_rejected",
            Self::AuthorizationServerUnavailable => "authorization_server_unavailable",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
            Self::UnknownHost => "unknown_host",
            Self::MetadataUnavailable => "metadata_unavailable",
            Self::UnknownSession => "unknown_session",
            Self::UpgradeNotAllowed => "upgrade_not_allowed",
            Self::Message(MessageError::TooLarge) => "body_too_large",
            Self::Message(MessageError::NoCapacity) => "no_capacity_for_body",
            Self::Message(MessageError::TimedOut) => "body_timed_out",
            Self::Message(MessageError::ParseError) => "parse_error",
            Self::Message(MessageError::InvalidRequest) => "invalid_message",
            Self::Message(MessageError::HeaderMismatch) => "header_mismatch",
        }
    }
}

fn of_kind(kind: VerifyErrorKind) -> &'static str {
    match kind {
        VerifyErrorKind::Malformed => "malformed_token",
        VerifyErrorKind::WrongTokenType => "wrong_token_type",
        VerifyErrorKind::UnsupportedAlgorithm => "unsupported_algorithm",
        VerifyErrorKind::UnknownKey => "unknown_key",
        VerifyErrorKind::InvalidSignature => "invalid_signature",
        VerifyErrorKind::InvalidIssuer => "invalid_issuer",
        VerifyErrorKind::InvalidClaim => "invalid_claim",
        VerifyErrorKind::Expired => "expired_token",
        VerifyErrorKind::NotYetValid => "token_not_yet_valid",
        VerifyErrorKind::InvalidAudience => "invalid_audience",
        VerifyErrorKind::Revoked => "revoked_token",
        VerifyErrorKind::UnknownToken => "unknown_token",
        VerifyErrorKind::InsufficientScope => "insufficient_scope",
        VerifyErrorKind::Unavailable => "unavailable",
        VerifyErrorKind::Misconfigured => "misconfigured",
    }
}

fn of_permission(error: PermissionError) -> &'static str {
    match error {
        PermissionError::NoOrganization => "no_organization",
        PermissionError::NotMember => "not_a_member",
        PermissionError::RoleNotSufficient => "role_not_sufficient",
        PermissionError::NotUser => "not_a_user",
    }
}
