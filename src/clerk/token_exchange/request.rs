//! The request of an exchange, checked before anybody is asked (RFC 8693 section 2.1).

use aws_lc_rs::digest::{Context, SHA256};

use super::error::{ExchangeError, ExchangeErrorKind};
use crate::cache::Key;
use crate::oauth::{AccessToken, AuthInfo, Scopes, TokenType, check_token68};

pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

const MAX_RESOURCE_BYTES: usize = 2 * 1024;

/// What is requested for whom.
pub(super) struct ExchangeRequest {
    pub(super) subject_token: AccessToken,
    /// When the subject token expires, in seconds since 1970-01-01T00:00:00Z.
    pub(super) subject_expires_at: Option<u64>,
    /// What the subject token has, of which the new one may have no more.
    pub(super) subject_scopes: Scopes,
    /// As the program spells it: Clerk compares byte for byte.
    pub(super) resource: Box<str>,
    /// Without any, Clerk decides.
    pub(super) scopes: Scopes,
}

impl ExchangeRequest {
    /// Checks what is requested at `now`, in seconds since 1970-01-01T00:00:00Z.
    pub(super) fn new(
        caller: &AuthInfo,
        resource: &str,
        scopes: &Scopes,
        (issuer, now): (&str, u64),
    ) -> Result<Self, ExchangeError> {
        use ExchangeErrorKind::{InvalidRequest, SubjectRejected, UnsupportedCredential};
        check_resource(resource)?;
        if caller.principal().issuer().is_some_and(|own| own != issuer) {
            let detail = "the caller was authenticated by another issuer";
            return Err(ExchangeError::new(InvalidRequest, detail));
        }
        if caller.token_type() != TokenType::OAuthToken || caller.user_id().is_none() {
            let detail = "only OAuth access tokens of users can be exchanged";
            return Err(ExchangeError::new(UnsupportedCredential, detail));
        }
        let subject_token = caller.token_for_this_server();
        if check_token68(subject_token.expose()).is_err() {
            return Err(ExchangeError::new(InvalidRequest, "the caller has no token"));
        }
        if caller.expires_at().is_some_and(|expires_at| expires_at <= now) {
            return Err(ExchangeError::new(SubjectRejected, "it has expired"));
        }
        if !scopes.iter().all(|scope| caller.scopes().contains(scope)) {
            return Err(ExchangeError::insufficient_scope(scopes));
        }
        Ok(Self {
            subject_token: subject_token.clone(),
            subject_expires_at: caller.expires_at(),
            subject_scopes: caller.scopes().clone(),
            resource: resource.into(),
            scopes: scopes.clone(),
        })
    }

    /// Returns a digest of what is requested for whom.
    pub(super) fn key(&self) -> Key {
        let mut scopes: Vec<_> = self.scopes.iter().collect();
        scopes.sort_unstable();
        let parts = [self.subject_token.expose(), &self.resource].into_iter().chain(scopes);
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part.as_bytes());
            // A separator that neither tokens, URIs nor scopes contain.
            context.update(&[0]);
        }
        let mut key = Key::default();
        key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        key
    }

    /// Returns the body, as `application/x-www-form-urlencoded`.
    pub(super) fn form(&self) -> String {
        let scope = self.scopes.to_string();
        let parameters = [
            ("grant_type", GRANT_TYPE),
            ("subject_token", self.subject_token.expose()),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
            ("resource", &self.resource),
            ("scope", &scope),
        ];
        let given = parameters.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<_> =
            given.map(|(name, value)| format!("{name}={}", form_encode(value))).collect();
        pairs.join("&")
    }
}

/// Checks that a resource is an absolute URI without a fragment (RFC 8707 section 2).
fn check_resource(resource: &str) -> Result<(), ExchangeError> {
    let scheme = resource.split_once(':').filter(|(_, rest)| !rest.is_empty());
    let is_scheme_char = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    let has_scheme = scheme.is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(is_scheme_char)
    });
    let is_uri = resource.bytes().all(|b| b.is_ascii_graphic()) && has_scheme;
    let problem = if resource.contains('#') {
        "the resource has a fragment (#), which RFC 8707 section 2 forbids"
    } else if !is_uri || resource.len() > MAX_RESOURCE_BYTES {
        "the resource is not an absolute URI, such as https://api.example.com"
    } else {
        return Ok(());
    };
    Err(ExchangeError::new(ExchangeErrorKind::InvalidRequest, problem))
}

/// Encodes a value as in a form (WHATWG URL, "application/x-www-form-urlencoded").
pub(super) fn form_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://clerk.example.com";

    fn scopes(list: &str) -> Scopes {
        Scopes::parse(list).unwrap()
    }

    #[test]
    fn a_resource_is_an_absolute_uri_without_a_fragment() {
        let long = format!("https://a.example/{}", "a".repeat(MAX_RESOURCE_BYTES));
        let rows = [
            ("https://api.example.com", true),
            ("https://api.example.com/", true),
            ("https://api.example.com/a?b=c%20d", true),
            ("urn:example:api", true),
            ("api://notes", true),
            ("https://api.example.com/#a", false),
            ("https://api.example.com#", false),
            ("api.example.com", false),
            ("/a", false),
            ("", false),
            (":a", false),
            ("https:", false),
            ("1a:b", false),
            ("https://a.example/ b", false),
            ("https://a.example/\n", false),
            ("https://\u{e4}.example", false),
            (long.as_str(), false),
        ];
        for (resource, is_valid) in rows {
            assert_eq!(check_resource(resource).is_ok(), is_valid, "{resource}");
        }
    }

    #[test]
    fn the_form_has_the_resource_byte_for_byte() {
        let caller = AuthInfo::for_user("user_1", "a.b-c_d~+/==".into()).scopes(scopes("a b:c"));
        let request = |resource: &str, list: &str| {
            let caller = caller.clone().build();
            ExchangeRequest::new(&caller, resource, &scopes(list), (ISSUER, 0)).unwrap().form()
        };
        let urn = "urn%3Aietf%3Aparams%3Aoauth%3A";
        let expected = format!(
            "grant_type={urn}grant-type%3Atoken-exchange&subject_token=a.b-c_d%7E%2B%2F%3D%3D\
             &subject_token_type={urn}token-type%3Aaccess_token\
             &requested_token_type={urn}token-type%3Aaccess_token\
             &resource=HTTPS%3A%2F%2FAPI.example.com&scope=b%3Ac+a"
        );
        assert_eq!(request("HTTPS://API.example.com", "b:c a"), expected);
        assert!(request("https://a.example/?x=1&y=%41", "").ends_with("x%3D1%26y%3D%2541"));
    }

    #[test]
    fn the_key_differs_by_token_resource_and_scopes_but_not_by_their_order() {
        let key = |token: &str, resource: &str, list: &str| {
            let caller = AuthInfo::for_user("user_1", token.into()).scopes(scopes("a b ab"));
            let caller = caller.build();
            ExchangeRequest::new(&caller, resource, &scopes(list), (ISSUER, 0)).unwrap().key()
        };
        let keys = [
            key("t", "a:b", "a b"),
            key("u", "a:b", "a b"),
            key("t", "a:b/", "a b"),
            key("t", "a:b", "ab"),
            key("t", "a:b", "a"),
            key("t", "a:b", ""),
        ];
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(key("t", "a:b", "b a"), keys[0]);
    }
}
