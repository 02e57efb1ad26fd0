//! Services that serve the metadata documents, and a layer that serves them at their well-known
//! paths.
//!
//! Each responds to `GET` and `HEAD` with 200 and the document, to `OPTIONS` with 204, and to other
//! methods with 405. Pages of every origin may read the responses.

mod authorization_server;
mod cors_preflight;
mod document;
mod metadata_future;
mod protected_resource;
mod well_known;

pub use authorization_server::AuthorizationServerService;
pub use cors_preflight::CorsPreflightService;
pub use metadata_future::MetadataFuture;
pub use protected_resource::ProtectedResourceService;
pub use well_known::{WellKnown, WellKnownFuture, WellKnownLayer, WellKnownService};

pub use crate::response::cors::metadata_cors_headers;
