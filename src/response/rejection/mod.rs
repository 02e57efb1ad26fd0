//! Rejections: why a request was rejected, and the only place where that becomes a response.

mod label;
mod subject;
mod template;
mod tool_result;
mod wire;

use http::Response;

use crate::error::{VerifyError, VerifyErrorKind};
use crate::mcp::{Operation, RequestId};
use crate::metadata::protected_resource_metadata_url;
use crate::oauth::{
    AuthInfo, InsufficientScope, NotGuarded, PermissionError, ResourceUrl, ScopeHierarchy, Scopes,
    TokenType,
};
use crate::response::ResponseBody;
use template::ResponseTemplate;
pub(crate) use template::{ChallengeContext, ResponseTemplates};

/// Why a request was rejected, as a value to match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionReason {
    /// The request has no bearer token.
    MissingToken,
    /// The request has more than one `Authorization` header. None of them was read.
    AmbiguousCredentials,
    /// The token is not valid.
    InvalidToken(VerifyErrorKind),
    /// The token is valid but lacks a required scope.
    InsufficientScope,
    /// The access policy denies the operation, whatever the token grants.
    OperationDenied,
    /// The token is valid, but its user is not a member of the organization with the role or the
    /// permissions that the operation needs. Another sign-in does not change that by itself.
    Permission(PermissionError),
    /// The authorization server does not exchange the token for one of another service
    /// ([`ExchangeError`](crate::clerk::ExchangeError)). It may be valid here all the same.
    ExchangeRejected,
    /// What the request needs besides its token, such as the role of its user, cannot be asked for
    /// at the moment.
    AuthorizationServerUnavailable,
    /// The token cannot be verified at the moment. It may be valid.
    Unavailable,
    /// The token cannot be verified with the configuration of this server.
    Misconfigured,
    /// The request is for a host that this server does not serve.
    UnknownHost,
    /// The authorization server's metadata is not available at the moment.
    MetadataUnavailable,
    /// The request names a session that does not exist, or that belongs to another caller.
    UnknownSession,
    /// The request upgrades the connection, and the access policy could not see what follows.
    UpgradeNotAllowed,
    /// The body cannot be processed. The credentials are not at fault.
    Message(MessageError),
}

/// Why the body of a request cannot be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageError {
    /// The body is larger than the limit.
    TooLarge,
    /// The bodies that are being read take too much memory. The same request may pass later.
    NoCapacity,
    /// The body did not arrive in time.
    TimedOut,
    /// The body is not JSON, or it was cut off.
    ParseError,
    /// The body is JSON but not a message of MCP, or one that JSON parsers read differently.
    InvalidRequest,
    /// The headers `Mcp-Method` and `Mcp-Name` contradict the body.
    HeaderMismatch,
}

