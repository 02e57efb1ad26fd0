//! What a request asks an MCP server to do, read from its headers and from its body, and which scopes that needs. Pure.

mod headers;
mod members;
mod message;
mod operation;
mod policy;
mod request_id;

pub(crate) use headers::McpHeaders;
pub(crate) use message::{Message, Unreadable};
pub use operation::Operation;
pub(crate) use operation::OperationTarget;
pub use policy::{AccessPolicy, AccessPolicyBuilder};
pub(crate) use request_id::RequestId;
