//! The check of a token's audience (claim `aud`, RFC 8707).

use std::str::FromStr;

use super::ResourceUrl;
use crate::error::{ConfigError, VerifyError, VerifyErrorKind};

/// How the audience of a token is checked.
///
/// Clerk writes `aud` into a token only if the client sent the `resource` parameter of RFC 8707.
/// MCP 2026-07-28 requires clients to send it and servers to check it; some older clients do not
/// send it.
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
                Some(_) => matching.map(Some).ok_or_else(|| wrong_audience(audience)),
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

fn wrong_audience(audience: Option<&[String]>) -> VerifyError {
    let detail = match audience {
        None | Some([]) => {
            "the token names no audience: the client did not send the `resource` parameter (RFC \
             8707) with its authorization request; update the client, or accept such tokens with \
             `Audience::IfPresent` (MCP_AUDIENCE=if-present)"
        }
        Some(_) => {
            "the token was issued for another resource: the `resource` parameter that the client \
             sends must be the resource URL of this server (MCP_RESOURCE_URL)"
        }
    };
    VerifyError::new(VerifyErrorKind::InvalidAudience).with_detail(detail)
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
}
