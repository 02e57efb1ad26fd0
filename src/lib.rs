//! clerk-mcp-tools
mod audience;
mod auth_info;
pub mod bearer_auth;
mod body;
mod challenge;
mod clerk;
mod clerk_mcp;
mod clock;
mod cors;
mod cors_headers;
mod error;
mod freshness;
mod frontend_api;
mod jwks;
mod jwt;
mod metadata;
pub mod metadata_service;
mod publishable_key;
mod rejection;
mod resolve;
mod resource;
mod scope;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod verify;

pub use audience::Audience;
pub use auth_info::{Actor, AuthInfo, AuthInfoBuilder};
pub use bearer_auth::BearerAuthLayer;
pub use body::{NoInner, ResponseBody};
pub use challenge::BearerChallenge;
pub use clerk::{
    ClerkClient, ClerkClientBuilder, ClerkVerifier, ClerkVerifierBuilder, EmailAddress, User,
    fetch_clerk_authorization_server_metadata, verify_clerk_token,
};
pub use clerk_mcp::{ClerkMcp, ClerkMcpBuilder};
pub use clock::{Clock, SystemClock};
pub use cors::CorsPreflightService;
pub use cors_headers::CORS_HEADERS;
pub use error::{ClerkError, ClerkErrorKind, ConfigError, ConfigErrorKind, VerifyError, VerifyErrorKind};
pub use frontend_api::FrontendApi;
pub use metadata::{
    AUTHORIZATION_SERVER_WELL_KNOWN, AuthorizationServerMetadata, PROTECTED_RESOURCE_WELL_KNOWN,
    ProtectedResourceMetadata, ProtectedResourceMetadataBuilder, protected_resource_metadata_url,
    well_known_paths,
};
pub use metadata_service::{
    AuthorizationServerService, ProtectedResourceService, WellKnownLayer, WellKnownService,
};
pub use publishable_key::{Environment, PublishableKey};
pub use rejection::{Rejection, RejectionReason};
pub use resolve::{ResolveResource, ResourcesByHost};
pub use resource::ResourceUrl;
pub use scope::{ScopeHierarchy, Scopes};
pub use secret::{AccessToken, SecretKey};
pub use verify::{TokenRequest, VerifyToken};