/// A rejected request. The response to it has the rejection in its extensions.
///
/// # Example
///
/// A server replaces the response to a rejection with a layer around it. It must keep the status
/// and `WWW-Authenticate`, from which clients learn how to sign in:
///
/// ```
/// use bytes::Bytes;
/// use clerk_mcp_tools::bearer_auth::{AccessToken, BearerAuthLayer};
/// use clerk_mcp_tools::response::ResponseBody;
/// use clerk_mcp_tools::{Rejection, ResourceUrl, VerifyError, VerifyErrorKind};
/// use http::header::{CONTENT_TYPE, HeaderValue};
/// use http::{Request, Response, StatusCode};
/// use http_body_util::{BodyExt, Either, Full};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # type Body = Full<Bytes>;
/// fn with_page(
///     response: Response<ResponseBody<Body>>,
/// ) -> Response<Either<ResponseBody<Body>, Body>> {
///     let Some(rejection) = response.extensions().get::<Rejection>() else {
///         return response.map(Either::Left);
///     };
///     let page = format!("<h1>{:?}</h1>", rejection.reason());
///     let mut response = response.map(|_| Either::Right(Full::from(page)));
///     response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
///     response
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let unknown = || VerifyError::new(VerifyErrorKind::UnknownToken);
/// # let verifier = move |_: AccessToken| async move { Err(unknown()) };
/// let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
/// let service = ServiceBuilder::new()
///     .map_response(with_page)
///     .layer(BearerAuthLayer::new(verifier, resource))
///     .service(service_fn(|_: Request<Body>| async {
///         Ok::<_, std::convert::Infallible>(Response::new(Body::default()))
///     }));
///
/// let response = service.oneshot(Request::new(Body::default())).await?;
/// assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
/// assert!(response.headers().contains_key("www-authenticate"));
/// let page = response.into_body().collect().await.unwrap().to_bytes();
/// assert_eq!(page, "<h1>MissingToken</h1>");
/// # Ok(())
/// # }
/// ```
///
/// A handler that verifies tokens itself converts its errors into a rejection, and that into the
/// response:
///
/// ```
/// use clerk_mcp_tools::bearer_auth::bearer_token;
/// use clerk_mcp_tools::{
///     AuthInfo, ClerkVerifier, Rejection, ResourceUrl, ScopeHierarchy, Scopes,
///     verify_clerk_token,
/// };
/// use http::{HeaderMap, StatusCode};
///
/// async fn caller(
///     verifier: &ClerkVerifier,
///     scopes: &Scopes,
///     headers: &HeaderMap,
/// ) -> Result<AuthInfo, Rejection> {
///     let caller = verify_clerk_token(verifier, bearer_token(headers)?).await?;
///     caller.require_scopes(scopes, &ScopeHierarchy::new())?;
///     Ok(caller)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let instance = clerk_mcp_tools::instance::FrontendApi::parse("https://clerk.example.com")?;
/// # let verifier = ClerkVerifier::builder().frontend_api(instance).build()?;
/// let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
/// let scopes = Scopes::parse("profile")?;
/// let rejection = caller(&verifier, &scopes, &HeaderMap::new()).await.unwrap_err();
/// let response = rejection.into_response(&resource, &scopes);
/// assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
/// assert_eq!(
///     response.headers()["www-authenticate"],
///     "Bearer resource_metadata=\"https://mcp.example.com/.well-known/\
///      oauth-protected-resource/mcp\", scope=\"profile\"",
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Rejection {
    reason: RejectionReason,
    error: Option<VerifyError>,
    /// `None` for most rejections, so that those of garbage stay small.
    details: Option<Box<Details>>,
}

/// What only some rejections know.
#[derive(Clone, Default)]
struct Details {
    /// The scopes that this request needs in addition to those that every request needs.
    further_scopes: Scopes,
    /// The scopes that the rejected token has, if it was issued by Clerk.
    granted: Scopes,
    /// The id of the request in the message that is at fault, if known.
    request_id: Option<RequestId>,
    /// The scopes that the caller lacks.
    missing: Scopes,
    /// The caller, if the token is valid.
    caller: Option<AuthInfo>,
    /// What the request asks for, if it was read. Bounded.
    operations: Vec<Operation<'static>>,
}

/// A rejection to which the inner service that applies the access policy responds, once it knows the
/// operation. In the extensions of a request, which must not pass.
#[derive(Clone)]
pub(crate) struct PendingRejection(pub(crate) Rejection);

/// A rejection by a handler, in the extensions of its response. The bearer layer completes it.
#[derive(Clone)]
pub(crate) struct HandlerRejection(pub(crate) Rejection);

impl Rejection {
    pub(crate) fn new(reason: RejectionReason) -> Self {
        Self { reason, error: None, details: None }
    }

