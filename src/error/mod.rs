//! What can go wrong: when something is built, when a token is verified, when Clerk is asked.

mod clerk;
mod config;
mod verify;

pub use clerk::{ClerkError, ClerkErrorKind};
pub use config::{ConfigError, ConfigErrorKind};
pub use verify::{VerifyError, VerifyErrorKind};
