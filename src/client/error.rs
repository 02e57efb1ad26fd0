//! What can go wrong, by what the application can do about it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::failure::{Failure, FailureKind};
use super::seal::SealError;
use super::store::StoreError;

/// The reason why a sign-in could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoginErrorKind {
    /// The server, or one that it names, may not be called ([`Egress`](super::Egress)), or may not
    /// be connected to ([`servers`](super::ConnectionsBuilder::servers)).
    Forbidden,
    /// No MCP server responds at the URL.
    NotAnMcpServer,
    /// The metadata of the server, or of its authorization server, is missing or contradicts itself
    /// (RFC 9728 section 3.3, RFC 8414 section 3.3).
    Discovery,
    /// The authorization server does not list PKCE with S256, which MCP requires.
    NoPkce,
    /// The application is no client of the authorization server and cannot become one: none was
    /// set for it, and it supports neither client metadata documents nor dynamic registration.
    NoClient,
    /// The authorization server rejected the registration of a client (RFC 7591).
    Registration,
    /// A server could not be reached, did not respond in time or reported an error of its own. A
    /// later try may succeed.
    Unavailable,
    /// The store failed. A later try may succeed.
    Store,
    /// A record of the store cannot be opened with the keys at hand.
    Unreadable,
}

/// The reason why a sign-in could not be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallbackErrorKind {
    /// The request is not an authorization response (RFC 6749 section 4.1.2).
    Malformed,
    /// No such sign-in is in progress: it is over, has expired, or never began.
    UnknownLogin,
    /// The same response is being used by another request at this moment.
    AlreadyUsed,
    /// Another user began the sign-in, or another browser.
    OtherUser,
    /// The response is not from the authorization server of this sign-in (RFC 9207).
    WrongIssuer,
    /// The user did not allow the access (`access_denied`).
    Denied,
    /// The authorization server rejected the request for another reason.
    Refused,
    /// The authorization server did not redeem the code. A new sign-in may succeed.
    Exchange,
    /// The authorization server could not be reached when the code was to be redeemed, or its
    /// response was lost. A new sign-in may succeed.
    Unavailable,
    /// The store failed.
    Store,
    /// The record of the sign-in cannot be opened with the keys at hand.
    Unreadable,
}

impl CallbackErrorKind {
    /// Returns a stable word for the query of a URL: `malformed`, `expired`, `used`, `other-user`,
    /// `wrong-issuer`, `denied`, `refused`, `exchange`, `unavailable`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownLogin => "expired",
            Self::AlreadyUsed => "used",
            Self::OtherUser => "other-user",
            Self::WrongIssuer => "wrong-issuer",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Exchange => "exchange",
            Self::Unavailable | Self::Store | Self::Unreadable => "unavailable",
        }
    }
}

/// The reason why there is no access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The user has to sign in again.
    NeedsLogin(LoginReason),
    /// The authorization server could not be reached, or rejected the request for a reason that
    /// says nothing about the user's grant. What is stored is kept, and a later try may succeed.
    Unavailable,
    /// The store failed. What it holds is kept, and a later try may succeed.
    Store,
    /// The record of the connection cannot be opened with the keys at hand.
    Unreadable,
}

/// The reason why a request to an MCP server has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallErrorKind {
    /// The user has to sign in again. No request was made without a token.
    NeedsLogin(LoginReason),
    /// The server may not be called ([`Egress`](super::Egress)).
    Forbidden,
    /// The body of the response is longer than the
    /// [limit](super::HttpClient::max_body_bytes).
    TooLarge,
    /// The server or the authorization server could not be reached, did not respond in time or ended
    /// the connection. The request may have been processed.
    Unavailable,
    /// The store failed. A later try may succeed.
    Store,
    /// The record of the connection cannot be opened with the keys at hand.
    Unreadable,
}

/// The reason why a user has to sign in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoginReason {
    /// The authorization server rejected the refresh token (`invalid_grant`): it has expired, or
    /// the user or an administrator has ended the access.
    Refused,
    /// The authorization server rejected the refresh token, and an earlier refresh had ended
    /// without a known outcome: the response with the next refresh token was probably lost.
    Interrupted,
    /// The authorization server no longer knows the client that was registered there
    /// (`invalid_client`).
    ClientGone,
    /// The access token is over and there is no refresh token.
    NoRefreshToken,
    /// The connection does not exist any more.
    Disconnected,
}

