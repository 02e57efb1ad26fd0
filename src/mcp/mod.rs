//! MCP messages: the operations that a request's headers and body ask for, and what they need.
//!
//! Pure functions, without I/O.

mod headers;
mod list;
mod member;
mod members;
mod message;
mod operation;
mod policy;
mod request_id;
mod requirement;

pub(crate) use headers::McpHeaders;
pub(crate) use list::{ListKind, ListRewrite, SecuritySchemes};
pub use member::MemberRequirement;
pub(crate) use message::{InvalidBody, Message};
pub use operation::Operation;
pub(crate) use operation::{OperationTarget, REQUEST_METHODS};
pub use policy::{AccessPolicy, AccessPolicyBuilder};
pub(crate) use request_id::RequestId;
pub(crate) use requirement::Lacking;
pub use requirement::Requirement;
