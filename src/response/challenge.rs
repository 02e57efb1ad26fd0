//! The `WWW-Authenticate` header (RFC 6750 section 3, RFC 9728 section 5.1).

use http::HeaderValue;

use crate::oauth::Scopes;

/// A `Bearer` challenge, from which a client learns how to obtain a token that is accepted.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::response::BearerChallenge;
/// use clerk_mcp_tools::Scopes;
///
/// let metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
/// let challenge = BearerChallenge::new(metadata)
///     .scope(&Scopes::parse("profile email")?)
///     .to_header_value();
/// assert_eq!(
///     challenge,
///     "Bearer resource_metadata=\"https://mcp.example.com/.well-known/\
///      oauth-protected-resource/mcp\", scope=\"profile email\"",
/// );
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BearerChallenge<'a> {
    error: Option<(&'static str, &'static str)>,
    resource_metadata: &'a str,
    scope: String,
}

impl<'a> BearerChallenge<'a> {
    /// Creates a challenge with the URL of the resource's metadata and without an error.
    pub fn new(resource_metadata: &'a str) -> Self {
        Self { error: None, resource_metadata, scope: String::new() }
    }

    /// Sets every scope that the request needs. Defaults to none. `offline_access` is left out,
    /// since it grants nothing at a resource.
    pub fn scope(mut self, scopes: &Scopes) -> Self {
        self.scope = scopes.advertisable().to_string();
        self
    }

    /// Sets the error code (RFC 6750 section 3.1) and its description. Defaults to none, which is
    /// right for a request without credentials.
    pub fn error(mut self, code: &'static str, description: &'static str) -> Self {
        self.error = Some((code, description));
        self
    }

    /// Returns the value of the header.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        let mut text = String::from("Bearer ");
        if let Some((code, description)) = self.error {
            push_param(&mut text, "error", code);
            push_param(&mut text, "error_description", description);
        }
        push_param(&mut text, "resource_metadata", self.resource_metadata);
        if !self.scope.is_empty() {
            push_param(&mut text, "scope", &self.scope);
        }
        // Only spaces and visible ASCII are written, so the conversion never fails. The fallback is
        // a valid challenge all the same.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

/// Appends `name="value"` (RFC 9110 section 5.6.4). Characters that a header cannot carry are left
/// out, which prevents header injection.
fn push_param(text: &mut String, name: &str, value: &str) {
    if !text.ends_with(' ') {
        text.push_str(", ");
    }
    text.push_str(name);
    text.push_str("=\"");
    for c in value.chars().filter(|c| *c == ' ' || c.is_ascii_graphic()) {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_error_first_and_quotes_every_value() {
        let value = BearerChallenge::new("https://h.example/m")
            .error("invalid_token", "The access token has expired")
            .scope(&Scopes::parse("a offline_access b").unwrap())
            .to_header_value();
        assert_eq!(
            value,
            "Bearer error=\"invalid_token\", error_description=\"The access token has expired\", \
             resource_metadata=\"https://h.example/m\", scope=\"a b\"",
        );
    }

    #[test]
    fn escapes_quotes_and_drops_line_breaks() {
        let value = BearerChallenge::new("https://h.example/\"\\\r\nX: y\u{e4}").to_header_value();
        assert_eq!(value, "Bearer resource_metadata=\"https://h.example/\\\"\\\\X: y\"");
    }
}
