//! Reads the authorization response (RFC 6749 section 4.1.2, RFC 9207 section 2).

use std::fmt;

use super::error::{CallbackError, CallbackErrorKind, OAuthCode};
use super::form;

const MAX_QUERY_BYTES: usize = 16 * 1024;
const MAX_STATE_BYTES: usize = 512;

/// The parameters of a request to the redirect URI.
///
/// Nothing in it is trusted before [`Connections`](super::Connections) has found the sign-in that
/// it belongs to. `Debug` shows no parameter.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::{Callback, CallbackErrorKind};
///
/// let callback = Callback::from_query("code=abc&state=xyz&iss=https%3A%2F%2Fas.example")?;
/// let error = Callback::from_query("code=abc").unwrap_err();
/// assert_eq!(error.kind(), CallbackErrorKind::Malformed);
/// # Ok::<(), clerk_mcp_tools::client::CallbackError>(())
/// ```
#[derive(Clone)]
pub struct Callback {
    pub(super) state: String,
    pub(super) issuer: Option<String>,
    pub(super) answer: Answer,
}

#[derive(Clone)]
pub(super) enum Answer {
    Code(String),
    /// The error code, if a standard defines it.
    Error(Option<OAuthCode>),
}

impl Callback {
    /// Parses the query of a request, without its question mark.
    ///
    /// # Errors
    ///
    /// Returns [`CallbackErrorKind::Malformed`] if it is not an authorization response: a `state`,
    /// and either a `code` or an `error`, each at most once.
    pub fn from_query(query: &str) -> Result<Self, CallbackError> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(malformed("the query is too long"));
        }
        let pairs =
            form::decode(query).ok_or_else(|| malformed("the query is not form-encoded"))?;
        let mut parameters = Parameters(pairs);
        let state = parameters.take("state")?.ok_or_else(|| malformed("there is no state"))?;
        if state.len() > MAX_STATE_BYTES {
            return Err(malformed("the state is too long"));
        }
        let issuer = parameters.take("iss")?;
        let answer = match (parameters.take("code")?, parameters.take("error")?) {
            (Some(code), None) => Answer::Code(code),
            (None, Some(error)) => Answer::Error(OAuthCode::parse(&error)),
            (Some(_), Some(_)) => return Err(malformed("there is a code and an error")),
            (None, None) => return Err(malformed("there is neither a code nor an error")),
        };
        Ok(Self { state, issuer, answer })
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_error = matches!(self.answer, Answer::Error(_));
        f.debug_struct("Callback").field("is_error", &is_error).finish_non_exhaustive()
    }
}

struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// A parameter without a value is treated as omitted, and must not be repeated (RFC 6749
    /// section 3.1).
    fn take(&mut self, name: &str) -> Result<Option<String>, CallbackError> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.clone());
        if values.next().is_some() {
            return Err(malformed("a parameter is repeated"));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }
}

fn malformed(detail: &'static str) -> CallbackError {
    CallbackError::new(CallbackErrorKind::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_response_has_a_state_and_one_answer() {
        let callback = Callback::from_query("iss=i&code=a%20b&state=s&x=1&x=2").unwrap();
        assert_eq!((callback.state.as_str(), callback.issuer.as_deref()), ("s", Some("i")));
        assert!(matches!(&callback.answer, Answer::Code(code) if code == "a b"));
        let denied = Callback::from_query("error=access_denied&state=s&code=").unwrap();
        assert!(matches!(denied.answer, Answer::Error(Some(OAuthCode::ACCESS_DENIED))));
        let other = Callback::from_query("error=%3Cscript%3E&state=s").unwrap();
        assert!(matches!(other.answer, Answer::Error(None)));
        for query in [
            "",
            "code=a",
            "state=s",
            "state=&code=a",
            "state=s&code=",
            "state=s&code=a&error=access_denied",
            "state=s&state=s&code=a",
            "state=s&code=a&code=b",
            "state=s&code=a&iss=a&iss=b",
            "state=s&code=%ff",
            &format!("state={}&code=a", "s".repeat(MAX_STATE_BYTES + 1)),
            &format!("state=s&code={}", "a".repeat(MAX_QUERY_BYTES)),
        ] {
            let error = Callback::from_query(query).unwrap_err();
            assert_eq!(error.kind(), CallbackErrorKind::Malformed, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_read_to_its_end_and_not_shown(
            query in "[ -~]{0,60}",
            state in "[a-z]{20}",
            code in "[ -~]{20}",
        ) {
            let _ = Callback::from_query(&query);
            let pairs = [("state", state.as_str()), ("code", code.as_str())];
            let callback = Callback::from_query(&form::encode(pairs)).unwrap();
            prop_assert_eq!(&callback.state, &state);
            prop_assert!(matches!(&callback.answer, Answer::Code(found) if *found == code));
            let shown = format!("{callback:?}");
            prop_assert!(!shown.contains(&state));
        }
    }
}
