//! The rules for Clerk's credentials that are not OAuth access tokens.

mod api_keys;
mod machine_tokens;
mod session_tokens;

pub use api_keys::ApiKeys;
pub(super) use api_keys::no_scopes as no_api_key_scopes;
pub use machine_tokens::MachineTokens;
pub use session_tokens::SessionTokens;
pub(super) use session_tokens::missing as missing_parties;
