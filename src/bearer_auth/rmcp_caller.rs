//! The caller as an argument of a tool or prompt of rmcp (feature `rmcp`).

use http::request::Parts;
use rmcp::ErrorData;
use rmcp::handler::server::common::{AsRequestContext, FromContextPart};

use crate::oauth::AuthInfo;

/// The optional caller of a tool or prompt of rmcp (feature `rmcp`).
///
/// As an argument, [`AuthInfo`] itself is for servers over HTTP whose callers all have a token. This
/// one is also for those where tokens are [optional](crate::bearer_auth::BearerAuthLayer::optional),
/// and for servers over stdio, which have no HTTP request and so no token: the process runs as the
/// user who started it.
///
/// Over HTTP, a call that did not pass the layers of this crate is an error with either argument, so
/// that a mistake in the wiring does not turn every caller into an anonymous one.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::AuthInfo;
/// use clerk_mcp_tools::bearer_auth::OptionalCaller;
/// use rmcp::{ServerHandler, tool, tool_handler, tool_router};
///
/// #[derive(Clone)]
/// struct Tools;
///
/// #[tool_router]
/// impl Tools {
///     #[tool(description = "Returns who calls; only over HTTP")]
///     async fn whoami(&self, caller: AuthInfo) -> String {
///         caller.principal().id().to_owned()
///     }
///
///     #[tool(description = "Greets the caller; also over stdio")]
///     async fn hello(&self, OptionalCaller(caller): OptionalCaller) -> String {
///         match caller {
///             Some(caller) => format!("hello {}", caller.principal().id()),
///             None => "hello".to_owned(),
///         }
///     }
/// }
///
/// #[tool_handler]
/// impl ServerHandler for Tools {}
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionalCaller(pub Option<AuthInfo>);

/// The caller as an argument of a tool or prompt of rmcp (feature `rmcp`).
///
/// A call over stdio, or without a token where tokens are optional, is answered with an error;
/// [`OptionalCaller`] serves them.
impl<C: AsRequestContext> FromContextPart<C> for AuthInfo {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        let Some(parts) = http_parts(context) else {
            let problem = "this tool or prompt needs a signed-in caller, which calls over stdio do not \
                           have: call it over HTTP";
            return Err(ErrorData::invalid_request(problem, None));
        };
        let problem = "this tool or prompt needs an access token: sign in";
        caller(parts)?.ok_or_else(|| ErrorData::invalid_request(problem, None))
    }
}

impl<C: AsRequestContext> FromContextPart<C> for OptionalCaller {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        http_parts(context).map_or(Ok(None), caller).map(Self)
    }
}

/// Returns the parts of the HTTP request. `None` over stdio.
fn http_parts<C: AsRequestContext>(context: &C) -> Option<&Parts> {
    context.as_request_context().extensions.get()
}

fn caller(parts: &Parts) -> Result<Option<AuthInfo>, ErrorData> {
    match AuthInfo::from_guarded_parts(parts) {
        Ok(caller) => Ok(caller.cloned()),
        Err(error) => {
            tracing::error!(%error, "a tool or prompt is not guarded");
            Err(ErrorData::internal_error("the server is not guarded", None))
        }
    }
}
