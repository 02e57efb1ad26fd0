//! Behaviour tests, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod support;

mod access_policy;
mod answers;
mod auth_info;
mod config;
mod corpus;
mod cors;
mod fake_clerk;
mod faults;
mod imports;
mod jwt;
mod keys;
mod layer;
mod metadata;
mod metrics;
mod opaque;
mod properties;
mod rmcp_client;
mod runtimes;
mod secrets;
mod token_cache;
mod users;
