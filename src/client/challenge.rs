//! Reads the `WWW-Authenticate` header of an MCP server (RFC 9110 section 11.6.1, RFC 6750 section
//! 3, RFC 9728 section 5.1).

use http::HeaderValue;

use crate::oauth::Scopes;

/// Longer headers are not read.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// The parameters of a `Bearer` challenge that a client uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) resource_metadata: Option<String>,
    pub(super) scopes: Option<Scopes>,
}

impl Challenge {
    /// Returns the first `Bearer` challenge of the headers.
    pub(super) fn find<'a>(headers: impl IntoIterator<Item = &'a HeaderValue>) -> Option<Self> {
        headers.into_iter().find_map(Self::parse)
    }

    pub(super) fn parse(header: &HeaderValue) -> Option<Self> {
        let text = header.to_str().ok().filter(|text| text.len() <= MAX_HEADER_BYTES)?;
        let mut found: Option<Self> = None;
        let mut in_bearer = false;
        for part in Parts(text) {
            match part {
                Part::Scheme(_) if found.is_some() => break,
                Part::Scheme(name) => {
                    in_bearer = name.eq_ignore_ascii_case("bearer");
                    if in_bearer {
                        found = Some(Self::default());
                    }
                }
                Part::Parameter(name, value) => {
                    if let Some(challenge) = found.as_mut().filter(|_| in_bearer) {
                        challenge.set(name, value);
                    }
                }
            }
        }
        found
    }

    /// Sets a parameter. The first one of a name counts.
    fn set(&mut self, name: &str, value: String) {
        if name.eq_ignore_ascii_case("resource_metadata") {
            self.resource_metadata.get_or_insert(value);
        } else if name.eq_ignore_ascii_case("scope") && self.scopes.is_none() {
            self.scopes = Scopes::granted(value.split(' '));
        }
    }
}

enum Part<'a> {
    Scheme(&'a str),
    Parameter(&'a str, String),
}

/// The schemes and parameters of the rest of a header. Ends at what is neither.
struct Parts<'a>(&'a str);

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
        let word = self.take_while(is_token_char);
        if word.is_empty() {
            return None;
        }
        let after = self.0.trim_start_matches([' ', '\t']);
        let Some(value) = after.strip_prefix('=').filter(|rest| !rest.starts_with('=')) else {
            // The credentials of `Negotiate` and others: a token68, which may end with `=`.
            self.0 = self.0.trim_start_matches('=');
            return Some(Part::Scheme(word));
        };
        self.0 = value.trim_start_matches([' ', '\t']);
        match self.0.strip_prefix('"') {
            Some(quoted) => self.quoted(word, quoted),
            None => {
                let value = self.take_while(|c| is_token_char(c) || c == '/' || c == ':');
                Some(Part::Parameter(word, value.to_owned()))
            }
        }
    }
}

impl<'a> Parts<'a> {
    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        word
    }

    /// RFC 9110 section 5.6.4.
    fn quoted(&mut self, name: &'a str, quoted: &'a str) -> Option<Part<'a>> {
        let mut value = String::new();
        let mut chars = quoted.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => value.push(chars.next()?),
                c => value.push(c),
            }
        }
        self.0 = chars.as_str();
        Some(Part::Parameter(name, value))
    }
}

/// RFC 9110 section 5.6.2.
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::response::BearerChallenge;

    fn parse(header: &str) -> Option<Challenge> {
        Challenge::parse(&HeaderValue::from_str(header).unwrap())
    }

    fn challenge(resource_metadata: Option<&str>, scopes: Option<&str>) -> Option<Challenge> {
        Some(Challenge {
            resource_metadata: resource_metadata.map(str::to_owned),
            scopes: scopes.map(|scopes| Scopes::parse(scopes).unwrap()),
        })
    }

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        let rows = [
            ("Bearer", challenge(None, None)),
            ("bearer scope=read", challenge(None, Some("read"))),
            (
                "Bearer error=\"invalid_token\", resource_metadata=\"https://h/m\", scope=\"a b\"",
                challenge(Some("https://h/m"), Some("a b")),
            ),
            ("Bearer resource_metadata=https://h/m", challenge(Some("https://h/m"), None)),
            ("Bearer Resource_Metadata = \"x\"", challenge(Some("x"), None)),
            ("Bearer scope=\"a\\\"b\", scope=\"c\"", challenge(None, Some(""))),
            ("Bearer scope=\"\"", challenge(None, Some(""))),
            (
                "Basic realm=\"Bearer scope=x\", Bearer scope=\"a\", DPoP scope=\"c\"",
                challenge(None, Some("a")),
            ),
            ("Negotiate YWJj==, Bearer scope=\"a\"", challenge(None, Some("a"))),
            ("Basic realm=\"x\", scope=\"y\"", None),
            ("Bearerish scope=\"a\"", None),
            ("", None),
            ("=", None),
            // What follows an unfinished string is not read.
            ("Bearer resource_metadata=\"x\", scope=\"a", challenge(Some("x"), None)),
            (", , Bearer ,, scope=a ,", challenge(None, Some("a"))),
        ];
        for (header, expected) in rows {
            assert_eq!(parse(header), expected, "{header}");
        }
        let long = format!("Bearer scope=\"{}\"", "a".repeat(MAX_HEADER_BYTES));
        assert_eq!(parse(&long), None);
        let headers = ["Basic realm=\"x\"", "Bearer scope=\"a\""].map(HeaderValue::from_static);
        assert_eq!(Challenge::find(&headers), challenge(None, Some("a")));
    }

    proptest! {
        #[test]
        fn what_this_crate_writes_is_read(url in "[ -~]{0,40}", scope in "[!#-\\[\\]-~]{1,20}") {
            let scopes = Scopes::new([scope.as_str()]).unwrap();
            let header = BearerChallenge::new(&url).scope(&scopes).to_header_value();
            let scopes = (scope != "offline_access").then_some(scopes);
            let expected = Challenge { resource_metadata: Some(url), scopes };
            prop_assert_eq!(Challenge::parse(&header), Some(expected));
        }

        #[test]
        fn any_header_is_read_to_its_end(header in "[ -~\t]{0,200}") {
            let _ = Challenge::parse(&HeaderValue::from_str(&header).unwrap());
        }
    }
}
