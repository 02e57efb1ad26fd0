//! Guides for setting up, building, testing and running a guarded MCP server.
//!
//! This module exists in the documentation only; it adds nothing to a build.
//!
//! | guide | answers |
//! | --- | --- |
//! | [`setup`] | What has to be set in Clerk, and which environment variables the server reads |
//! | [`rmcp`] | How to guard an rmcp server, and how a tool learns who is calling |
//! | [`handlers`] | How to verify tokens in a handler, or tokens that are not Clerk's |
//! | [`frameworks`] | How to guard a server of tower-mcp, pmcp, rust-mcp-sdk, poem, salvo, actix-web or AWS Lambda |
//! | [`machines`] | Which credential a CI job, n8n, a service or your own frontend uses |
//! | [`access_policy`] | Which scopes a request, a tool, a prompt or a resource needs |
//! | [`organizations`] | Rules about roles and permissions, and calls to other services for the caller |
//! | [`testing`] | How to test a server without a Clerk account |
//! | [`client`] | How a web application connects its users to MCP servers |
//! | [`deployment`] | Proxies, probes, several hosts or endpoints, limits |
//! | [`operation`] | Logs, spans, metrics, and an audit log |
//! | [`rejections`] | What a rejected request means, and what to do about it |
//! | [`defaults`] | Every default value and every limit |
//! | [`revocation`] | How late a revoked token, key or scope is noticed |
//! | [`threat_model`] | Which attackers are considered, and what is left to the deployment |
//! | [`speed`] | What verifying a token costs, here and with other crates |
//! | [`migration`] | Which names of `@clerk/mcp-tools` correspond to which names here |
//!
//! # The flow of a request
//!
//! <div>
#![doc = include_str!("../../docs/flow.svg")]
//! </div>
//!
//! 1. An MCP client sends its first request without a token. The answer is a 401 whose
//!    `WWW-Authenticate` header names the metadata document and the scopes (RFC 6750, RFC 9728).
//! 2. The client fetches the document, learns that Clerk is the authorization server, and sends its
//!    user there to sign in and to consent. It names the endpoint in the `resource` parameter
//!    (RFC 8707), and Clerk issues a token for that resource.
//! 3. The client repeats the request with the token. The layer verifies it and passes the request
//!    on, with an [`AuthInfo`](crate::AuthInfo) in its extensions.
//! 4. If an [`AccessPolicy`](crate::AccessPolicy) asks for more scopes than the token has, the
//!    answer is a 403 that names all of them, and a client that supports it asks its user for more.

#[doc = include_str!("setup.md")]
pub mod setup {}

#[doc = include_str!("rmcp.md")]
pub mod rmcp {}

#[doc = include_str!("handlers.md")]
pub mod handlers {}

#[doc = include_str!("frameworks.md")]
pub mod frameworks {}

#[doc = include_str!("machines.md")]
pub mod machines {}

#[doc = include_str!("access_policy.md")]
pub mod access_policy {}

#[doc = include_str!("organizations.md")]
pub mod organizations {}

#[doc = include_str!("testing.md")]
#[cfg_attr(
    not(feature = "testing"),
    allow(rustdoc::broken_intra_doc_links, reason = "it links to items of that feature")
)]
pub mod testing {}

#[doc = include_str!("client.md")]
#[cfg_attr(
    not(feature = "client-rmcp"),
    allow(rustdoc::broken_intra_doc_links, reason = "it links to items of that feature")
)]
pub mod client {}

#[doc = include_str!("deployment.md")]
pub mod deployment {}

#[doc = include_str!("operation.md")]
pub mod operation {}

#[doc = include_str!("rejections.md")]
pub mod rejections {}

#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[doc = include_str!("revocation.md")]
pub mod revocation {}

#[doc = include_str!("threat_model.md")]
pub mod threat_model {}

#[doc = include_str!("speed.md")]
pub mod speed {}

#[doc = include_str!("migration.md")]
pub mod migration {}
