//! The vocabulary of an OAuth resource server: scopes, audiences, resource URLs, access tokens and
//! verified callers (RFC 6749, RFC 6750, RFC 8707, RFC 9728).

mod access_token;
mod audience;
mod auth_info;
mod guard;
mod membership;
mod resolve;
mod resource_url;
mod resources;
mod scope;
mod token68;
mod token_type;
mod verify;

pub use access_token::AccessToken;
pub(crate) use access_token::REDACTED;
pub use audience::Audience;
pub(crate) use audience::AudienceMismatch;
pub use auth_info::{
    Actor, AuthInfo, AuthInfoBuilder, InsufficientScope, Organization, Principal, PrincipalKind,
};
pub use guard::NotGuarded;
pub(crate) use guard::{PolicyPending, is_guarded, mark_as_guarded};
pub(crate) use membership::ORGANIZATION_SCOPE;
pub use membership::{LookUpMembership, Membership, PermissionError};
pub use resolve::{ResolveResource, ResourcesByHost};
pub use resource_url::ResourceUrl;
pub(crate) use resource_url::{check_origin, is_loopback, parse_uri};
pub(crate) use resources::Resources;
pub(crate) use scope::OFFLINE_ACCESS;
pub use scope::{ScopeHierarchy, Scopes};
pub use token_type::TokenType;
pub(crate) use token68::{MAX_TOKEN_BYTES, check_token68};
pub(crate) use verify::OwnedTokenRequest;
pub use verify::{TokenRequest, VerifyToken};