impl LoginErrorKind {
    fn summary(self) -> &'static str {
        match self {
            Self::Forbidden => "the server may not be connected to",
            Self::NotAnMcpServer => "no MCP server responds at this URL",
            Self::Discovery => "the metadata of the server cannot be used",
            Self::NoPkce => "the authorization server does not support PKCE with S256",
            Self::NoClient => "the application cannot become a client of the authorization server",
            Self::Registration => "the authorization server rejected the registration",
            Self::Unavailable => "a server is unavailable",
            Self::Store => "the store of connections failed",
            Self::Unreadable => "a record of the store cannot be opened",
        }
    }
}

impl CallbackErrorKind {
    fn summary(self) -> &'static str {
        match self {
            Self::Malformed => "the request is not an authorization response",
            Self::UnknownLogin => "no such sign-in is in progress",
            Self::AlreadyUsed => "the authorization response is in use",
            Self::OtherUser => "the sign-in was begun by another user or browser",
            Self::WrongIssuer => "the response is from another authorization server",
            Self::Denied => "the user did not allow the access",
            Self::Refused => "the authorization server rejected the request",
            Self::Exchange => "the authorization server did not redeem the code",
            Self::Unavailable => "the authorization server is unavailable",
            Self::Store => "the store of connections failed",
            Self::Unreadable => "a record of the store cannot be opened",
        }
    }
}

impl TokenErrorKind {
    fn summary(self) -> &'static str {
        match self {
            Self::NeedsLogin(_) => "the user has to sign in again",
            Self::Unavailable => "the authorization server is unavailable",
            Self::Store => "the store of connections failed",
            Self::Unreadable => "a record of the store cannot be opened",
        }
    }
}

impl CallErrorKind {
    fn summary(self) -> &'static str {
        match self {
            Self::NeedsLogin(_) => "the user has to sign in again",
            Self::Forbidden => "the server may not be called",
            Self::TooLarge => "the response of the server is too long",
            Self::Unavailable => "the server is unavailable",
            Self::Store => "the store of connections failed",
            Self::Unreadable => "a record of the store cannot be opened",
        }
    }
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident($kind:ident);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            kind: $kind,
            detail: Cow<'static, str>,
            oauth_error: Option<OAuthCode>,
            retry_after: Option<Duration>,
            source: Option<Arc<dyn Error + Send + Sync>>,
        }

        impl $name {
            pub(super) fn new(kind: $kind, detail: impl Into<Cow<'static, str>>) -> Self {
                Self {
                    kind,
                    detail: detail.into(),
                    oauth_error: None,
                    retry_after: None,
                    source: None,
                }
            }

            pub(super) fn with_oauth_error(mut self, code: OAuthCode) -> Self {
                self.oauth_error = Some(code);
                self
            }

            fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
                self.source = Some(Arc::new(source));
                self
            }

            /// `subject` says which call failed.
            pub(super) fn of_failure(kind: $kind, subject: &str, failure: Failure) -> Self {
                Self {
                    kind,
                    detail: format!("{subject}: {}", failure.detail).into(),
                    oauth_error: None,
                    retry_after: failure.retry_after,
                    source: failure.source,
                }
            }

            /// Returns what went wrong, for the program.
            #[must_use]
            pub fn kind(&self) -> $kind {
                self.kind
            }

            /// Returns the error code of the authorization server, if it sent one that a standard
            /// defines, such as `invalid_scope`.
            #[must_use]
            pub fn oauth_error(&self) -> Option<&'static str> {
                self.oauth_error.map(|code| code.0)
            }

            /// Returns how long to wait before the next try, if the server said so.
            #[must_use]
            pub fn retry_after(&self) -> Option<Duration> {
                self.retry_after
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}: {}", self.kind.summary(), self.detail)?;
                match self.oauth_error {
                    Some(code) => write!(f, " ({})", code.0),
                    None => Ok(()),
                }
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.source.as_deref().map(|source| source as &(dyn Error + 'static))
            }
        }

        impl From<VaultError> for $name {
            fn from(error: VaultError) -> Self {
                match error {
                    VaultError::Store(error) => {
                        Self::new($kind::Store, "a call to it failed").with_source(error)
                    }
                    VaultError::Seal(error) => {
                        let detail = "its key may be missing, or it was altered";
                        Self::new($kind::Unreadable, detail).with_source(error)
                    }
                    VaultError::Form => {
                        let detail = "it was written by another version of this crate";
                        Self::new($kind::Unreadable, detail)
                    }
                }
            }
        }

        impl From<crate::clock::background::BackgroundError> for $name {
            fn from(error: crate::clock::background::BackgroundError) -> Self {
                Self::new($kind::Unavailable, "the call was not made").with_source(error)
            }
        }
    )*};
}

