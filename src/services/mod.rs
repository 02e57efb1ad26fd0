//! Services that answer with the metadata documents, and a layer that puts them where clients look.
//!
//! Each answers `GET` and `HEAD` with 200 and the document, `OPTIONS` with 204, and other methods with 405; any page in
//! a browser may read the answers.

mod authorization_server;
mod cors_preflight;
mod document;
mod protected_resource;
mod well_known;

pub use authorization_server::{AuthorizationServerFuture, AuthorizationServerService};
pub use cors_preflight::CorsPreflightService;
pub use protected_resource::ProtectedResourceService;
pub use well_known::{
    WellKnown, WellKnownFuture, WellKnownLayer, WellKnownService, WellKnownServiceFuture,
};

pub use crate::response::cors::metadata_cors_headers;
