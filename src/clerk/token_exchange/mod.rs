//! Tokens for calls to other services, in exchange for that of the caller (RFC 8693).

mod cached;
mod error;
mod request;
mod response;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use tokio::sync::Semaphore;

use cached::CachedTokens;
pub use error::{ExchangeError, ExchangeErrorKind};
use request::{ExchangeRequest, form_encode};
use response::{IssuedToken, NoToken};

use super::http::{Http, send};
use super::introspection::Backoff;
use crate::cache::{Interrupted, Key, SingleFlight};
use crate::clock::{Clock, Limit, Moment, SystemClock, timeout};
use crate::error::{ClerkError, ClerkErrorKind, ConfigError};
use crate::instance::{FrontendApi, OAuthClientSecret, check_client_id};
use crate::oauth::{AccessToken, AuthInfo, Scopes};

/// Exchanges that wait for a permit or are in flight. Further callers get a 503.
const MAX_IN_FLIGHT: usize = 1024;
/// Calls that are in flight.
const MAX_CONCURRENT_CALLS: usize = 64;
/// How long a call waits for a permit.
const MAX_PERMIT_WAIT: Duration = Duration::from_secs(5);
/// How long before its end a token is no longer used, so that it arrives in time.
const MARGIN: Duration = Duration::from_secs(30);
const DEFAULT_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Exchanges the access tokens of callers for tokens of other services (RFC 8693).
///
/// **A beta of Clerk's**, known from its own next version of `@clerk/mcp-tools` and not from its
/// documentation: it may change. A server must not send the token of its caller to another service
/// (MCP 2026-07-28, security considerations); this is what it sends instead. A confidential OAuth
/// application of the instance stands for this server. Clerk exchanges a token if the resource of
/// this server belongs to that application, and if the other resource is registered with the
/// instance and on the application's list.
///
/// A token is used again until 30 seconds before it expires, or until the caller's token expires;
/// all who wait for the same one share a call. Only access tokens are exchanged, for access tokens,
/// and without an actor.
///
/// [`ClerkMcp::exchange_token`](crate::ClerkMcp::exchange_token) is the usual way to it. Cloning is
/// cheap; clones share tokens and connections.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::clerk::{ExchangeError, TokenExchange};
/// use clerk_mcp_tools::instance::{FrontendApi, OAuthClientSecret};
/// use clerk_mcp_tools::{AuthInfo, Scopes};
///
/// # fn exchange() -> Result<TokenExchange, clerk_mcp_tools::ConfigError> {
/// let instance = FrontendApi::parse("https://clerk.example.com")?;
/// let secret = OAuthClientSecret::parse("0123456789abcdef")?;
/// let exchange = TokenExchange::builder(instance, "client_1", secret).build()?;
/// # Ok(exchange)
/// # }
///
/// async fn notes(exchange: &TokenExchange, caller: &AuthInfo) -> Result<(), ExchangeError> {
///     let token = exchange.exchange(caller, "https://notes.example.com", &Scopes::none()).await?;
///     let header = format!("Bearer {}", token.access_token().expose());
///     // Send it to https://notes.example.com, and nowhere else.
///     # let _ = header;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct TokenExchange(Arc<Inner>);

struct Inner {
    issuer: FrontendApi,
    client_id: String,
    authorization: HeaderValue,
    http: Http,
    tokens: CachedTokens,
    calls: SingleFlight<Result<ExchangedToken, ExchangeError>>,
    permits: Semaphore,
    backoff: Backoff,
    clock: Arc<dyn Clock>,
    log: Limit,
}

impl TokenExchange {
    /// Returns a builder for the OAuth application with this id and secret, of this instance.
    pub fn builder(
        instance: FrontendApi,
        client_id: impl Into<String>,
        secret: OAuthClientSecret,
    ) -> TokenExchangeBuilder {
        TokenExchangeBuilder {
            instance,
            client_id: client_id.into(),
            secret,
            cache_bytes: DEFAULT_CACHE_BYTES,
            clock: None,
        }
    }

