//! The client side: sign-ins of users at guarded servers, and their tokens, with the fake Clerk as
//! authorization server.

mod callbacks;
mod discovery;
mod hostile;
mod http_client;
mod interleavings;
mod outages;
mod rmcp_sessions;
mod services;
mod sign_in;
pub(crate) mod support;
mod tokens;
mod without_refresh_token;
