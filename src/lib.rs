//! clerk-mcp-tools
mod clock;
mod error;
mod publishable_key;
pub use clock::{Clock, SystemClock};
pub use error::{ClerkError, ClerkErrorKind, ConfigError, ConfigErrorKind, VerifyError, VerifyErrorKind};
pub use publishable_key::{Environment, PublishableKey};
#[cfg(feature = "testing")]
pub mod testing;
