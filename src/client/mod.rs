//! The client side of MCP for web applications: connections of an application's users to MCP
//! servers, with OAuth tokens that any of the application's processes can use.
//!
//! **This module is younger than the rest of the crate and is not covered by its semantic
//! versioning yet**: a minor release may change it. It needs the feature `client`. Nothing in it
//! is particular to Clerk.
//!
//! # What is stored, and how
//!
//! Sign-ins in progress, connections with their tokens, client registrations and leases are
//! records of a [`Store`]. What is kept in one is encrypted before a store sees it, with
//! [`SealingKeys`], so that neither a dump of the database nor an adapter has a token; the keys of
//! records are hashes under a key, so that a dump names no user and no server either.
//!
//! | store | for | feature |
//! | --- | --- | --- |
//! | [`MemoryStore`] | tests, and one process whose users may sign in again after a restart | `client` |
//! | `SqliteStore` | the processes of one machine | `client-sqlite` |
//! | `PostgresStore` | any number of machines | `client-postgres` |
//! | `RedisStore` | any number of machines, if what Redis confirms is not lost | `client-redis` |
//!
//! [`Store`] can be implemented for any database that can compare and set; the testing feature has
//! the suite that checks one.

mod binding;
mod builder;
mod callback;
mod callback_service;
mod challenge;
mod client_metadata_service;
mod complete;
mod connection;
mod connections;
mod counters;
mod disconnect;
mod discovery;
mod egress;
mod engine;
mod error;
mod failure;
mod form;
mod http;
mod http_client;
mod lease;
mod login;
mod memory;
mod owner;
mod record;
mod refresh;
mod registered_client;
mod registration;
mod renewal;
mod reseal;
#[cfg(feature = "client-rmcp")]
mod rmcp;
mod seal;
mod server_body;
mod store;
mod token_endpoint;
mod vault;

pub use binding::BrowserBinding;
pub use builder::ConnectionsBuilder;
pub use callback::Callback;
pub use callback_service::{CallbackService, IdentifyOwner};
pub use client_metadata_service::ClientMetadataService;
pub use connection::{Connection, ConnectionInfo, ConnectionState};
pub use connections::{Begun, Completed, Connections};
pub use counters::ClientSnapshot;
pub use disconnect::Disconnected;
pub use egress::Egress;
pub use error::{
    CallError, CallErrorKind, CallbackError, CallbackErrorKind, LoginError, LoginErrorKind,
    LoginReason, TokenError, TokenErrorKind,
};
pub use http_client::HttpClient;
pub use login::{LoginOptions, LoginRedirect, ReturnPathError};
pub use owner::{Owner, ServerUrl, ServerUrlError};
pub use registered_client::RegisteredClient;
pub use reseal::Resealed;
#[cfg(feature = "client-rmcp")]
pub use rmcp::{AuthorizationError, Authorized};
pub use seal::{KeyId, SealError, SealingKeys};
pub use server_body::ServerBody;
#[cfg(feature = "client-postgres")]
pub use store::PostgresStore;
#[cfg(feature = "client-redis")]
pub use store::RedisStore;
#[cfg(feature = "client-sqlite")]
pub use store::SqliteStore;
pub use store::{
    Expect, MemoryStore, OwnerTag, Record, RecordKey, Revision, Saved, ScanCursor, ScanPage, Store,
    StoreError, StoreErrorKind,
};

/// For the fuzz target of this parser.
#[cfg(fuzzing)]
pub(crate) fn parse_challenge(
    header: &::http::HeaderValue,
) -> Option<(Option<String>, Option<crate::oauth::Scopes>)> {
    let found = challenge::Challenge::parse(header)?;
    Some((found.resource_metadata, found.scopes))
}
