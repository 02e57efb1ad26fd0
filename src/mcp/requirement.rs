//! What an operation needs besides the baseline.

use crate::oauth::Scopes;

/// What a rule of an [`AccessPolicy`](crate::AccessPolicy) requires, in addition to the baseline
/// that every request needs.
///
/// The requirements of several rules add up: scopes are united, and [`Denied`](Self::Denied)
/// wins.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::access_policy::Requirement;
/// use clerk_mcp_tools::Scopes;
///
/// // Rules take scopes as they are.
/// let requirement = Requirement::from(Scopes::parse("files:write")?);
/// assert_eq!(requirement, Requirement::Scopes(Scopes::parse("files:write")?));
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// All of these scopes. Without any, the baseline is enough.
    Scopes(Scopes),
    /// Nobody may do it. The request is rejected with 403 and no challenge.
    Denied,
}

impl Requirement {
    /// Requires nothing but the baseline.
    pub(crate) const fn baseline() -> Self {
        Self::Scopes(Scopes::none())
    }

    /// Returns what both need together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Denied, _) | (_, Self::Denied) => Self::Denied,
            (Self::Scopes(scopes), Self::Scopes(more)) => Self::Scopes(scopes.union(more)),
        }
    }

    /// Returns the scopes that it names; none if it is denied.
    pub(crate) fn scopes(&self) -> Option<&Scopes> {
        match self {
            Self::Scopes(scopes) => Some(scopes),
            Self::Denied => None,
        }
    }
}

impl From<Scopes> for Requirement {
    fn from(scopes: Scopes) -> Self {
        Self::Scopes(scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_add_up_and_denied_wins() {
        let scopes = |list| Requirement::Scopes(Scopes::parse(list).unwrap());
        let rows = [
            (Requirement::baseline(), Requirement::baseline(), Requirement::baseline()),
            (scopes("a"), Requirement::baseline(), scopes("a")),
            (scopes("b a"), scopes("a c"), scopes("b a c")),
            (scopes("a"), Requirement::Denied, Requirement::Denied),
            (Requirement::Denied, scopes("a"), Requirement::Denied),
            (Requirement::Denied, Requirement::Denied, Requirement::Denied),
        ];
        for (one, other, expected) in rows {
            assert_eq!(one.and(&other), expected, "{one:?} {other:?}");
        }
    }
}
