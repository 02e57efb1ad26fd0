//! The application's client at an authorization server: one that was set, a client metadata
//! document, or dynamic registration (RFC 7591), in this order.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::discovery::AuthorizationServer;
use super::engine::{Engine, Settings};
use super::error::{LoginError, LoginErrorKind};
use super::failure::FailureKind;
use super::lease::{self, Lease};
use super::record::{AuthMethod, ClientRecord, ClientSource, RegistrationRecord};
use super::store::{Expect, RecordKey};
use super::token_endpoint::error_code;
use crate::oauth::{is_loopback, parse_uri};

const BASIC: &str = "client_secret_basic";
const POST: &str = "client_secret_post";
const NONE: &str = "none";
/// The longest client id, and the longest secret, that is kept.
const MAX_BYTES: usize = 4 * 1024;
/// A registration is no longer used this long before its secret expires.
const SECRET_MARGIN: u64 = 24 * 60 * 60;

/// Returns the client with which a sign-in at this authorization server begins.
pub(super) async fn client_for(
    engine: &Arc<Engine>,
    server: &AuthorizationServer,
) -> Result<ClientRecord, LoginError> {
    let settings = &engine.settings;
    let methods = server.auth_methods.as_deref();
    if let Some(client) = settings.client_of(&server.issuer) {
        let method = client.secret().map_or(AuthMethod::None, |_| method_for_secret(methods));
        let source = ClientSource::Configured;
        return Ok(ClientRecord { id: client.id().to_owned(), method, source });
    }
    if let (true, Some(url)) = (server.supports_client_documents, &settings.client_metadata_url) {
        let source = ClientSource::Document;
        return Ok(ClientRecord { id: url.clone(), method: AuthMethod::None, source });
    }
    let Some(endpoint) = server.registration_endpoint.as_ref().filter(|_| settings.registers)
    else {
        let detail = "set a client for its issuer; it supports neither client metadata documents \
                      nor dynamic registration that the settings allow";
        return Err(LoginError::new(LoginErrorKind::NoClient, detail));
    };
    registered(engine, server, endpoint).await
}

