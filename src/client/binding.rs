//! The cookie that binds a sign-in to the browser that began it.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::callback::Callback;
use super::engine::sha256;

/// `__Host-`: the cookie comes from this very host, and not from a subdomain of it.
const PREFIX: &str = "__Host-mcp-login-";
/// How much of the hash of a `state` is in the name, so that two sign-ins have two cookies.
const NAME_CHARS: usize = 8;
const MAX_COOKIE_BYTES: usize = 256;

/// A secret that only the browser has in which a sign-in began.
///
/// It is in a cookie whose name depends on the sign-in, so that sign-ins in several tabs do not
/// disturb each other. `Debug` does not show it.
#[derive(Clone)]
pub struct BrowserBinding {
    name: String,
    secret: String,
    lifetime: Duration,
}

impl BrowserBinding {
    pub(super) fn new(state: &str, secret: String, lifetime: Duration) -> Self {
        Self { name: cookie_name(state), secret, lifetime }
    }

    /// Returns what the browser sent for the sign-in that a callback belongs to. Returns `None` if
    /// it has sent nothing, or two cookies of one name.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, callback: &Callback) -> Option<Self> {
        let name = cookie_name(&callback.state);
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookies = texts.flat_map(|text| text.split(';'));
        let mut found = cookies.filter_map(|cookie| cookie.trim().split_once('='));
        let mut found = found.by_ref().filter(|(cookie, _)| *cookie == name);
        let (_, secret) = found.next().filter(|(_, secret)| secret.len() <= MAX_COOKIE_BYTES)?;
        let secret = secret.to_owned();
        found.next().is_none().then_some(Self { name, secret, lifetime: Duration::ZERO })
    }

    pub(super) fn digest(&self) -> String {
        sha256(&self.secret)
    }

    /// Compares in constant time.
    pub(super) fn has_digest(&self, digest: &str) -> bool {
        verify_slices_are_equal(self.digest().as_bytes(), digest.as_bytes()).is_ok()
    }

    /// Returns the value of the `Set-Cookie` header that sets the cookie.
    pub(super) fn set_cookie(&self) -> HeaderValue {
        set_cookie(&self.name, &self.secret, self.lifetime.as_secs())
    }
}

/// Returns the value of the `Set-Cookie` header that removes the cookie of a sign-in.
pub(super) fn remove_cookie(callback: &Callback) -> HeaderValue {
    set_cookie(&cookie_name(&callback.state), "", 0)
}

fn set_cookie(name: &str, value: &str, max_age: u64) -> HeaderValue {
    // `Lax`: the redirect from the authorization server is a navigation from another site.
    let text = format!("{name}={value}; Path=/; Max-Age={max_age}; Secure; HttpOnly; SameSite=Lax");
    let mut header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

fn cookie_name(state: &str) -> String {
    let hash = sha256(state);
    format!("{PREFIX}{}", hash.get(..NAME_CHARS).unwrap_or_default())
}

impl fmt::Debug for BrowserBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrowserBinding").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_of_a_sign_in_is_found_among_others() {
        let callback = Callback::from_query("state=s&code=c").unwrap();
        let binding = BrowserBinding::new("s", "secret".to_owned(), Duration::from_secs(600));
        let set = binding.set_cookie();
        assert!(set.is_sensitive());
        let set = set.to_str().unwrap();
        let (cookie, attributes) = set.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax");
        let other = BrowserBinding::new("t", "other".to_owned(), Duration::ZERO).set_cookie();
        let other = other.to_str().unwrap().split(';').next().unwrap();
        let headers = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
            }
            headers
        };
        let joined = format!("a=b; {other};{cookie}; c");
        for lines in [vec![cookie], vec![joined.as_str()], vec!["a=b", cookie]] {
            let found = BrowserBinding::from_headers(&headers(&lines), &callback).unwrap();
            assert!(found.has_digest(&binding.digest()), "{lines:?}");
        }
        let twice = format!("{cookie}; {cookie}");
        let long = format!("{cookie}{}", "a".repeat(MAX_COOKIE_BYTES));
        for lines in [vec![], vec!["a=b"], vec![other], vec![twice.as_str()], vec![long.as_str()]] {
            assert!(BrowserBinding::from_headers(&headers(&lines), &callback).is_none());
        }
        let wrong = headers(&[&format!("{cookie}x")]);
        let wrong = BrowserBinding::from_headers(&wrong, &callback).unwrap();
        assert!(!wrong.has_digest(&binding.digest()));
        let name = cookie.split('=').next().unwrap();
        let removed = format!("{name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(remove_cookie(&callback).to_str().unwrap(), removed);
    }
}
