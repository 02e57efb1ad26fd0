//! The check of a token's audience (claim `aud`, RFC 8707).

use std::str::FromStr;

use super::ResourceUrl;
use crate::error::{ConfigError, VerifyError, VerifyErrorKind};

/// How the audience of a token is checked.
///
/// Clerk writes `aud` into a token only if the URL of the MCP server is registered with the
/// instance (Dashboard, *Agents → MCP servers*), which also turns the audience claim on, and if the
/// client sent the `resource` parameter of RFC 8707. MCP 2026-07-28 requires clients to send it and
/// servers to check it; some older clients do not send it. Grants from before the registration keep
/// getting tokens without `aud`.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::instance::FrontendApi;
/// use clerk_mcp_tools::{Audience, ClerkVerifier};
///
/// let verifier = ClerkVerifier::builder()
///     .frontend_api(FrontendApi::parse("https://clerk.example.com")?)
///     .resource("https://mcp.example.com/mcp".parse()?)
///     .audience(Audience::IfPresent)
///     .build()?;
/// # let _ = verifier;
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Audience {
    /// The token must name this server's resource. The default, and the only safe choice for a
    /// Clerk instance with more than one server.
    #[default]
    Require,
    /// Also accepts a token without an audience.
    ///
    /// **Weaker**: a token that a user granted to a client for another server of the same Clerk
    /// instance is accepted here too, if the client does not send `resource`.
    IfPresent,
    /// The audience is not checked.
    ///
    /// **Weakest**: every access token of the Clerk instance is accepted, whichever server it was
    /// issued for.
    Any,
}

impl Audience {
    /// Parses `require`, `if-present` or `any`, the values of `MCP_AUDIENCE`.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is not one of these values.
    pub fn parse(mode: &str) -> Result<Self, ConfigError> {
        match mode {
            "require" => Ok(Self::Require),
            "if-present" => Ok(Self::IfPresent),
            "any" => Ok(Self::Any),
            _ => Err(ConfigError::invalid_value(
                "audience mode",
                "MCP_AUDIENCE",
                "it must be require, if-present or any",
            )),
        }
    }

    /// Checks the audiences of a token and returns the one that is this server's resource, if any.
    pub(crate) fn check<'a>(
        self,
        resource: Option<&ResourceUrl>,
        audience: Option<&'a [String]>,
    ) -> Result<Option<&'a str>, VerifyError> {
        let matching = resource.and_then(|resource| {
            audience
                .unwrap_or_default()
                .iter()
                .map(String::as_str)
                .find(|name| resource.matches(name))
        });
        match self {
            Self::Any => Ok(matching),
            Self::IfPresent if audience.is_none() => Ok(None),
            Self::Require | Self::IfPresent => match resource {
                None => Err(no_resource()),
                Some(own) => matching.map(Some).ok_or_else(|| wrong_audience(audience, own)),
            },
        }
    }
}

impl FromStr for Audience {
    type Err = ConfigError;

    fn from_str(mode: &str) -> Result<Self, Self::Err> {
        Self::parse(mode)
    }
}

fn no_resource() -> VerifyError {
    VerifyError::new(VerifyErrorKind::Misconfigured).with_detail(
        "the audience cannot be checked because the verifier has no resource: set the public URL \
         of the MCP endpoint (`resource`, MCP_RESOURCE_URL), or use `Audience::Any`",
    )
}

/// The likeliest cause comes first: an endpoint that is not registered with Clerk.
fn wrong_audience(audience: Option<&[String]>, own: &ResourceUrl) -> VerifyError {
    let detail = match audience {
        None | Some([]) => {
            "the token names no audience: the URL of this server is not registered with Clerk \
             (Dashboard, Agents, MCP servers, Add MCP server), which also turns the audience claim \
             on; or its user signed in before that, and has to sign in again; or the client did \
             not send the `resource` parameter (RFC 8707): update it, or accept such tokens with \
             `Audience::IfPresent` (MCP_AUDIENCE=if-present), which is weaker"
        }
        Some(_) => {
            "the token was issued for another resource: the URL that is registered with Clerk, the \
             URL that the client uses, and the resource URL of this server (MCP_RESOURCE_URL) must \
             be the same, byte for byte"
        }
    };
    VerifyError::new(VerifyErrorKind::InvalidAudience)
        .with_detail(detail)
        .with_context(AudienceMismatch::new(audience.unwrap_or_default(), own))
}

/// The strings that were compared, for the log. Bounded, since rejections are cached, and without
/// the parts of a URL that may hold a secret: user information, query and fragment.
#[derive(Debug)]
pub(crate) struct AudienceMismatch {
    pub(crate) audience: Vec<String>,
    pub(crate) resource: String,
}

impl AudienceMismatch {
    /// Further audiences are shown as `…`.
    const MAX_AUDIENCES: usize = 4;
    const MAX_CHARS: usize = 200;

