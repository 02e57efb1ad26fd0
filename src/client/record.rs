//! What is sealed and stored, in JSON. Each form has a version: a record of another one is not read,
//! and never removed for it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::LoginReason;
use crate::oauth::{AccessToken, Scopes};

/// The version of the forms below. A new version has to read the older ones.
const VERSION: u32 = 1;
/// A connection with tokens that are JWTs.
const USUAL_BYTES: usize = 2048;

/// What a record contains.
pub(super) trait Form: Serialize + DeserializeOwned {
    /// The name in the stored form, so that no record is read as one of another kind.
    const KIND: &'static str;
}

#[derive(Serialize)]
struct Writing<'a, T> {
    v: u32,
    kind: &'static str,
    value: &'a T,
}

#[derive(Deserialize)]
struct Reading<T> {
    v: u32,
    kind: String,
    value: T,
}

pub(super) fn to_bytes<T: Form>(value: &T) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut bytes, &Writing { v: VERSION, kind: T::KIND, value }).ok()?;
    Some(bytes)
}

pub(super) fn from_bytes<T: Form>(bytes: &[u8]) -> Option<T> {
    let read: Reading<T> = serde_json::from_slice(bytes).ok()?;
    (read.v == VERSION && read.kind == T::KIND).then_some(read.value)
}

/// How a client authenticates itself at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AuthMethod {
    None,
    Basic,
    Post,
}

/// The OAuth client that a grant belongs to.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ClientRecord {
    pub(super) id: String,
    pub(super) method: AuthMethod,
    pub(super) source: ClientSource,
}

/// Where a client, and its secret, comes from.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientSource {
    /// The settings, which have its secret.
    Configured,
    /// A client metadata document, whose URL is the client id. It has no secret.
    Document,
    /// Dynamic registration. A connection keeps the secret, since another registration replaces
    /// that of the issuer once it is over, with another client.
    Registered {
        secret: Option<String>,
        /// The key of the registration in the store.
        key: String,
    },
}

/// A sign-in in progress: everything that the callback uses was decided when it began.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct LoginRecord {
    /// The tag of the owner.
    pub(super) owner: String,
    pub(super) server: String,
    pub(super) label: String,
    pub(super) resource: String,
    pub(super) endpoints: Endpoints,
    pub(super) client: ClientRecord,
    pub(super) redirect_uri: String,
    pub(super) verifier: String,
    /// What was requested.
    pub(super) scopes: Scopes,
    /// Whether the response has to name its issuer.
    pub(super) names_itself: bool,
    /// The SHA-256 of what the browser's cookie holds, in base64url.
    pub(super) binding: String,
    pub(super) return_to: Option<String>,
    /// How many callbacks came from others.
    pub(super) strangers: u32,
    /// In seconds since 1970-01-01T00:00:00Z.
    pub(super) ends: u64,
}

/// The authorization server, as it was when the sign-in began.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Endpoints {
    pub(super) issuer: String,
    pub(super) token: String,
    pub(super) revocation: Option<String>,
}

