//! Who a caller is, as a key.

use std::fmt;
use std::sync::Arc;

/// The kind of a [`Principal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// A user, such as `user_2abc`.
    User,
    /// An organization, such as `org_2abc`.
    Organization,
    /// A machine, such as `mch_2abc`.
    Machine,
}

/// The user, organization or machine that makes a request, of one issuer.
///
/// It is the same for all tokens of a caller, and differs between any two callers, so it can be a
/// key: of a rate limit, of a session, of what a server keeps for its callers. `Display` writes the
/// issuer, the kind and the id, in this order and separated by spaces, for stores that need a
/// string.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{AuthInfo, PrincipalKind};
///
/// let caller = AuthInfo::for_user("user_1", "oat_secret".into())
///     .issuer("https://clerk.example.com")
///     .build();
/// let principal = caller.principal();
/// assert_eq!((principal.kind(), principal.id()), (PrincipalKind::User, "user_1"));
/// assert_eq!(principal.to_string(), "https://clerk.example.com user user_1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    issuer: Option<Arc<str>>,
    kind: PrincipalKind,
    id: String,
}

impl Principal {
    pub(super) fn new(kind: PrincipalKind, id: String) -> Self {
        Self { issuer: None, kind, id }
    }

    pub(super) fn set_issuer(&mut self, issuer: Arc<str>) {
        self.issuer = Some(issuer);
    }

    /// Returns the issuer of the token (claim `iss`), such as `https://clerk.example.com`. `None` if
    /// the verifier did not set it; [`ClerkVerifier`](crate::ClerkVerifier) always does.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns whether it is a user, an organization or a machine.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// Returns the id, such as `user_2abc` (claim `sub`).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.issuer().unwrap_or("-"), self.kind, self.id)
    }
}

impl fmt::Display for PrincipalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Organization => "organization",
            Self::Machine => "machine",
        })
    }
}
