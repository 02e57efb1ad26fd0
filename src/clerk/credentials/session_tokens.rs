//! Which session tokens a server accepts, and what they are granted.

use std::collections::BTreeSet;

use crate::error::ConfigError;
use crate::oauth::{Scopes, check_origin, parse_uri};

/// The rules for session tokens, for
/// [`accept_session_tokens`](crate::ClerkVerifierBuilder::accept_session_tokens).
///
/// **A session token is a whole login.** Accept it only from the application's own frontend, never
/// from a client of another party: a user who gives it away gives all of the account away. It is a
/// JWT that lives for 60 seconds and names no server; what binds it is the origin of the frontend
/// that got it (claim `azp`), which must be on the list.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::clerk::SessionTokens;
/// use clerk_mcp_tools::instance::FrontendApi;
/// use clerk_mcp_tools::{ClerkVerifier, Scopes};
///
/// let sessions = SessionTokens::from_authorized_parties(["https://app.example.com"])?
///     .granting(Scopes::parse("profile")?);
/// let verifier = ClerkVerifier::builder()
///     .frontend_api(FrontendApi::parse("https://clerk.example.com")?)
///     .accept_session_tokens(sessions)
///     .build()?;
/// # let _ = verifier;
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SessionTokens {
    authorized_parties: BTreeSet<String>,
    granted: Scopes,
}

impl SessionTokens {
    /// Accepts session tokens of frontends at these origins, such as `https://app.example.com`.
    /// They are compared as text.
    ///
    /// # Errors
    ///
    /// Returns an error if there are none, or if one is not an origin: `https`, or `http` on a
    /// loopback host, without a path and a slash at the end.
    pub fn from_authorized_parties<I>(origins: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let origins: BTreeSet<String> = origins.into_iter().map(Into::into).collect();
        if origins.is_empty() {
            return Err(missing());
        }
        origins.iter().try_for_each(|origin| check_party(origin))?;
        Ok(Self { authorized_parties: origins, granted: Scopes::none() })
    }

    /// Sets the scopes that a session is granted. Defaults to none, so that a server that requires
    /// scopes rejects it with 403.
    pub fn granting(mut self, scopes: Scopes) -> Self {
        self.granted = scopes;
        self
    }

    pub(in crate::clerk) fn is_authorized(&self, party: &str) -> bool {
        self.authorized_parties.contains(party)
    }

    pub(in crate::clerk) fn granted(&self) -> &Scopes {
        &self.granted
    }
}

pub(in crate::clerk) fn missing() -> ConfigError {
    ConfigError::missing(
        "MCP_AUTHORIZED_PARTIES",
        "is not set: session tokens are accepted only from the application's own frontends; set \
         their origins, separated by spaces, such as https://app.example.com",
    )
}

fn check_party(origin: &str) -> Result<(), ConfigError> {
    let invalid = |why: &str| {
        ConfigError::invalid_value(
            "authorized party",
            "MCP_AUTHORIZED_PARTIES",
            format!(
                "it {why}; set the origin of the frontend as browsers write it, such as \
                 https://app.example.com"
            ),
        )
    };
    let uri = parse_uri(origin).ok_or_else(|| invalid("is not an origin"))?;
    check_origin(&uri).map_err(invalid)?;
    let has_path = uri.path() != "/" || origin.ends_with('/');
    if has_path || uri.query().is_some() || origin.contains('#') {
        return Err(invalid("has a path or a slash at its end"));
    }
    if origin.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(invalid("has upper case letters, which browsers do not send"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_are_origins_and_compared_as_text() {
        let rows = [
            ("https://app.example.com", None),
            ("https://app.example.com:8443", None),
            ("http://localhost:3000", None),
            ("https://app.example.com/", Some("has a path")),
            ("https://app.example.com/x", Some("has a path")),
            ("https://app.example.com?x", Some("has a path")),
            ("https://App.example.com", Some("has upper case")),
            ("http://app.example.com", Some("uses http:")),
            ("https://u@app.example.com", Some("has a user name")),
            ("app.example.com", Some("")),
            ("*", Some("")),
            ("https://a.example,https://b.example", Some("")),
            ("", Some("is not an origin")),
        ];
        for (origin, expected) in rows {
            let error = SessionTokens::from_authorized_parties([origin]).err();
            let Some(expected) = expected else {
                assert_eq!(error, None, "{origin}");
                continue;
            };
            let message = error.unwrap_or_else(|| panic!("{origin}")).to_string();
            let start = format!("invalid authorized party: it {expected}");
            assert!(message.starts_with(&start), "{origin}: {message}");
        }
        assert!(SessionTokens::from_authorized_parties([""; 0]).is_err());
        let rules = SessionTokens::from_authorized_parties(["https://a.example"]).unwrap();
        assert!(rules.is_authorized("https://a.example"));
        for party in ["https://A.example", "https://a.example/", "https://a.example:443", "a"] {
            assert!(!rules.is_authorized(party), "{party}");
        }
    }
}
