//! The Backend API, as far as guarding a server needs it.

use std::fmt;

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};

use super::http::{Http, json, send};
use super::user::User;
use crate::error::{ClerkError, ClerkErrorKind, ConfigError};
use crate::instance::{SecretKey, check_base_url};
use crate::jwt::KeySet;

const DEFAULT_API_URL: &str = "https://api.clerk.com";
const DEFAULT_API_VERSION: &str = "v1";
/// The edition of the Backend API whose answers this crate reads.
const CLERK_API_VERSION: &str = "2026-05-12";

/// A client of Clerk's Backend API: bounded in time (3 s to connect, 5 s in all) and size (512 KiB), never redirected.
///
/// A clone is cheap and shares its connections.
///
/// # Example
///
/// ```no_run
/// use clerk_mcp_tools::{ClerkClient, SecretKey};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let clerk = ClerkClient::builder(SecretKey::parse("sk_test_0123456789")?).build()?;
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
}

impl ClerkClient {
    /// Starts a client that uses this secret key.
    pub fn builder(secret_key: SecretKey) -> ClerkClientBuilder {
        ClerkClientBuilder {
            secret_key,
            api_url: DEFAULT_API_URL.to_owned(),
            api_version: DEFAULT_API_VERSION.to_owned(),
        }
    }

    /// A client with the settings of the environment: `CLERK_SECRET_KEY`, `CLERK_API_URL`, `CLERK_API_VERSION`.
    ///
    /// # Errors
    ///
    /// When the secret key is missing or a setting cannot be used.
    pub fn from_env() -> Result<Self, ConfigError> {
        super::ClerkVerifier::builder().env().backend_client()?.ok_or_else(|| {
            ConfigError::missing(
                "CLERK_SECRET_KEY",
                "is not set: copy it from the Clerk Dashboard, page API keys, section Secret keys",
            )
        })
    }

    /// A user, by an id such as the one of [`AuthInfo::user_id`](crate::AuthInfo::user_id).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ClerkErrorKind::NotFound) when there is no such user, [`InvalidRequest`](ClerkErrorKind::InvalidRequest)
    /// when the text cannot be an id, and otherwise as the call failed.
    pub async fn get_user(&self, user_id: &str) -> Result<User, ClerkError> {
        // The id becomes a part of a path.
        let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if user_id.is_empty() || user_id.len() > 128 || !user_id.bytes().all(is_id) {
            return Err(ClerkError::new(ClerkErrorKind::InvalidRequest, "the text cannot be a user id"));
        }
        let body = send(self.authorized(self.http.get(&self.path(&format!("users/{user_id}")))))
            .await?
            .ok_with_key()?;
        let user: User = json(&body, "the answer is not a user")?;
        if user.id != user_id {
            return Err(ClerkError::new(ClerkErrorKind::InvalidResponse, "the answer is about another user"));
        }
        Ok(user)
    }

    pub(super) async fn key_set(&self) -> Result<KeySet, ClerkError> {
        let body = send(self.authorized(self.http.get(&self.path("jwks")))).await?.ok_with_key()?;
        KeySet::parse(&body)
    }

    /// Clerk's answer about an opaque token. A 200 is no proof yet.
    pub(super) async fn verify_access_token(&self, token: &str) -> Result<bytes::Bytes, ClerkError> {
        let body = serde_json::json!({"access_token": token}).to_string();
        let request = self
            .http
            .post(&self.path("oauth_applications/access_tokens/verify"))
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        send(self.authorized(request)).await?.ok_with_key()
    }

    fn path(&self, rest: &str) -> String {
        format!("/{}/{rest}", self.version)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request
            .header(AUTHORIZATION, self.authorization.clone())
            .header("Clerk-API-Version", CLERK_API_VERSION)
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

/// Builds a [`ClerkClient`].
#[derive(Clone)]
#[must_use]
pub struct ClerkClientBuilder {
    secret_key: SecretKey,
    api_url: String,
    api_version: String,
}

impl ClerkClientBuilder {
    /// The Backend API's origin; `https://api.clerk.com` unless it is said (`CLERK_API_URL`).
    pub fn api_url(mut self, origin: impl Into<String>) -> Self {
        self.api_url = origin.into();
        self
    }

    /// The first part of every path; `v1` unless it is said (`CLERK_API_VERSION`).
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = version.into();
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// When the origin is none, uses `http:` off a loopback host, or the version is not of the form `v1`.
    pub fn build(self) -> Result<ClerkClient, ConfigError> {
        let base =
            check_base_url("CLERK_API_URL", &self.api_url, "leave it out, or set https://api.clerk.com")?;
        let digits = self.api_version.strip_prefix('v').unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ConfigError::invalid(
                "CLERK_API_VERSION",
                "is not of the form v1; leave it out, or set v1",
            ));
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", self.secret_key.expose()))
            .map_err(|_| ConfigError::invalid("CLERK_SECRET_KEY", "cannot be sent in a header"))?;
        authorization.set_sensitive(true);
        Ok(ClerkClient { http: Http::new(base)?, version: self.api_version, authorization })
    }
}

impl fmt::Debug for ClerkClientBuilder {
    /// Nothing of the settings: what is not checked yet may be a key in the wrong place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClerkClientBuilder").field("secret_key", &self.secret_key).finish_non_exhaustive()
    }
}
