//! The errors of this crate: building (`ConfigError`), verifying a token (`VerifyError`) and
//! calling Clerk (`ClerkError`).

mod clerk;
mod config;
mod verify;

pub use clerk::{ClerkError, ClerkErrorKind};
pub(crate) use config::check_quotes_and_white_space;
pub use config::{ConfigError, ConfigErrorKind};
pub use verify::{VerifyError, VerifyErrorKind};