/// Returns the metadata of the application's client (RFC 7591 section 2).
pub(super) fn client_metadata(settings: &Settings, method: &str) -> Value {
    let uri = parse_uri(&settings.redirect_uri);
    // OpenID Connect Registration 1.0 section 2: a web client has no redirect to this machine.
    let is_native = uri.is_some_and(|uri| is_loopback(&uri));
    json!({
        "client_name": settings.client_name,
        "redirect_uris": [settings.redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": if is_native { "native" } else { "web" },
    })
}

/// Removes a registration that the authorization server no longer knows, so that the next sign-in
/// makes a new one. One that has replaced it stays.
pub(super) async fn forget(engine: &Engine, client: &ClientRecord) {
    let ClientSource::Registered { key, .. } = &client.source else {
        return;
    };
    let Ok(key) = RecordKey::parse(key) else {
        return;
    };
    let Ok(Some(stored)) = engine.vault.load::<RegistrationRecord>(&key).await else {
        return;
    };
    if stored.value.client.id == client.id {
        // If this fails, the next refresh or sign-in tries again.
        let _ = engine.vault.delete(&key, Expect::Revision(stored.revision)).await;
    }
}

/// Returns the registration at this issuer, which all owners share, or makes it.
async fn registered(
    engine: &Arc<Engine>,
    server: &AuthorizationServer,
    endpoint: &str,
) -> Result<ClientRecord, LoginError> {
    let metadata = client_metadata(&engine.settings, method_to_register(server));
    let metadata = metadata.to_string();
    let redirect_uri = engine.settings.redirect_uri.as_bytes();
    let parts = [server.issuer.as_bytes(), redirect_uri, metadata.as_bytes()];
    let key = engine.vault.keys().registration_key(&parts);
    if let Some(stored) = engine.vault.load::<RegistrationRecord>(&key).await? {
        return Ok(stored.value.client);
    }
    let flight = engine.flight_key(&key);
    let (shared, endpoint) = (Arc::clone(engine), endpoint.to_owned());
    let call = || async move { register_once(&shared, &key, &endpoint, metadata).await };
    engine.registrations.join(flight, call).await.unwrap_or_else(|interrupted| {
        Err(LoginError::new(LoginErrorKind::Unavailable, interrupted.to_string()))
    })
}

/// Registers, unless another process does so at the same time.
async fn register_once(
    engine: &Engine,
    key: &RecordKey,
    endpoint: &str,
    metadata: String,
) -> Result<ClientRecord, LoginError> {
    let end = engine.now().after(lease::MAX_WAIT);
    while !end.has_come(&*engine.clock) {
        if let Some(lease) = Lease::acquire(engine, key).await? {
            let outcome = match engine.vault.load::<RegistrationRecord>(key).await? {
                Some(stored) => Ok(stored.value.client),
                None => register(engine, key, endpoint, metadata).await,
            };
            lease.release(engine).await;
            return outcome;
        }
        lease::pause(engine).await;
        if let Some(stored) = engine.vault.load::<RegistrationRecord>(key).await? {
            return Ok(stored.value.client);
        }
    }
    let detail = "another process is registering and does not come to an end";
    Err(LoginError::new(LoginErrorKind::Unavailable, detail))
}

async fn register(
    engine: &Engine,
    key: &RecordKey,
    endpoint: &str,
    metadata: String,
) -> Result<ClientRecord, LoginError> {
    let of_failure = |failure: super::failure::Failure| {
        let kind = match failure.kind {
            FailureKind::Forbidden => LoginErrorKind::Forbidden,
            FailureKind::Unavailable => LoginErrorKind::Unavailable,
            FailureKind::Invalid => LoginErrorKind::Registration,
        };
        LoginError::of_failure(kind, "the registration endpoint", failure)
    };
    let response = engine.http.post_json(endpoint, metadata).await.map_err(of_failure)?;
    let registration: Registration = response.json().map_err(|failure| {
        let error = of_failure(failure);
        match error_code(&response) {
            Some(code) => error.with_oauth_error(code),
            None => error,
        }
    })?;
    engine.counters.registrations.increment();
    let now = engine.unix_seconds();
    let lifetime = registration.lifetime(now);
    let ends = lifetime.map(|lifetime| now.saturating_add(lifetime.as_secs()));
    let record = RegistrationRecord { client: registration.into_client(key)?, ends };
    if lifetime.is_none_or(|lifetime| !lifetime.is_zero()) {
        engine.vault.save(key, &record, Expect::Any, lifetime).await?;
    }
    Ok(record.client)
}

/// The response of RFC 7591 section 3.2.1.
#[derive(Deserialize)]
struct Registration {
    client_id: String,
    client_secret: Option<String>,
    client_secret_expires_at: Option<u64>,
    token_endpoint_auth_method: Option<String>,
}

impl Registration {
    /// Returns how long the registration is used, `None` without an end.
    fn lifetime(&self, now: u64) -> Option<Duration> {
        self.client_secret.as_ref()?;
        let end = self.client_secret_expires_at.filter(|end| *end != 0)?;
        Some(Duration::from_secs(end.saturating_sub(now).saturating_sub(SECRET_MARGIN)))
    }

    fn into_client(self, key: &RecordKey) -> Result<ClientRecord, LoginError> {
        let secret_bytes = self.client_secret.as_ref().map_or(0, String::len);
        if self.client_id.is_empty() || self.client_id.len().max(secret_bytes) > MAX_BYTES {
            let detail = "the registration endpoint returned no usable client_id or secret";
            return Err(LoginError::new(LoginErrorKind::Registration, detail));
        }
        let secret = self.client_secret.filter(|secret| !secret.is_empty());
        let method = match (&secret, self.token_endpoint_auth_method.as_deref()) {
            (None, _) | (_, Some(NONE)) => AuthMethod::None,
            (Some(_), Some(POST)) => AuthMethod::Post,
            // RFC 7591 section 2: the default.
            (Some(_), _) => AuthMethod::Basic,
        };
        let source = ClientSource::Registered { secret, key: key.as_str().to_owned() };
        Ok(ClientRecord { id: self.client_id, method, source })
    }
}

/// Returns how a client with a secret authenticates itself. Without a list, HTTP Basic is supported
/// (RFC 8414 section 2).
fn method_for_secret(listed: Option<&[String]>) -> AuthMethod {
    let lists = |method: &str| listed.is_some_and(|listed| listed.iter().any(|one| one == method));
    if lists(POST) && !lists(BASIC) { AuthMethod::Post } else { AuthMethod::Basic }
}

/// Returns the method to register for. A web application can keep a secret, and with one a stolen
/// refresh token is worth nothing.
fn method_to_register(server: &AuthorizationServer) -> &'static str {
    let Some(listed) = &server.auth_methods else {
        return BASIC;
    };
    let supported =
        [BASIC, POST, NONE].into_iter().find(|method| listed.iter().any(|one| one == method));
    supported.unwrap_or(NONE)
}
