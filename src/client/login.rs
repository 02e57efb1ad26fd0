//! Begins a sign-in: everything that its callback will use is decided here and stored.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use super::binding::BrowserBinding;
use super::challenge::Challenge;
use super::discovery::{Discovered, discover};
use super::engine::{Engine, random_secret, sha256};
use super::error::{LoginError, LoginErrorKind, VaultError};
use super::form;
use super::memory::Held;
use super::owner::ServerUrl;
use super::record::{ClientRecord, ConnectionRecord, Endpoints, LoginRecord};
use super::registration;
use super::store::{Expect, OwnerTag, RecordKey};
use crate::oauth::{OFFLINE_ACCESS, REDACTED, Scopes};

const MAX_LABEL_BYTES: usize = 200;
const MAX_RETURN_BYTES: usize = 2048;

/// What a sign-in asks for, besides the server.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::Scopes;
/// use clerk_mcp_tools::client::LoginOptions;
///
/// let options = LoginOptions::new()
///     .scopes(Scopes::parse("notes:read notes:write")?)
///     .label("work account")
///     .return_to("/chats/42")?;
/// assert!(LoginOptions::new().return_to("https://evil.example").is_err());
/// # let _ = options;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LoginOptions {
    pub(super) scopes: Option<Scopes>,
    pub(super) challenge: Option<Challenge>,
    pub(super) return_to: Option<String>,
    pub(super) label: String,
    pub(super) again: bool,
}

/// The error about a string that is not a path of the application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path to return to {0}")]
pub struct ReturnPathError(&'static str);

impl LoginOptions {
    /// Creates options with the defaults: the scopes that the server asks for, and an empty label.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the scopes to ask for. Defaults to those of the server's challenge, or else of its
    /// metadata. Scopes above the [ceiling](super::ConnectionsBuilder::scope_ceiling) are left out,
    /// and `offline_access` is added where the authorization server lists it.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Sets the `WWW-Authenticate` header of a response of the server that the application has
    /// received, which saves a request. A header without a `Bearer` challenge is ignored.
    pub fn challenge(mut self, header: &HeaderValue) -> Self {
        self.challenge = Challenge::parse(header);
        self
    }

    /// Sets the path of the application to which the callback service sends the browser in the end.
    /// Defaults to the [path](super::CallbackService::success_path) of the service.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not an absolute path of this application: it has to begin with one
    /// `/` and must not contain a backslash, white space or control characters.
    pub fn return_to(mut self, path: &str) -> Result<Self, ReturnPathError> {
        check_path(path)?;
        self.return_to = Some(path.to_owned());
        Ok(self)
    }

    /// Sets the name of this connection. A user may have several connections to one server, each
    /// with another account there; their labels tell them apart. Defaults to the empty string.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sends the user to the authorization server even if there is a connection that has all that
    /// is asked for, such as to choose another account.
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }
}

/// Checks that a URL is a path of the application itself: browsers read `//host`, `/\host` and a
/// path with a tab or a line break in it as another origin.
pub(super) fn check_path(path: &str) -> Result<(), ReturnPathError> {
    if path.len() > MAX_RETURN_BYTES {
        return Err(ReturnPathError("is too long"));
    }
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(ReturnPathError("does not begin with a single slash"));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(ReturnPathError("has a character that a path must escape"));
    }
    Ok(())
}

/// Where to send the browser to sign in.
///
/// `Debug` does not show the URL, which contains the `state` of the sign-in.
#[derive(Clone)]
pub struct LoginRedirect {
    url: String,
    binding: BrowserBinding,
}

impl LoginRedirect {
    /// Returns the URL at the authorization server, for a redirect with 303 or a link.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the value of a `Set-Cookie` header for the response that redirects. With it, the
    /// callback knows the browser, also if the user is not signed in to the application by then.
    #[must_use]
    pub fn set_cookie(&self) -> HeaderValue {
        self.binding.set_cookie()
    }

    /// Returns what the cookie holds, for applications that keep it in another way.
    #[must_use]
    pub fn binding(&self) -> &BrowserBinding {
        &self.binding
    }
}

impl fmt::Debug for LoginRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRedirect").field("url", &REDACTED).finish_non_exhaustive()
    }
}

/// How a sign-in began.
pub(super) enum Beginning {
    Redirect(LoginRedirect),
    Connected(Box<ConnectionRecord>),
    NotProtected,
}

pub(super) async fn begin(
    engine: &Arc<Engine>,
    owner: &OwnerTag,
    server: &ServerUrl,
    options: LoginOptions,
) -> Result<Beginning, LoginError> {
    let settings = &engine.settings;
    if options.label.len() > MAX_LABEL_BYTES {
        return Err(LoginError::new(LoginErrorKind::Forbidden, "the label is too long"));
    }
    if settings.servers.as_ref().is_some_and(|allowed| !allowed.contains(server)) {
        let detail = "it is not one of the servers of the settings";
        return Err(LoginError::new(LoginErrorKind::Forbidden, detail));
    }
    let keys = engine.vault.keys();
    let key = keys.connection_key(owner, server.as_str(), &options.label);
    let existing = existing(engine, &key).await?;
    let is_enough = |record: &&ConnectionRecord| {
        !options.again && has_what_is_asked_for(engine, record, &options)
    };
    if let Some(record) = existing.as_ref().filter(is_enough) {
        return Ok(Beginning::Connected(Box::new(record.clone())));
    }
    let is_client_of = |issuer: &str| settings.client_of(issuer).is_some();
    let challenge = options.challenge.clone();
    let Some(found) = discover(&engine.http, server, challenge, is_client_of).await? else {
        return Ok(Beginning::NotProtected);
    };
    let client = registration::client_for(engine, &found.server).await?;
    let granted = existing.map(|record| record.scopes);
    let scopes = scopes_to_request(engine, &options, &found, granted.as_ref());
    let login = Login { engine, owner, server, options, found, client, scopes };
    login.store().await.map(Beginning::Redirect)
}