errors! {
    /// A sign-in that could not begin.
    ///
    /// `Display` says what went wrong; it shows no secret and no text of a server.
    LoginError(LoginErrorKind);

    /// A sign-in that could not be completed.
    ///
    /// `Display` says what went wrong; it shows no secret and no text of a server.
    CallbackError(CallbackErrorKind);

    /// Why there is no access token.
    ///
    /// An outage, of the authorization server or of the store, is never
    /// [`NeedsLogin`](TokenErrorKind::NeedsLogin). `Display` says what went wrong; it shows no
    /// secret and no text of a server.
    TokenError(TokenErrorKind);

    /// Why a request to an MCP server has no response, or its body no end.
    ///
    /// `Display` says what went wrong; it shows no secret and no text of a server.
    CallError(CallErrorKind);
}

impl CallError {
    pub(super) fn of_call(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Forbidden => CallErrorKind::Forbidden,
            FailureKind::Unavailable | FailureKind::Invalid => CallErrorKind::Unavailable,
        };
        Self::of_failure(kind, "the MCP server", failure)
    }
}

impl From<TokenError> for CallError {
    fn from(error: TokenError) -> Self {
        let kind = match error.kind {
            TokenErrorKind::NeedsLogin(reason) => CallErrorKind::NeedsLogin(reason),
            TokenErrorKind::Unavailable => CallErrorKind::Unavailable,
            TokenErrorKind::Store => CallErrorKind::Store,
            TokenErrorKind::Unreadable => CallErrorKind::Unreadable,
        };
        let TokenError { detail, oauth_error, retry_after, source, .. } = error;
        let error = Self { retry_after, source, ..Self::new(kind, detail) };
        match oauth_error {
            Some(code) => error.with_oauth_error(code),
            None => error,
        }
    }
}

impl TokenError {
    pub(super) fn needs_login(reason: LoginReason) -> Self {
        let detail = match reason {
            LoginReason::Refused => "the refresh token was rejected",
            LoginReason::Interrupted => {
                "the refresh token was rejected after a refresh without a known outcome"
            }
            LoginReason::ClientGone => "the authorization server no longer knows the client",
            LoginReason::NoRefreshToken => "the access token is over and there is no refresh token",
            LoginReason::Disconnected => "the connection does not exist",
        };
        Self::new(TokenErrorKind::NeedsLogin(reason), detail)
    }
}

impl LoginError {
    /// The kind of a call that failed while metadata is read.
    pub(super) fn of_discovery(subject: &str, failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Forbidden => LoginErrorKind::Forbidden,
            FailureKind::Unavailable => LoginErrorKind::Unavailable,
            FailureKind::Invalid => LoginErrorKind::Discovery,
        };
        Self::of_failure(kind, subject, failure)
    }
}

/// Why a sealed record was not read or written.
#[derive(Debug)]
pub(super) enum VaultError {
    Store(StoreError),
    Seal(SealError),
    /// What was sealed is not a record of this version.
    Form,
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// An error code that a standard defines. Any other text is the server's and is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OAuthCode(&'static str);

impl OAuthCode {
    pub(super) const ACCESS_DENIED: Self = Self("access_denied");
    pub(super) const INVALID_CLIENT: Self = Self("invalid_client");
    pub(super) const INVALID_GRANT: Self = Self("invalid_grant");

    /// The codes of RFC 6749 sections 4.1.2.1 and 5.2, RFC 7009 section 2.2.1, RFC 7591 section
    /// 3.2.2, RFC 8707 section 2, and OpenID Connect Core 1.0 section 3.1.2.6.
    const KNOWN: [&str; 20] = [
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "invalid_client",
        "invalid_client_metadata",
        "invalid_grant",
        "invalid_redirect_uri",
        "invalid_request",
        "invalid_scope",
        "invalid_software_statement",
        "invalid_target",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unapproved_software_statement",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
        "unsupported_token_type",
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::KNOWN.into_iter().find(|known| *known == text).map(Self)
    }
}
