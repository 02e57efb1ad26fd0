//! The text of a `WWW-Authenticate` header (RFC 6750 section 3, RFC 9728 section 5.1).

use http::HeaderValue;

use crate::oauth::Scopes;

/// A `Bearer` challenge: what a client needs to know to get a token that will do.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::response::BearerChallenge;
/// use clerk_mcp_tools::Scopes;
///
/// let challenge = BearerChallenge::new("https://mcp.example.com/.well-known/oauth-protected-resource/mcp")
///     .scope(&Scopes::parse("profile email")?)
///     .to_header_value();
/// assert_eq!(
///     challenge,
///     "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", \
///      scope=\"profile email\"",
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
    /// A challenge that names where the resource's metadata stands, and no error.
    pub fn new(resource_metadata: &'a str) -> Self {
        Self { error: None, resource_metadata, scope: String::new() }
    }

    /// Names every scope that the request needs. `offline_access` is left out: it grants nothing here.
    pub fn scope(mut self, scopes: &Scopes) -> Self {
        self.scope = scopes.advertisable().to_string();
        self
    }

    /// Names what was wrong with the credentials: a code of RFC 6750 section 3.1 and a sentence. A request without
    /// credentials gets neither.
    pub fn error(mut self, code: &'static str, description: &'static str) -> Self {
        self.error = Some((code, description));
        self
    }

    /// The header's value.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        let mut text = String::from("Bearer ");
        if let Some((code, description)) = self.error {
            push(&mut text, "error", code);
            push(&mut text, "error_description", description);
        }
        push(&mut text, "resource_metadata", self.resource_metadata);
        if !self.scope.is_empty() {
            push(&mut text, "scope", &self.scope);
        }
        // Only visible ASCII is written, so the fallback is never taken; it is still a challenge.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

/// Appends `name="value"` (RFC 9110 section 5.6.4). What a header cannot carry is left out: no input gets to write a
/// line of its own.
fn push(text: &mut String, name: &str, value: &str) {
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
    fn puts_the_error_first_and_quotes_everything() {
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
    fn lets_no_input_out_of_its_quotes() {
        let value = BearerChallenge::new("https://h.example/\"\\\r\nX: y\u{e4}").to_header_value();
        assert_eq!(value, "Bearer resource_metadata=\"https://h.example/\\\"\\\\X: y\"");
    }
}