    fn details_mut(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// Returns the scopes that this request needs in addition to those that every request needs.
    fn further_scopes(&self) -> Option<&Scopes> {
        self.details.as_ref().map(|details| &details.further_scopes).filter(|s| !s.is_empty())
    }

    fn request_id(&self) -> Option<&RequestId> {
        self.details.as_ref()?.request_id.as_ref()
    }

    /// Creates the rejection for a membership, or a token of another service, that cannot be had.
    pub(crate) fn not_available(error: VerifyError) -> Self {
        let reason = match error.kind() {
            VerifyErrorKind::Misconfigured => RejectionReason::Misconfigured,
            _ => RejectionReason::AuthorizationServerUnavailable,
        };
        Self { error: Some(error), ..Self::new(reason) }
    }

    /// Adds scopes that the operation needs, before those that are known already.
    pub(crate) fn needing(mut self, scopes: &Scopes) -> Self {
        if !scopes.is_empty() {
            let details = self.details_mut();
            details.further_scopes = scopes.union(&details.further_scopes);
        }
        self
    }

    /// Sets the scopes that the rejected token has.
    pub(crate) fn granted(mut self, scopes: Scopes) -> Self {
        self.details_mut().granted = scopes;
        self
    }

    /// Adds the scopes of the rejected token that are among `known`. A client that signs in again
    /// with exactly the scopes of the challenge then keeps what it was granted before (MCP
    /// 2025-11-25, authorization, section "scope challenge handling").
    pub(crate) fn keep_granted(mut self, known: &Scopes) -> Self {
        if let Some(details) = &mut self.details {
            let kept = details.granted.intersection(known);
            details.further_scopes = details.further_scopes.union(&kept);
        }
        self
    }

    /// Adds all scopes of the rejected token, where not only the rules know what they are for.
    pub(crate) fn keep_all_granted(mut self) -> Self {
        if let Some(details) = &mut self.details {
            details.further_scopes = details.further_scopes.union(&details.granted);
        }
        self
    }

    /// Sets the id of the request in the message that is at fault.
    pub(crate) fn about_request(mut self, id: Option<RequestId>) -> Self {
        if id.is_some() {
            self.details_mut().request_id = id;
        }
        self
    }

    /// Returns whether the challenge should name the scopes of the operation, which the body of the
    /// request names. No body is read for a token that Clerk did not issue.
    pub(crate) fn depends_on_operation(&self) -> bool {
        matches!(
            self.reason,
            RejectionReason::InsufficientScope
                | RejectionReason::InvalidToken(VerifyErrorKind::Expired)
        )
    }

    /// Returns whether the client has to sign its user in, and nothing is known of what the user
    /// granted before. A token that has expired says what that was.
    fn is_before_sign_in(&self) -> bool {
        use RejectionReason::{InvalidToken, MissingToken};
        matches!(self.reason, MissingToken | InvalidToken(_))
            && self.reason != InvalidToken(VerifyErrorKind::Expired)
    }

    /// Builds the response that the layers of this crate send, with its challenge, `Retry-After`
    /// and CORS headers.
    ///
    /// `baseline` are the scopes that every request to the resource needs. The challenge names them
    /// together with those that this request needs, since clients request exactly the scopes of the
    /// challenge.
    ///
    /// It is for a handler that no layer is around. [`ClerkMcp::reject`](crate::ClerkMcp::reject)
    /// also logs the rejection, and
    /// [`into_response_in_layer`](Self::into_response_in_layer) leaves the challenge to a layer.
    #[must_use]
    pub fn into_response(
        self,
        resource: &ResourceUrl,
        baseline: &Scopes,
    ) -> Response<ResponseBody> {
        let context = ChallengeContext {
            resource_metadata: protected_resource_metadata_url(resource),
            scopes: baseline.clone(),
            initial_scopes: Scopes::none(),
            cors: true,
        };
        context.respond(self)
    }

    /// Builds the response for a handler behind the layers of this crate, which know the resource:
    /// the bearer layer replaces it by the response that it would send itself, with the challenge,
    /// and logs the rejection. Headers that were added in between are lost.
    ///
    /// Without a layer, the response goes out as it is: with the status and the body, and without a
    /// challenge. With the feature `axum`, this is what a handler that returns a `Rejection` sends.
    ///
    /// # Example
    ///
    /// ```
    /// use clerk_mcp_tools::response::ResponseBody;
    /// use clerk_mcp_tools::{AuthInfo, Rejection, ScopeHierarchy, Scopes};
    /// use http::{Request, Response, StatusCode};
    ///
    /// fn delete<B>(request: &Request<B>, needed: &Scopes) -> Result<(), Response<ResponseBody>> {
    ///     let Some(caller) = request.extensions().get::<AuthInfo>() else { return Ok(()) };
    ///     caller
    ///         .require_scopes(needed, &ScopeHierarchy::new())
    ///         .map_err(|error| Rejection::from(error).into_response_in_layer())
    /// }
    /// # let caller = AuthInfo::for_user("user_1", "t".into()).build();
    /// # let mut request = Request::new(());
    /// # request.extensions_mut().insert(caller);
    /// # let response = delete(&request, &Scopes::parse("files:write")?).unwrap_err();
    /// # assert_eq!(response.status(), StatusCode::FORBIDDEN);
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    #[must_use]
    pub fn into_response_in_layer(self) -> Response<ResponseBody> {
        let mut response = ResponseTemplate::unchallenged(&self).response(self.clone());
        response.extensions_mut().insert(HandlerRejection(self));
        response
    }

    /// Returns the type of a credential that was rejected for it, if it is known.
    pub(crate) fn rejected_type(&self) -> Option<TokenType> {
        self.error.as_ref()?.rejected_type()
    }

    /// Returns why the request was rejected.
    #[must_use]
    pub fn reason(&self) -> RejectionReason {
        self.reason
    }

    /// Returns the fixed sentence that the response has, such as for the result of a tool.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.error_response().description
    }

