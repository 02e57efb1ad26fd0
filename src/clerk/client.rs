//! A client of the Backend API, for the calls that this crate needs.

use std::fmt;
use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};

use super::env::Env;
use super::http::{Http, HttpRequest, json, send};
use super::user::User;
use crate::clock::{Clock, SystemClock};
use crate::error::{ClerkError, ClerkErrorKind, ConfigError};
use crate::instance::{BackendApi, MachineSecretKey, SecretKey};
use crate::jwt::KeySet;
use crate::oauth::TokenType;

/// The dated version of the Backend API whose responses this crate parses.
const CLERK_API_VERSION: HeaderValue = HeaderValue::from_static("2026-05-12");
const CLERK_API_VERSION_HEADER: HeaderName = HeaderName::from_static("clerk-api-version");

const WRONG_SECRET_KEY: &str = "Clerk responded with 401: set CLERK_SECRET_KEY to a secret key of \
    this instance, which the Clerk Dashboard shows on the page API keys";
const WRONG_MACHINE_SECRET_KEY: &str = "Clerk responded with 401: set CLERK_MACHINE_SECRET_KEY to \
    the secret key of this server's machine, which the Clerk Dashboard shows on the page Machines";

/// A client of Clerk's Backend API.
///
/// Calls are bounded in time (3 seconds to connect, 5 seconds in total) and in size (512 KiB), and
/// redirects are not followed. They run on a thread of this crate and can be awaited on any
/// executor. Cloning is cheap; clones share their connections.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::clerk::ClerkClient;
/// use clerk_mcp_tools::SecretKey;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let key = SecretKey::parse("sk_test_0123456789")?;
/// let clerk = ClerkClient::builder().secret_key(key).build()?;
/// let user = clerk.get_user("user_2abc").await?;
/// println!("{:?}", user.primary_email_address());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClerkClient {
    http: Http,
    version: String,
    authorization: HeaderValue,
    /// What to set if Clerk rejects the key.
    wrong_key: &'static str,
}

impl ClerkClient {
    /// Returns a builder. A [secret key](ClerkClientBuilder::secret_key) is required.
    pub fn builder() -> ClerkClientBuilder {
        ClerkClientBuilder::new()
    }

    /// Builds a client from the environment; see [`ClerkClientBuilder::env`] for the variables.
    ///
    /// # Errors
    ///
    /// Returns an error if the secret key is missing or a setting is invalid.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder().env().build()
    }

    /// Returns a client with the secret key of a machine, which can only verify machine tokens.
    pub(super) fn for_machine(
        key: &MachineSecretKey,
        api: &BackendApi,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let authorization = authorization(key.expose(), "CLERK_MACHINE_SECRET_KEY")?;
        Self::new(api, authorization, WRONG_MACHINE_SECRET_KEY, clock)
    }

    fn new(
        api: &BackendApi,
        authorization: HeaderValue,
        wrong_key: &'static str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let http = Http::new(api.origin(), clock)?;
        Ok(Self { http, version: api.version().to_owned(), authorization, wrong_key })
    }

    /// Returns the user with this id, such as [`AuthInfo::user_id`](crate::AuthInfo::user_id).
    ///
    /// # Errors
    ///
    /// Returns an error if the call fails: [`NotFound`](ClerkErrorKind::NotFound) if there is no
    /// such user, [`InvalidRequest`](ClerkErrorKind::InvalidRequest) if the id has an invalid form.
    pub async fn get_user(&self, user_id: &str) -> Result<User, ClerkError> {
        // The id becomes a segment of the path.
        let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if user_id.is_empty() || user_id.len() > 128 || !user_id.bytes().all(is_id) {
            return Err(ClerkError::new(
                ClerkErrorKind::InvalidRequest,
                "the user id has an invalid form",
            ));
        }
        let body = self.get(&format!("users/{user_id}")).await?;
        let user: User = json(&body, "the response is not a user")?;
        if user.id != user_id {
            return Err(ClerkError::new(
                ClerkErrorKind::InvalidResponse,
                "the response is about another user",
            ));
        }
        Ok(user)
    }

    /// Returns bytes that only those have who have the secret key, to derive other keys from.
    pub(crate) fn secret_bytes(&self) -> &[u8] {
        self.authorization.as_bytes()
    }

    pub(super) async fn key_set(&self) -> Result<KeySet, ClerkError> {
        KeySet::parse(&self.get("jwks").await?)
    }

    /// Returns the body of the 200 to a `GET` of this path, below the version.
    pub(super) async fn get(&self, path: &str) -> Result<bytes::Bytes, ClerkError> {
        let request = self.http.get(&self.path(path));
        send(self.authorized(request)).await?.ok_with_key(self.wrong_key)
    }

    /// Returns Clerk's response about an opaque token of this type. A 200 does not mean that the
    /// token is valid.
    pub(super) async fn verify_opaque(
        &self,
        token_type: TokenType,
        token: &str,
    ) -> Result<bytes::Bytes, ClerkError> {
        let (path, member) = match token_type {
            TokenType::OAuthToken => ("oauth_applications/access_tokens/verify", "access_token"),
            TokenType::ApiKey => ("api_keys/verify", "secret"),
            TokenType::M2mToken => ("m2m_tokens/verify", "token"),
            TokenType::SessionToken => {
                let detail = "session tokens are never opaque";
                return Err(ClerkError::new(ClerkErrorKind::InvalidRequest, detail));
            }
        };
        let body = serde_json::json!({member: token}).to_string();
        let request = self
            .http
            .post(&self.path(path))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        send(self.authorized(request)).await?.ok_with_key(self.wrong_key)
    }

    fn path(&self, rest: &str) -> String {
        format!("/{}/{rest}", self.version)
    }

    fn authorized(&self, request: HttpRequest) -> HttpRequest {
        request
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CLERK_API_VERSION_HEADER, CLERK_API_VERSION)
    }
}

