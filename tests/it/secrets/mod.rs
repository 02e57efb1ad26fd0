//! Tokens and keys must not appear in logs, errors, responses or `Debug` output.

mod config_errors;
mod connections;
mod debug_output;
pub(crate) mod log_capture;
pub(crate) mod secret_finder;
mod traffic;