    /// Returns the error of the verifier, if it was called.
    #[must_use]
    pub fn error(&self) -> Option<&VerifyError> {
        self.error.as_ref()
    }
}

impl From<VerifyError> for Rejection {
    fn from(error: VerifyError) -> Self {
        use VerifyErrorKind::*;
        // Every kind is listed: a new one must not become a 401 by default.
        let reason = match error.kind() {
            Unavailable => RejectionReason::Unavailable,
            Misconfigured => RejectionReason::Misconfigured,
            InsufficientScope => RejectionReason::InsufficientScope,
            kind @ (Malformed | WrongTokenType | UnsupportedAlgorithm | UnknownKey
            | InvalidSignature | InvalidIssuer | InvalidClaim | Expired | NotYetValid
            | InvalidAudience | Revoked | UnknownToken) => RejectionReason::InvalidToken(kind),
        };
        let rejection = match (error.granted_scopes(), error.lacking_scopes()) {
            (Some(scopes), _) => Self::new(reason).granted(scopes.clone()),
            (None, Some((required, granted))) => Self::new(reason)
                .granted(granted.clone())
                .needing(required)
                .lacking(required, granted, &ScopeHierarchy::new()),
            (None, None) => Self::new(reason),
        };
        Self { error: Some(error), ..rejection }
    }
}

impl From<MessageError> for Rejection {
    fn from(error: MessageError) -> Self {
        Self::new(RejectionReason::Message(error))
    }
}

impl From<NotGuarded> for Rejection {
    fn from(error: NotGuarded) -> Self {
        tracing::error!(%error, "a handler is not guarded");
        Self::new(RejectionReason::Misconfigured)
    }
}

impl From<PermissionError> for Rejection {
    fn from(error: PermissionError) -> Self {
        Self::new(RejectionReason::Permission(error))
    }
}

impl From<InsufficientScope> for Rejection {
    fn from(error: InsufficientScope) -> Self {
        Self::new(RejectionReason::InsufficientScope).needing(&error.into_required())
    }
}

/// Builds the response to a request for an unknown host. There is no resource that a challenge
/// could name.
pub(crate) fn unknown_host<B>(cors: bool) -> Response<ResponseBody<B>> {
    let reason = RejectionReason::UnknownHost;
    ResponseTemplate::without_challenge(reason, cors).response(Rejection::new(reason))
}

/// Builds the response of a metadata service that has no document. It has CORS headers, as the
/// document has.
pub(crate) fn metadata_unavailable<B>(error: VerifyError) -> Response<ResponseBody<B>> {
    let reason = RejectionReason::MetadataUnavailable;
    let rejection = Rejection { error: Some(error), ..Rejection::new(reason) };
    ResponseTemplate::without_challenge(reason, true).response(rejection)
}
