//! Which resource a token was issued for (RFC 8707, claim `aud`).

use std::str::FromStr;

use super::ResourceUrl;
use crate::error::{ConfigError, VerifyError, VerifyErrorKind};

/// How a token's audience is looked at.
///
/// Clerk writes `aud` into a token only when the client sent the `resource` parameter of RFC 8707 with its request. MCP
/// 2026-07-28 demands that clients send it and that servers check it; some older clients do not send it.
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
pub enum Audience {
    /// The token must name this server's resource. The safe choice, and the default.
    #[default]
    Require,
    /// A token that names no audience is accepted as well.
    ///
    /// **Weaker**: a token that a user gave to any other server of the same Clerk instance, by way of a client that
    /// does not send `resource`, opens this one too.
    IfPresent,
    /// The audience is not looked at.
    ///
    /// **Weakest**: every access token of the Clerk instance opens this server, whatever it was issued for.
    Any,
}

impl Audience {
    /// Which of a token's audiences is this server's resource, if one is.
    pub(crate) fn check<'a>(
        self,
        resource: Option<&ResourceUrl>,
        audience: Option<&'a [String]>,
    ) -> Result<Option<&'a str>, VerifyError> {
        let named = resource.and_then(|resource| {
            audience
                .unwrap_or_default()
                .iter()
                .map(String::as_str)
                .find(|name| resource.matches(name))
        });
        match self {
            Self::Any => Ok(named),
            Self::IfPresent if audience.is_none() => Ok(None),
            Self::Require | Self::IfPresent => match resource {
                None => Err(no_resource()),
                Some(_) => named.map(Some).ok_or_else(|| wrong_audience(audience)),
            },
        }
    }
}

impl FromStr for Audience {
    type Err = ConfigError;

    /// Parses `require`, `if-present` or `any`, the values of `MCP_AUDIENCE`.
    fn from_str(mode: &str) -> Result<Self, Self::Err> {
        match mode {
            "require" => Ok(Self::Require),
            "if-present" => Ok(Self::IfPresent),
            "any" => Ok(Self::Any),
            _ => Err(ConfigError::invalid(
                "MCP_AUDIENCE",
                "is not one of require, if-present and any",
            )),
        }
    }
}

fn no_resource() -> VerifyError {
    VerifyError::new(VerifyErrorKind::Misconfigured).with_detail(
        "no resource is known that the token could be issued for: give the verifier the public URL of the MCP \
         endpoint (`resource`, MCP_RESOURCE_URL), or say `Audience::Any`",
    )
}

fn wrong_audience(audience: Option<&[String]>) -> VerifyError {
    let detail = match audience {
        None | Some([]) => {
            "the token names no audience: the client did not send the `resource` parameter (RFC 8707) with its \
             authorization request; update the client, or accept such tokens with `Audience::IfPresent` \
             (MCP_AUDIENCE=if-present)"
        }
        Some(_) => {
            "the token was issued for another resource: the `resource` parameter that the client sends has to be the \
             resource URL of this server (MCP_RESOURCE_URL)"
        }
    };
    VerifyError::new(VerifyErrorKind::InvalidAudience).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCE: &str = "https://h.example/mcp";

    #[test]
    fn the_three_ways_to_look_at_an_audience() {
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
        for (mode, known, audience, expected) in rows {
            let audience: Option<Vec<String>> =
                audience.map(|list| list.iter().map(ToString::to_string).collect());
            let answer = mode.check(known.then_some(&resource), audience.as_deref());
            assert_eq!(
                answer.map_err(|error| error.kind()),
                expected,
                "{mode:?} {known} {audience:?}"
            );
        }
    }
}
