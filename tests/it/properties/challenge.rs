//! The `WWW-Authenticate` header, as rmcp and a parser of the grammar read it.

use clerk_mcp_tools::metadata::protected_resource_metadata_url;
use clerk_mcp_tools::response::BearerChallenge;
use clerk_mcp_tools::{ResourceUrl, Scopes};
use proptest::prelude::*;
use rmcp::transport::auth::WWWAuthenticateParams;

use super::{config, resource_url, scope_token};

const ERRORS: [Option<(&str, &str)>; 3] = [
    None,
    Some(("invalid_token", "The access token has expired")),
    Some(("insufficient_scope", "scope=\"a\", \\ and more")),
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rmcp_and_a_grammar_parser_read_the_same_parameters(
        resource in resource_url(),
        scopes in proptest::collection::vec(scope_token(), 0..6),
        error in proptest::sample::select(ERRORS.to_vec()),
    ) {
        let url = protected_resource_metadata_url(&ResourceUrl::parse(&resource).unwrap());
        let scopes = Scopes::new(&scopes).unwrap();
        let challenge = BearerChallenge::new(&url).scope(&scopes);
        let challenge = match error {
            Some((code, description)) => challenge.error(code, description),
            None => challenge,
        };
        let value = challenge.to_header_value();
        let text = value.to_str().unwrap();

        let advertised: Vec<&str> =
            scopes.iter().filter(|scope| *scope != "offline_access").collect();
        let scope = (!advertised.is_empty()).then(|| advertised.join(" "));
        let expected = [
            error.map(|(code, _)| ("error", code.to_owned())),
            error.map(|(_, description)| ("error_description", description.to_owned())),
            Some(("resource_metadata", url.clone())),
            scope.clone().map(|scope| ("scope", scope)),
        ];
        let expected: Vec<_> =
            expected.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
        prop_assert_eq!(parameters(text), Some(expected));

        // rmcp normalizes the URL, and searches for parameter names without parsing quoted strings,
        // so values that contain such names are left out.
        let has_no_names = error.is_none_or(|(_, description)| !description.contains('='));
        if has_no_names && !text.contains("=\\") {
            let read = WWWAuthenticateParams::parse(text, &resource.parse().unwrap());
            let normalized = String::from(url.parse::<url::Url>().unwrap());
            prop_assert_eq!(read.resource_metadata_url.map(String::from), Some(normalized));
            prop_assert_eq!(read.scope, scope);
            prop_assert_eq!(read.error.as_deref(), error.map(|(code, _)| code));
        }
    }
}

/// Parses the parameters of one `Bearer` challenge by the grammar of RFC 9110 section 11.6.1:
/// `name="quoted-string"`, separated by commas. Returns `None` if it is malformed.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.strip_prefix("Bearer ")?;
    let mut found = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let (value, end) = quoted(after)?;
        if !is_name || found.iter().any(|(known, _)| known == name) {
            return None;
        }
        found.push((name.to_owned(), value));
        match end.strip_prefix(", ") {
            Some(more) => rest = more,
            None => return end.is_empty().then_some(found),
        }
    }
}

/// Parses a quoted string (RFC 9110 section 5.6.4) after its opening quote. Returns its value and
/// the rest.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            ' '..='~' => value.push(c),
            _ => return None,
        }
    }
    None
}
