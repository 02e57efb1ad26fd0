//! The service at the redirect URI.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use http::header::{ALLOW, CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use super::binding::{BrowserBinding, remove_cookie};
use super::callback::Callback;
use super::connections::{Completed, Connections};
use super::error::{CallbackError, CallbackErrorKind};
use super::form;
use super::login::{ReturnPathError, check_path};
use super::owner::Owner;
use crate::response::ResponseBody;

/// Finds the user who is signed in to the application.
///
/// # Example
///
/// ```
/// use async_trait::async_trait;
/// use clerk_mcp_tools::client::{IdentifyOwner, Owner};
/// use http::request::Parts;
///
/// /// What the application's own session middleware puts into the extensions of a request.
/// #[derive(Clone)]
/// struct SessionUser(String);
///
/// struct FromSession;
///
/// #[async_trait]
/// impl IdentifyOwner for FromSession {
///     async fn owner(&self, parts: &Parts) -> Option<Owner> {
///         parts.extensions.get::<SessionUser>().map(|user| Owner::new(&user.0))
///     }
/// }
/// ```
#[async_trait]
pub trait IdentifyOwner: Send + Sync + 'static {
    /// Returns the user whose session the request belongs to, and `None` if it belongs to none.
    async fn owner(&self, parts: &Parts) -> Option<Owner>;
}

/// Service for the redirect URI: completes a sign-in and sends the browser back to the application.
///
/// A user who is signed in has to be the one who began the sign-in. Without a signed-in user, the
/// browser has to be the one in which it began, which the cookie of
/// [`LoginRedirect::set_cookie`](super::LoginRedirect::set_cookie) tells.
///
/// Every response to a `GET` is a 303: to the path that the sign-in began with, or to the
/// [success path](Self::success_path); after a failure to the [error path](Self::error_path) with
/// the parameter `error`, whose value is a [word](CallbackErrorKind::word).
pub struct CallbackService<I> {
    connections: Connections,
    identify: Arc<I>,
    success_path: String,
    error_path: String,
}

impl<I: IdentifyOwner> CallbackService<I> {
    pub(super) fn new(connections: Connections, identify: I) -> Self {
        let root = || "/".to_owned();
        Self { connections, identify: Arc::new(identify), success_path: root(), error_path: root() }
    }

    /// Sets the path for sign-ins that began without one. Defaults to `/`.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not an absolute path of this application.
    pub fn success_path(mut self, path: &str) -> Result<Self, ReturnPathError> {
        check_path(path)?;
        path.clone_into(&mut self.success_path);
        Ok(self)
    }

    /// Sets the path for sign-ins that failed. Defaults to `/`.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not an absolute path of this application.
    pub fn error_path(mut self, path: &str) -> Result<Self, ReturnPathError> {
        check_path(path)?;
        path.clone_into(&mut self.error_path);
        Ok(self)
    }

    async fn respond(self, parts: Parts) -> Response<ResponseBody> {
        if parts.method != Method::GET {
            return method_not_allowed("GET");
        }
        let callback = Callback::from_query(parts.uri.query().unwrap_or_default());
        let cookie = callback.as_ref().ok().map(remove_cookie);
        let outcome = match callback {
            Ok(callback) => self.complete(&parts, callback).await,
            Err(error) => Err(error),
        };
        let location = match outcome {
            Ok(done) => done.return_to.unwrap_or(self.success_path),
            Err(error) => {
                tracing::info!(cause = %error, "a sign-in at an MCP server failed");
                form::with_query(&self.error_path, [("error", error.kind().word())])
            }
        };
        see_other(&location, cookie)
    }

    async fn complete(
        &self,
        parts: &Parts,
        callback: Callback,
    ) -> Result<Completed, CallbackError> {
        if let Some(owner) = self.identify.owner(parts).await {
            return self.connections.complete(&owner, callback).await;
        }
        match BrowserBinding::from_headers(&parts.headers, &callback) {
            Some(binding) => self.connections.complete_in_browser(binding, callback).await,
            None => {
                let detail = "there is neither a signed-in user nor the cookie of the sign-in";
                Err(CallbackError::new(CallbackErrorKind::OtherUser, detail))
            }
        }
    }
}

/// Unlike the documents of a resource, these URLs are not for scripts of other origins.
pub(super) fn method_not_allowed(allowed: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn see_other(location: &str, cookie: Option<HeaderValue>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    // Paths were checked, so the conversion never fails.
    let location = HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static("/"));
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The URL of this request has the code.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Some(cookie) = cookie {
        headers.insert(SET_COOKIE, cookie);
    }
    response
}

impl<I: IdentifyOwner, B> Service<Request<B>> for CallbackService<I> {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (service, parts) = (self.clone(), request.into_parts().0);
        Box::pin(async move { Ok(service.respond(parts).await) })
    }
}

// Not derived: the identifier need not be `Clone`.
impl<I> Clone for CallbackService<I> {
    fn clone(&self) -> Self {
        Self {
            connections: self.connections.clone(),
            identify: Arc::clone(&self.identify),
            success_path: self.success_path.clone(),
            error_path: self.error_path.clone(),
        }
    }
}

impl<I> fmt::Debug for CallbackService<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackService")
            .field("success_path", &self.success_path)
            .field("error_path", &self.error_path)
            .finish_non_exhaustive()
    }
}