/// Returns the connection that the user has, if its tokens can still be used. One that cannot be
/// opened is replaced by the sign-in.
async fn existing(
    engine: &Engine,
    key: &RecordKey,
) -> Result<Option<ConnectionRecord>, LoginError> {
    let record = match engine.vault.load::<ConnectionRecord>(key).await {
        Ok(stored) => stored.map(|stored| stored.value),
        Err(VaultError::Store(error)) => return Err(VaultError::Store(error).into()),
        Err(VaultError::Seal(_) | VaultError::Form) => None,
    };
    Ok(record.filter(|record| {
        let held = Held::new(record.clone(), &*engine.clock);
        let can_refresh = held.is_signed_in() && record.tokens.refresh.is_some();
        can_refresh || held.is_alive(&*engine.clock)
    }))
}

fn has_what_is_asked_for(
    engine: &Engine,
    record: &ConnectionRecord,
    options: &LoginOptions,
) -> bool {
    let challenged = options.challenge.as_ref().and_then(|challenge| challenge.scopes.as_ref());
    let asked = options.scopes.as_ref().or(challenged).cloned().unwrap_or_default();
    let asked = engine.settings.below_ceiling(&asked);
    asked.iter().all(|scope| scope == OFFLINE_ACCESS || record.scopes.contains(scope))
}

/// What was asked for and what the user has already granted: the new tokens take the place of the
/// old ones.
fn scopes_to_request(
    engine: &Engine,
    options: &LoginOptions,
    found: &Discovered,
    granted: Option<&Scopes>,
) -> Scopes {
    let asked = options.scopes.as_ref().unwrap_or(&found.scopes);
    let all = granted.map_or_else(|| asked.clone(), |granted| granted.union(asked));
    let below = engine.settings.below_ceiling(&all);
    if !found.server.has_offline_access {
        return below;
    }
    // It grants nothing at the server, so no ceiling is about it. Without it there is no refresh
    // token.
    Scopes::new([OFFLINE_ACCESS]).map_or(below.clone(), |offline| below.union(&offline))
}

struct Login<'a> {
    engine: &'a Engine,
    owner: &'a OwnerTag,
    server: &'a ServerUrl,
    options: LoginOptions,
    found: Discovered,
    client: ClientRecord,
    scopes: Scopes,
}

impl Login<'_> {
    async fn store(self) -> Result<LoginRedirect, LoginError> {
        let secrets = (random_secret(), random_secret(), random_secret());
        let (Some(state), Some(verifier), Some(browser)) = secrets else {
            let detail = "the machine has no randomness";
            return Err(LoginError::new(LoginErrorKind::Unavailable, detail));
        };
        let url = self.url(&state, &sha256(&verifier));
        let settings = &self.engine.settings;
        let binding = BrowserBinding::new(&state, browser, settings.login_lifetime);
        let lifetime = settings.login_lifetime;
        let record = LoginRecord {
            owner: self.owner.as_str().to_owned(),
            server: self.server.as_str().to_owned(),
            label: self.options.label,
            resource: self.found.resource,
            endpoints: Endpoints {
                issuer: self.found.server.issuer,
                token: self.found.server.token_endpoint,
                revocation: self.found.server.revocation_endpoint,
            },
            client: self.client,
            redirect_uri: settings.redirect_uri.clone(),
            verifier,
            scopes: self.scopes,
            names_itself: self.found.server.names_itself,
            binding: binding.digest(),
            return_to: self.options.return_to,
            strangers: 0,
            ends: self.engine.unix_seconds().saturating_add(lifetime.as_secs()),
        };
        let vault = &self.engine.vault;
        let key = vault.keys().login_key(&state);
        vault.save(&key, &record, Expect::Absent, Some(lifetime)).await?;
        self.engine.counters.logins_begun.increment();
        Ok(LoginRedirect { url, binding })
    }

    /// RFC 6749 section 4.1.1, RFC 7636 section 4.3, RFC 8707 section 2.
    fn url(&self, state: &str, challenge: &str) -> String {
        let scope = self.scopes.to_string();
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", &self.client.id),
            ("redirect_uri", &self.engine.settings.redirect_uri),
            ("state", state),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
            ("resource", &self.found.resource),
        ];
        if !scope.is_empty() {
            pairs.push(("scope", &scope));
        }
        // OpenID Connect Core 1.0 section 11: without it, servers ignore `offline_access`.
        if self.scopes.contains(OFFLINE_ACCESS) {
            pairs.push(("prompt", "consent"));
        }
        form::with_query(&self.found.server.authorization_endpoint, pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_the_application_are_returned_to() {
        for path in ["/", "/chats/42", "/a?b=c&d=%2F#e", "/.//evil.example", "/%09/evil.example"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        let long = format!("/{}", "a".repeat(MAX_RETURN_BYTES));
        for path in [
            "",
            "chats",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/a\\b",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\nSet-Cookie: a=b",
            " //evil.example",
            "/a b",
            "/\u{0}",
            "/\u{e4}",
            "https://evil.example",
            "javascript:alert(1)",
            &long,
        ] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
    }
}
