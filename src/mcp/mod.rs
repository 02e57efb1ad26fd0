//! MCP messages: the operation that a request's headers and body ask for, and the scopes it needs.
//!
//! Pure functions, without I/O.

mod headers;
mod members;
mod message;
mod operation;
mod policy;
mod request_id;

pub(crate) use headers::McpHeaders;
pub(crate) use message::{InvalidBody, Message};
pub use operation::Operation;
pub(crate) use operation::OperationTarget;
pub use policy::{AccessPolicy, AccessPolicyBuilder};
pub(crate) use request_id::RequestId;