    /// Returns a token of the caller's user for another service.
    ///
    /// `resource` is the URI that the other service is registered with, byte for byte: a slash at
    /// the end makes another one. `scopes` are those that the call needs; the caller's token must
    /// have all of them. Without any, Clerk decides. The token may have fewer:
    /// [`ExchangedToken::scopes`] says which.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such token; see [`ExchangeErrorKind`].
    pub async fn exchange(
        &self,
        caller: &AuthInfo,
        resource: &str,
        scopes: &Scopes,
    ) -> Result<ExchangedToken, ExchangeError> {
        let outcome = self.cached_or_new(caller, resource, scopes).await;
        outcome.inspect_err(|error| self.0.record(error))
    }

    async fn cached_or_new(
        &self,
        caller: &AuthInfo,
        resource: &str,
        scopes: &Scopes,
    ) -> Result<ExchangedToken, ExchangeError> {
        let inner = &self.0;
        let now = inner.clock.unix_time().as_secs();
        let request = ExchangeRequest::new(caller, resource, scopes, (inner.issuer.issuer(), now))?;
        let key = request.key();
        if let Some(token) = inner.tokens.get(&key, &*inner.clock) {
            return Ok(token);
        }
        inner.backoff.check(inner.clock.monotonic())?;
        let call = || Arc::clone(inner).call(key, request);
        inner.calls.join(key, call).await.unwrap_or_else(|why| Err(interrupted(why).into()))
    }
}

impl Inner {
    async fn call(
        self: Arc<Self>,
        key: Key,
        request: ExchangeRequest,
    ) -> Result<ExchangedToken, ExchangeError> {
        // An earlier call may have ended between the caller's look-up and this one.
        if let Some(token) = self.tokens.get(&key, &*self.clock) {
            return Ok(token);
        }
        let permit = timeout(&*self.clock, MAX_PERMIT_WAIT, self.permits.acquire()).await;
        let _permit = permit
            .ok_or_else(|| interrupted(Interrupted::TooMany))?
            .map_err(|_| interrupted(Interrupted::Stopped))?;
        let asked_at = Moment::now(&*self.clock);
        let issued = self.ask(&request).await?;
        let token = ExchangedToken(Arc::new(Exchanged {
            access_token: issued.access_token,
            scopes: issued.scopes,
            resource: request.resource,
            expires_at: asked_at.unix_time.as_secs().saturating_add(issued.lifetime),
        }));
        let lifetime = Duration::from_secs(issued.lifetime);
        let used_for = lifetime.saturating_sub(MARGIN.min(lifetime / 2));
        let of_caller = request.subject_expires_at.map_or(Duration::MAX, Duration::from_secs);
        let of_caller = of_caller.saturating_sub(asked_at.unix_time);
        let evict_at = asked_at.after(used_for.min(of_caller));
        self.tokens.insert(key, token.clone(), evict_at);
        Ok(token)
    }

    async fn ask(&self, request: &ExchangeRequest) -> Result<IssuedToken, ExchangeError> {
        let attempt = self.backoff.begin(self.clock.monotonic())?;
        // It may be sent twice: a token that nobody got does no harm.
        let call = self
            .http
            .post("/oauth/token")
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .body(request.form());
        let outcome = match send(call).await {
            Ok(response) => response::read(response, request),
            Err(error) if error.kind() == ClerkErrorKind::Unavailable => {
                Err(NoToken::Upstream(error))
            }
            Err(error) => Err(NoToken::Other(error.into())),
        };
        match outcome {
            Ok(issued) => {
                self.backoff.succeeded(attempt);
                Ok(issued)
            }
            Err(NoToken::Upstream(error)) => {
                Err(self.backoff.failed(attempt, error, self.clock.monotonic()).into())
            }
            Err(NoToken::Other(error)) => Err(error),
        }
    }

