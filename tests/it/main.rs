//! Integration tests, in one binary. Each module covers one part of the crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(clippy::duplicate_mod, reason = "two examples share their `support` module")]

mod support;

mod access_policy;
mod auth_info;
mod axum_handlers;
mod bearer_auth;
mod browser_page;
mod client;
mod client_stores;
mod config;
mod corpus;
mod cors;
mod credentials;
mod day_without_clerk;
mod decisions;
mod environment;
mod example_credentials;
mod expired_tokens;
mod fake_clerk;
mod faults;
mod imports;
mod initial_scopes;
mod introspection;
mod jwks;
mod jwt;
mod key_changes;
mod lists;
mod logs;
mod metadata;
mod metrics;
mod organizations;
mod properties;
mod readiness;
mod rejection_format;
mod responses;
mod rmcp_arguments;
mod rmcp_client;
mod runtimes;
mod secrets;
mod sessions;
mod step_up;
mod token_cache;
mod users;
mod wiring;
mod without_tower;