impl fmt::Debug for ClerkClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClerkClient")
            .field("http", &self.http)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A builder of a [`ClerkClient`].
#[derive(Clone)]
#[must_use]
pub struct ClerkClientBuilder {
    secret_key: Option<SecretKey>,
    backend_api: BackendApi,
    clock: Option<Arc<dyn Clock>>,
    /// The first invalid variable of the environment; `build` returns it.
    problem: Option<ConfigError>,
}

impl ClerkClientBuilder {
    pub(super) fn new() -> Self {
        Self { secret_key: None, backend_api: BackendApi::default(), clock: None, problem: None }
    }

    /// Reads `CLERK_SECRET_KEY`, `CLERK_API_URL` and `CLERK_API_VERSION` from the environment.
    ///
    /// An empty variable counts as not set. [`build`](Self::build) returns an error for an invalid
    /// one.
    pub fn env(self) -> Self {
        self.env_from(|name| std::env::var(name).ok())
    }

    /// Reads the variables of [`env`](Self::env) from `var`, such as a file or a test's own list.
    pub fn env_from(mut self, var: impl Fn(&str) -> Option<String>) -> Self {
        if let Err(problem) = self.read_env(&Env::new(&var)) {
            self.problem.get_or_insert(problem);
        }
        self
    }

    fn read_env(&mut self, env: &Env<'_>) -> Result<(), ConfigError> {
        if let Some(key) = env.secret_key()? {
            self.secret_key = Some(key);
        }
        if let Some(api) = env.backend_api(&self.backend_api)? {
            self.backend_api = api;
        }
        Ok(())
    }

    /// Sets the secret key. Required.
    pub fn secret_key(mut self, key: SecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// Sets the origin and version of the Backend API. Defaults to [`BackendApi::default`].
    pub fn backend_api(mut self, api: BackendApi) -> Self {
        self.backend_api = api;
        self
    }

    /// Sets the clock that measures the time of a call. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// Returns an error if no secret key is set, or if a variable of the environment is invalid.
    pub fn build(self) -> Result<ClerkClient, ConfigError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let secret_key = self.secret_key.ok_or_else(|| {
            ConfigError::missing(
                "CLERK_SECRET_KEY",
                "is not set: copy it from the Clerk Dashboard, page API keys, section Secret keys",
            )
        })?;
        let authorization = authorization(secret_key.expose(), "CLERK_SECRET_KEY")?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        ClerkClient::new(&self.backend_api, authorization, WRONG_SECRET_KEY, clock)
    }
}

fn authorization(key: &str, variable: &'static str) -> Result<HeaderValue, ConfigError> {
    let mut authorization = HeaderValue::try_from(format!("Bearer {key}"))
        .map_err(|_| ConfigError::invalid(variable, "cannot be sent in a header"))?;
    authorization.set_sensitive(true);
    Ok(authorization)
}

impl fmt::Debug for ClerkClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClerkClientBuilder")
            .field("secret_key", &self.secret_key)
            .field("backend_api", &self.backend_api)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Such a value is neither shown by `Debug` nor kept by a compression of headers.
    #[test]
    fn the_secret_key_is_sent_as_a_sensitive_header() {
        let key = SecretKey::parse("sk_test_0123456789").unwrap();
        let client = ClerkClient::builder().secret_key(key).build().unwrap();
        let request = client.authorized(client.http.get("/v1/jwks")).into_inner();
        let authorization = &request.headers()[AUTHORIZATION];
        assert_eq!(authorization, "Bearer sk_test_0123456789");
        assert!(authorization.is_sensitive());
    }
}
