//! Which Clerk instance: its keys and the origin of its Frontend API.

mod frontend_api;
mod publishable_key;
mod secret_key;

pub use frontend_api::FrontendApi;
pub(crate) use frontend_api::check_base_url;
pub use publishable_key::{Environment, PublishableKey};
pub use secret_key::SecretKey;
