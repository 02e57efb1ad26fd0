//! The two metadata documents from which a client learns where to sign in, and their paths.
//!
//! Pure data, without I/O. The services that serve these documents are
//! [`ProtectedResourceService`](crate::services::ProtectedResourceService) and
//! [`AuthorizationServerService`](crate::services::AuthorizationServerService).

mod authorization_server;
mod protected_resource;
mod well_known;

pub use authorization_server::AuthorizationServerMetadata;
pub use protected_resource::{ProtectedResourceMetadata, ProtectedResourceMetadataBuilder};
pub use well_known::{
    AUTHORIZATION_SERVER_WELL_KNOWN, PROTECTED_RESOURCE_WELL_KNOWN,
    protected_resource_metadata_url, well_known_paths,
};
