//! A layer that asks for the scopes of an operation before the MCP server behind it hears of it.
//!
//! It stands inside [`BearerAuthLayer`](crate::bearer_auth::BearerAuthLayer), finds out what a request asks for, and lets it pass if
//! the caller's token allows that by the rules of an [`AccessPolicy`](crate::AccessPolicy). If not, the answer is
//! the 403 `insufficient_scope` on which a client of MCP asks its user for more, with all scopes in one challenge.
//!
//! | request | answer |
//! | --- | --- |
//! | any other method than `POST` | the service answers, and gets the body as it comes |
//! | a body of more than [the limit](AccessPolicyLayer::max_body_bytes) | 413 |
//! | a body that is no JSON in UTF-8, or that has a `Content-Encoding` | 400, JSON-RPC error -32700 |
//! | JSON that is no message of MCP, or one that can be understood in two ways | 400, JSON-RPC error -32600 |
//! | `Mcp-Method` or `Mcp-Name` that do not say what the body says | 400, JSON-RPC error -32020 |
//! | an operation that needs scopes which the token does not have | 403 `insufficient_scope`, with every scope needed |
//! | an operation that needs scopes, without a token (where tokens are optional) | 401 and a challenge without `error` |
//! | everything else | the service answers, and gets the body byte for byte |
//!
//! # What counts as the operation
//!
//! The body tells: `method`, and `params.name` or `params.uri`. The headers `Mcp-Method` and `Mcp-Name` (MCP 2026-07-28)
//! are the caller's claim, so they have to agree as far as they are there; with a batch, which that version does not
//! have, they never do. Of a batch every operation counts. It may hold 100 messages. A client's answers and
//! notifications without a rule need only the baseline.
//!
//! Whatever the service could take for a call has to be seen by this layer as that call. Therefore:
//!
//! - A member that stands there twice, or once more in other case (`Method`), is refused, and so are parameters by
//!   position, a `method` that is no text, and a call that does not name its tool.
//! - Every `POST` is read, whatever its content type says, since not every server looks at it. A body that is no JSON
//!   passes only if its content type is another one, no `Mcp-` header claims an operation, and no byte of it is a `{`: then
//!   it is no call, however leniently it is read.
//! - A body with a `Content-Encoding` is refused, since who decodes it reads another one. A layer that decompresses
//!   requests, rewrites bodies or overrides methods belongs outside this one.
//! - Names are compared byte by byte. A server that is more generous (case, white space, Unicode forms) needs
//!   [`AccessPolicy::default_scopes`](AccessPolicyBuilder::default_scopes).
//!
//! Without any rule the layer does nothing at all, and no body is read.
//!
//! # Time and memory
//!
//! A body is kept in memory up to the limit, once, and not copied if it came in one piece. Only callers that the bearer
//! layer has let in get that far. The layer has no clock: how long a slow body may take is for the server's own timeouts
//! to say.
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
//! let rules = AccessPolicy::builder().tool("delete_file", Scopes::parse("files:write")?).build()?;
//! let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
//! let service = ServiceBuilder::new()
//!     // Around it: `BearerAuthLayer`, which puts the `AuthInfo` there.
//!     .layer(AccessPolicyLayer::new(rules, resource).required_scopes(Scopes::parse("profile")?))
//!     .service(service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
//!     }));
//!
//! let body = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "delete_file"}}"#;
//! let mut request = Request::new(Full::from(body));
//! *request.method_mut() = Method::POST;
//! let caller = AuthInfo::for_user("user_1", "token".into()).client_id("client_1").scopes(Scopes::parse("profile")?).build();
//! request.extensions_mut().insert(caller);
//!
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), StatusCode::FORBIDDEN);
//! assert!(response.headers()["www-authenticate"].to_str()?.ends_with("scope=\"profile files:write\""));
//! # Ok(())
//! # }
//! ```

mod body;
mod enforcer;
mod future;
mod layer;
mod request_body;
mod service;

pub use future::AccessPolicyFuture;
pub use layer::AccessPolicyLayer;
pub use request_body::RequestBody;
pub use service::AccessPolicyService;

pub use crate::mcp::{AccessPolicyBuilder, Operation};
