//! The caller of the request that this task handles, for MCP servers that do not pass the extensions of
//! a request on. Asking the guard again in their place would verify each token twice, and make a 401 of
//! an outage that begins in between.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use clerk_mcp_tools::AuthInfo;

tokio::task_local! {
    static CALLER: Option<AuthInfo>;
}

/// An axum middleware for the inside of the guard.
pub(crate) async fn set(request: Request, next: Next) -> Response {
    let caller = request.extensions().get().cloned();
    CALLER.scope(caller, next.run(request)).await
}

/// Returns the caller, or `None` outside of a guarded request or in another task.
pub(crate) fn current() -> Option<AuthInfo> {
    CALLER.try_with(Clone::clone).ok().flatten()
}