    fn new(audience: &[String], own: &ResourceUrl) -> Self {
        let shown = audience.iter().take(Self::MAX_AUDIENCES).map(|name| Self::shown(name));
        let more = (audience.len() > Self::MAX_AUDIENCES).then(|| "…".to_owned());
        Self { audience: shown.chain(more).collect(), resource: Self::shown(own.as_str()) }
    }

    /// Returns a URL as a log may show it.
    pub(crate) fn shown(url: &str) -> String {
        let is_before_query = |c: &char| !matches!(c, '?' | '#');
        let mut shown: String = url.chars().take_while(is_before_query).collect();
        if let Some(query) = url.get(shown.len()..).and_then(|rest| rest.chars().next()) {
            shown.extend([query, '…']);
        }
        let start = shown.find("://").map_or(0, |colon| colon + 3);
        let authority = shown.get(start..).unwrap_or_default();
        let end = start + authority.find('/').unwrap_or(authority.len());
        if let Some(at) = shown.get(start..end).and_then(|authority| authority.rfind('@')) {
            shown.replace_range(start..start + at, "…");
        }
        if shown.chars().nth(Self::MAX_CHARS).is_none() {
            return shown;
        }
        shown.chars().take(Self::MAX_CHARS).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCE: &str = "https://h.example/mcp";

    #[test]
    fn each_mode_accepts_only_its_audiences() {
        use VerifyErrorKind::{InvalidAudience, Misconfigured};
        type Row = (
            Audience,
            bool,
            Option<&'static [&'static str]>,
            Result<Option<&'static str>, VerifyErrorKind>,
        );
        let rows: [Row; 16] = [
            (Audience::Require, true, Some(&[RESOURCE]), Ok(Some(RESOURCE))),
            (Audience::Require, true, Some(&["https://o.example", RESOURCE]), Ok(Some(RESOURCE))),
            (Audience::Require, true, Some(&["https://o.example"]), Err(InvalidAudience)),
            (Audience::Require, true, Some(&[]), Err(InvalidAudience)),
            (Audience::Require, true, None, Err(InvalidAudience)),
            (Audience::Require, false, Some(&[RESOURCE]), Err(Misconfigured)),
            (Audience::Require, false, None, Err(Misconfigured)),
            (Audience::IfPresent, true, Some(&[RESOURCE]), Ok(Some(RESOURCE))),
            (Audience::IfPresent, true, Some(&["https://o.example"]), Err(InvalidAudience)),
            (Audience::IfPresent, true, Some(&[]), Err(InvalidAudience)),
            (Audience::IfPresent, true, None, Ok(None)),
            (Audience::IfPresent, false, Some(&[RESOURCE]), Err(Misconfigured)),
            (Audience::IfPresent, false, None, Ok(None)),
            (Audience::Any, true, Some(&[RESOURCE]), Ok(Some(RESOURCE))),
            (Audience::Any, true, Some(&["https://o.example"]), Ok(None)),
            (Audience::Any, false, None, Ok(None)),
        ];
        let resource = ResourceUrl::parse(RESOURCE).unwrap();
        for (mode, has_resource, audience, expected) in rows {
            let audience: Option<Vec<String>> =
                audience.map(|list| list.iter().map(ToString::to_string).collect());
            let outcome = mode.check(has_resource.then_some(&resource), audience.as_deref());
            assert_eq!(
                outcome.map_err(|error| error.kind()),
                expected,
                "{mode:?} {has_resource} {audience:?}"
            );
        }
    }

    #[test]
    fn a_mismatch_shows_the_compared_strings_bounded_and_without_secrets() {
        let resource = ResourceUrl::parse("https://h.example/mcp?key=marked").unwrap();
        let long = format!("https://o.example/{}", "ä".repeat(300));
        let cut = format!("https://o.example/{}…", "ä".repeat(182));
        let rows: [(&str, &str); 9] = [
            ("https://o.example/mcp", "https://o.example/mcp"),
            ("https://o.example/mcp?client=marked", "https://o.example/mcp?…"),
            ("https://o.example#marked", "https://o.example#…"),
            ("https://marked:marked@o.example/x@y", "https://…@o.example/x@y"),
            ("marked@o.example", "…@o.example"),
            ("https://o.example/@marked?", "https://o.example/@marked?…"),
            ("", ""),
            ("*", "*"),
            (&long, &cut),
        ];
        for (name, shown) in rows {
            let audience = [name.to_owned()];
            let error = Audience::Require.check(Some(&resource), Some(&audience)).unwrap_err();
            let mismatch: &AudienceMismatch = error.context().unwrap();
            assert_eq!(mismatch.audience, [shown]);
            assert_eq!(mismatch.resource, "https://h.example/mcp?…");
        }
        let many: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        assert_eq!(AudienceMismatch::new(&many, &resource).audience, ["0", "1", "2", "3", "…"]);
        let none = Audience::Require.check(Some(&resource), None).unwrap_err();
        assert!(none.context::<AudienceMismatch>().unwrap().audience.is_empty());
    }
}