    /// Logs what an operator should act on, at most one line in ten seconds.
    fn record(&self, error: &ExchangeError) {
        use ExchangeErrorKind::{InsufficientScope, SubjectRejected, UnsupportedCredential};
        let of_caller =
            matches!(error.kind(), InsufficientScope | SubjectRejected | UnsupportedCredential);
        let admitted = (!of_caller).then(|| self.log.admit(self.clock.monotonic())).flatten();
        let Some(omitted) = admitted else {
            tracing::debug!(cause = %error, "failed to exchange a token");
            return;
        };
        let omitted = (omitted > 0).then_some(omitted);
        tracing::warn!(cause = %error, omitted, "failed to exchange a token");
    }
}

/// A builder of a [`TokenExchange`].
#[derive(Clone)]
#[must_use]
pub struct TokenExchangeBuilder {
    instance: FrontendApi,
    client_id: String,
    secret: OAuthClientSecret,
    cache_bytes: u64,
    clock: Option<Arc<dyn Clock>>,
}

impl TokenExchangeBuilder {
    /// Sets the approximate size in bytes of the cache of exchanged tokens. Defaults to 16 MiB,
    /// enough for some 8,000 of Clerk's JWTs. Zero disables it.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets the clock. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds the exchange.
    ///
    /// # Errors
    ///
    /// Returns an error if the client id is not one.
    pub fn build(self) -> Result<TokenExchange, ConfigError> {
        check_client_id(&self.client_id)?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        Ok(TokenExchange(Arc::new(Inner {
            authorization: authorization(&self.client_id, &self.secret)?,
            http: Http::new(self.instance.issuer(), Arc::clone(&clock))?,
            issuer: self.instance,
            client_id: self.client_id,
            tokens: CachedTokens::new(self.cache_bytes),
            calls: SingleFlight::new(MAX_IN_FLIGHT),
            permits: Semaphore::new(MAX_CONCURRENT_CALLS),
            backoff: Backoff::default(),
            clock,
            log: Limit::per_ten_seconds(1),
        })))
    }
}

/// Returns the credentials of HTTP Basic, form-encoded (RFC 6749 section 2.3.1).
fn authorization(id: &str, secret: &OAuthClientSecret) -> Result<HeaderValue, ConfigError> {
    let pair = format!("{}:{}", form_encode(id), form_encode(secret.expose()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| ConfigError::invalid("CLERK_OAUTH_CLIENT_ID", "cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A token for calls to another service, from [`TokenExchange::exchange`].
///
/// `Debug` does not show it. Cloning is cheap (`Arc`).
#[derive(Clone)]
pub struct ExchangedToken(Arc<Exchanged>);

struct Exchanged {
    access_token: AccessToken,
    scopes: Scopes,
    resource: Box<str>,
    expires_at: u64,
}

impl ExchangedToken {
    /// Returns the token. Send it to [`resource`](Self::resource) only.
    #[must_use]
    pub fn access_token(&self) -> &AccessToken {
        &self.0.access_token
    }

    /// Returns the scopes that the token has, which may be fewer than were requested. None if none
    /// were requested and Clerk does not say which it granted.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// Returns the resource that the token was requested for.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.0.resource
    }

    /// Returns when the token expires, in seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.0.expires_at
    }
}

fn interrupted(why: Interrupted) -> ClerkError {
    let error = ClerkError::new(ClerkErrorKind::Unavailable, why.to_string());
    error.with_retry_after(Some(Duration::from_secs(1)))
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange")
            .field("issuer", &self.0.issuer)
            .field("client_id", &self.0.client_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenExchangeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchangeBuilder")
            .field("instance", &self.instance)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ExchangedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangedToken")
            .field("access_token", &self.0.access_token)
            .field("scopes", &self.0.scopes)
            .field("resource", &self.0.resource)
            .field("expires_at", &self.0.expires_at)
            .finish()
    }
}