/// An owner's connection to a server.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ConnectionRecord {
    pub(super) server: String,
    pub(super) label: String,
    pub(super) resource: String,
    pub(super) endpoints: Endpoints,
    pub(super) client: ClientRecord,
    pub(super) tokens: Tokens,
    pub(super) scopes: Scopes,
    pub(super) state: StoredState,
    /// In seconds since 1970-01-01T00:00:00Z.
    pub(super) created: u64,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tokens {
    #[serde(with = "access_token")]
    pub(super) access: AccessToken,
    pub(super) refresh: Option<String>,
    /// When the response came, in seconds since 1970-01-01T00:00:00Z.
    pub(super) received: u64,
    /// In seconds. `None` if the authorization server did not say.
    pub(super) expires_in: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredState {
    Active,
    /// A refresh request was about to be sent, and its outcome is not known.
    Refreshing {
        since: u64,
    },
    NeedsLogin(StoredReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredReason {
    Refused,
    Interrupted,
    ClientGone,
    NoRefreshToken,
}

/// A client that was registered at an issuer.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RegistrationRecord {
    pub(super) client: ClientRecord,
    /// When it is no longer used, in seconds since 1970-01-01T00:00:00Z.
    pub(super) ends: Option<u64>,
}

/// Who refreshes, or registers. It has no content: whose it is, its revision says.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct LeaseRecord {}

impl Form for LoginRecord {
    const KIND: &'static str = "login";
}

impl Form for ConnectionRecord {
    const KIND: &'static str = "connection";
}

impl Form for RegistrationRecord {
    const KIND: &'static str = "registration";
}

impl Form for LeaseRecord {
    const KIND: &'static str = "lease";
}

impl ClientRecord {
    /// Returns whether the client exists only because it was registered dynamically.
    pub(super) fn is_registered(&self) -> bool {
        matches!(self.source, ClientSource::Registered { .. })
    }
}

impl ConnectionRecord {
    /// Returns why the user has to sign in again. A token that has expired without a refresh token
    /// is known by its time: it is not stored, since the clock of one process may be wrong.
    pub(super) fn login_reason(&self, unix_time: Duration) -> Option<LoginReason> {
        if let StoredState::NeedsLogin(reason) = self.state {
            return Some(reason.into());
        }
        let is_over = self.tokens.remaining(unix_time).is_some_and(|time| time.is_zero());
        (is_over && self.tokens.refresh.is_none()).then_some(LoginReason::NoRefreshToken)
    }
}

impl Tokens {
    /// Returns the time until the access token expires, `None` if that is not known.
    pub(super) fn remaining(&self, unix_time: Duration) -> Option<Duration> {
        let end = self.received.saturating_add(self.expires_in?);
        Some(Duration::from_secs(end).saturating_sub(unix_time))
    }
}

impl From<StoredReason> for LoginReason {
    fn from(reason: StoredReason) -> Self {
        match reason {
            StoredReason::Refused => Self::Refused,
            StoredReason::Interrupted => Self::Interrupted,
            StoredReason::ClientGone => Self::ClientGone,
            StoredReason::NoRefreshToken => Self::NoRefreshToken,
        }
    }
}

mod access_token {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::AccessToken;

    pub(super) fn serialize<S: Serializer>(token: &AccessToken, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(token.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<AccessToken, D::Error> {
        String::deserialize(from).map(AccessToken::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The form that is in databases. A change of it needs a new version.
    fn stored_connection() -> Value {
        json!({
            "v": 1,
            "kind": "connection",
            "value": {
                "server": "https://mcp.example/mcp",
                "label": "",
                "resource": "https://mcp.example/mcp",
                "endpoints": {
                    "issuer": "https://as.example",
                    "token": "https://as.example/token",
                    "revocation": null,
                },
                "client": {
                    "id": "client",
                    "method": "basic",
                    "source": { "registered": { "secret": "secret", "key": "registration/x" } },
                },
                "tokens": {
                    "access": "access",
                    "refresh": "refresh",
                    "received": 1_800_000_000,
                    "expires_in": 3600,
                },
                "scopes": ["read"],
                "state": { "refreshing": { "since": 1_800_000_000 } },
                "created": 1_800_000_000,
            },
        })
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let stored = stored_connection();
        let record: ConnectionRecord = from_bytes(stored.to_string().as_bytes()).unwrap();
        assert_eq!(record.tokens.access.expose(), "access");
        let written: Value = serde_json::from_slice(&to_bytes(&record).unwrap()).unwrap();
        assert_eq!(written, stored);
        for (state, expected) in [
            (StoredState::Active, json!("active")),
            (
                StoredState::NeedsLogin(StoredReason::ClientGone),
                json!({ "needs_login": "client_gone" }),
            ),
            (
                StoredState::NeedsLogin(StoredReason::NoRefreshToken),
                json!({ "needs_login": "no_refresh_token" }),
            ),
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), expected);
        }
    }

    #[test]
    fn another_version_or_kind_is_not_read() {
        for (member, value) in [("v", json!(2)), ("v", json!("1")), ("kind", json!("login"))] {
            let mut stored = stored_connection();
            stored[member] = value;
            assert!(from_bytes::<ConnectionRecord>(stored.to_string().as_bytes()).is_none());
        }
        let stored = stored_connection().to_string();
        assert!(from_bytes::<RegistrationRecord>(stored.as_bytes()).is_none());
        assert!(from_bytes::<LeaseRecord>(stored.as_bytes()).is_none());
        assert!(from_bytes::<LeaseRecord>(b"").is_none());
    }

    #[test]
    fn the_time_until_a_token_expires_is_never_negative() {
        let tokens = |expires_in| Tokens {
            access: AccessToken::from("a"),
            refresh: None,
            received: 1000,
            expires_in,
        };
        for (expires_in, now, expected) in [
            (Some(60), 1000, Some(60)),
            (Some(60), 1059, Some(1)),
            (Some(60), 1060, Some(0)),
            (Some(60), 9999, Some(0)),
            // The clock was set back.
            (Some(60), 900, Some(160)),
            (Some(u64::MAX), 1000, Some(u64::MAX - 1000)),
            (None, 1000, None),
        ] {
            let remaining = tokens(expires_in).remaining(Duration::from_secs(now));
            assert_eq!(remaining.map(|time| time.as_secs()), expected, "{expires_in:?} {now}");
        }
    }
}
