//! The Clerk instance that a server belongs to: its keys, and the addresses of its two APIs.

mod backend_api;
mod base_url;
mod frontend_api;
mod machine;
mod oauth_client;
pub(crate) mod publishable_key;
pub(crate) mod secret_key;

pub use backend_api::BackendApi;
pub use frontend_api::FrontendApi;
pub use machine::{MachineId, MachineSecretKey};
pub use oauth_client::OAuthClientSecret;
pub(crate) use oauth_client::check_client_id;
pub use publishable_key::InstanceType;
pub(crate) use publishable_key::PublishableKey;
pub(crate) use secret_key::SecretKey;
