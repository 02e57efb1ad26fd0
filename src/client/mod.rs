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

#[allow(dead_code, reason = "connections use them, and are not here yet")]
mod seal;
#[allow(dead_code, reason = "connections use them, and are not here yet")]
mod store;

pub use seal::{KeyId, SealError, SealingKeys};
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
