//! A layer that enforces an access policy for each operation before the request reaches the MCP
//! server.
//!
//! It belongs inside [`BearerAuthLayer`](crate::bearer_auth::BearerAuthLayer). It determines the
//! operation that a request asks for, and passes the request if the scopes of the caller's token
//! allow it by an [`AccessPolicy`](crate::AccessPolicy). Otherwise it responds with 403
//! `insufficient_scope`, which makes an MCP client ask its user for more, with all scopes in one
//! challenge.
//!
//! | request | response |
//! | --- | --- |
//! | no body, by any method other than `POST` | the service's |
//! | a body in a `GET`, `HEAD`, `DELETE`, `OPTIONS` or `TRACE` | 400, JSON-RPC error -32600 |
//! | an upgrade to another protocol than `h2c`, or `CONNECT` | 403 `upgrade_not_allowed`, without a challenge |
//! | a body larger than [the limit](AccessPolicyLayer::max_body_bytes) | 413 |
//! | a body that does not [arrive in time](AccessPolicyLayer::body_timeout) | 408 |
//! | a body for which there is [no memory](AccessPolicyLayer::max_total_body_bytes) | 503 with `Retry-After` |
//! | a body that is not JSON in UTF-8, or that has a `Content-Encoding` | 400, JSON-RPC error -32700 |
//! | JSON that is not an MCP message, or that JSON parsers read differently | 400, JSON-RPC error -32600 |
//! | `Mcp-Method` or `Mcp-Name` that contradict the body | 400, JSON-RPC error -32020 |
//! | an operation that the policy denies to everybody | 403, JSON-RPC error -32000, without a challenge |
//! | an operation that needs scopes the token does not have | 403 `insufficient_scope`, with every required scope |
//! | an operation for members, of a caller whose token names no organization because `user:org:read` was not granted | 403 `insufficient_scope` that names it |
//! | an operation for members, of a caller who is not a member or whose role does not suffice | 403, JSON-RPC error -32000, without a challenge |
//! | an operation for members, while memberships cannot be looked up | 503 with `Retry-After` |
//! | without a token (where tokens are optional), an operation that needs scopes | 401 and a challenge without `error` |
//! | everything else | the service's; it gets the body byte for byte |
//!
//! A rejected tool call may be answered [with a tool result](AccessPolicyLayer::rejection_format)
//! in place of the 401 or 403. Lists pass as the service writes them, unless the layer is told to
//! [declare what tools need](AccessPolicyLayer::security_schemes_in_lists) or to [leave out what
//! the caller may not use](AccessPolicyLayer::filter_lists).
//!
//! # What counts as the operation
//!
//! The body decides: `method`, and the name or URI in `params`. [`AccessPolicy`](crate::AccessPolicy)
//! lists which methods have one. The headers `Mcp-Method` and `Mcp-Name` (MCP 2026-07-28) have to
//! agree with it if they are present. With a batch, which that version does not have, they never
//! agree. Every operation of a batch counts, and a batch may have at most 100 messages.
//!
//! Whatever the service could take for a call has to be seen by this layer as that call. Therefore:
//!
//! - A duplicate member, also one that differs in case (`Method`), is rejected, and so are
//!   parameters by position, and a `method`, name or URI that is not a string. A call without a
//!   name reaches the service if the caller may call every tool, and the service answers it.
//! - Some servers read a body line by line, as they read standard input. A line of the body that is
//!   a message by itself therefore counts as one, besides the message that all lines are together.
//! - Every body is read, whatever the method and the content type, since not every server checks
//!   them. A body that is not JSON passes only if its content type is another one, no `Mcp-` header
//!   names an operation, and it contains no `{`. Then it is not a call, however leniently it is
//!   parsed.
//! - A body with a `Content-Encoding` is rejected, since decoding may yield another message. A
//!   layer that decompresses requests, rewrites bodies or overrides methods belongs outside this
//!   one.
//! - Names are compared byte by byte. A server that is more lenient (case, white space, Unicode
//!   normalization) needs a policy that [denies by
//!   default](crate::AccessPolicy::deny_by_default).
//!
//! With a policy without rules whose default is the baseline, the layer does nothing, and no body is
//! read.
//!
//! # Time and memory
//!
//! A body is kept in memory once, up to the limit, and is not copied if it arrives in one frame.
//! All bodies that are being read at the same time share a budget, and each has a time limit. Only
//! requests that the bearer layer has passed get this far, and those with a token that has expired
//! or lacks a scope. Where a rejected call is answered with a tool result, so do calls without a
//! valid token; of their bodies 16 KiB are read, which do not count against the budget.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use clerk_mcp_tools::access_policy::{AccessPolicyLayer, RequestBody};
//! use clerk_mcp_tools::{AccessPolicy, AuthInfo, ResourceUrl, Scopes};
//! use http::{Method, Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = AccessPolicy::deny_by_default()
//!     .tool("delete_file", Scopes::parse("files:write")?)
//!     .build()?;
//! let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
//! let service = ServiceBuilder::new()
//!     // `BearerAuthLayer` belongs here: it adds the `AuthInfo` to the request.
//!     .layer(AccessPolicyLayer::new(policy, resource).required_scopes(Scopes::parse("profile")?))
//!     .service(service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
//!     }));
//!
//! let body = r#"{
//!     "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "delete_file"}
//! }"#;
//! let mut request = Request::new(Full::from(body));
//! *request.method_mut() = Method::POST;
//! let caller = AuthInfo::for_user("user_1", "token".into()).scopes(Scopes::parse("profile")?);
//! request.extensions_mut().insert(caller.build());
//!
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), StatusCode::FORBIDDEN);
//! let challenge = response.headers()["www-authenticate"].to_str()?;
//! assert!(challenge.ends_with("scope=\"profile files:write\""));
//! # Ok(())
//! # }
//! ```

mod body;
mod enforcer;
mod future;
mod layer;
mod membership;
mod message;
mod request_body;
mod rewriter;
mod service;
mod step_up;

pub use future::AccessPolicyFuture;
pub use layer::AccessPolicyLayer;
pub use request_body::RequestBody;
pub use service::AccessPolicyService;
pub use step_up::StepUp;

pub use crate::mcp::{AccessPolicyBuilder, MemberRequirement, Operation, Requirement};
pub use crate::oauth::LookUpMembership;
