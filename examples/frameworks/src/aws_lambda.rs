//! AWS Lambda behind an API Gateway (HTTP API), with an MCP server made with rmcp. `lambda_http::run`
//! takes the router as it is.
//!
//! - The next request may reach another instance, so a server without sessions is the only one that
//!   works (`NeverSessionManager`).
//! - **The stage of a deployment is a part of the path** (`/prod/mcp`), also of the well-known paths,
//!   where no client looks for the documents. Use the stage `$default` or a domain of your own; with
//!   `AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH` set, lambda_http leaves the stage out.
//! - A REST API of the API Gateway renames the header `WWW-Authenticate`: use an HTTP API.
//! - Do not set up an authorizer or CORS in the gateway: both answer before the guard does, and a
//!   client never sees the challenge. Route `$default`, so that the well-known paths arrive as well.
//! - A frozen instance refreshes nothing. After a pause the first request may have to wait for Clerk's
//!   keys, or `CLERK_JWT_KEY` has one.

use std::io;

use axum::Router;
use clerk_mcp_tools::ClerkMcp;

use crate::notes;

pub(crate) async fn run(clerk: ClerkMcp) -> io::Result<()> {
    lambda_http::run(router(&clerk)).await.map_err(io::Error::other)
}

/// Returns the guarded server and the metadata documents.
pub(crate) fn router(clerk: &ClerkMcp) -> Router {
    clerk.mount(Router::new(), notes::service(clerk))
}
