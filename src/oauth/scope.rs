//! OAuth scopes: single ones, sets of them, and which of them imply others.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// Asks for a refresh token and grants nothing: it has no place in a challenge or in `scopes_supported`
/// (MCP 2026-07-28, authorization).
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// A set of scopes, in the order they were given.
///
/// Each is a `scope-token` of RFC 6749 section 3.3: one or more printable ASCII characters without space, `"` and `\`.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::Scopes;
///
/// let scopes = Scopes::parse("profile email")?;
/// assert!(scopes.contains("email"));
/// assert_eq!(scopes.to_string(), "profile email");
/// assert_eq!(scopes, Scopes::new(["profile", "email"])?);
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// No scope at all.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// These scopes; one that comes twice counts once.
    ///
    /// # Errors
    ///
    /// When one of them is no `scope-token`.
    pub fn new<I>(scopes: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut set = Self::none();
        for scope in scopes {
            let scope = scope.as_ref();
            if !is_scope_token(scope) {
                return Err(ConfigError::invalid("scopes", not_a_scope(scope)));
            }
            set.insert(scope);
        }
        Ok(set)
    }

    /// The scopes of a space-separated list, as in the `scope` parameter.
    ///
    /// # Errors
    ///
    /// When one of them is no `scope-token`.
    pub fn parse(list: &str) -> Result<Self, ConfigError> {
        Self::new(list.split(' ').filter(|scope| !scope.is_empty()))
    }

    /// What an authorization server says was granted. A text that is no `scope-token` can never be required, so it
    /// is passed over.
    pub(crate) fn granted<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::none();
        for scope in scopes.into_iter().filter(|scope| is_scope_token(scope)) {
            set.insert(scope);
        }
        set
    }

    fn insert(&mut self, scope: &str) {
        if !self.contains(scope) {
            self.0.push(scope.to_owned());
        }
    }

    /// These scopes and then the others, each once.
    ///
    /// ```
    /// # use clerk_mcp_tools::Scopes;
    /// let both = Scopes::parse("profile email")?.union(&Scopes::parse("email files:read")?);
    /// assert_eq!(both.to_string(), "profile email files:read");
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    #[must_use]
    pub fn union(&self, others: &Self) -> Self {
        let mut set = self.clone();
        others.iter().for_each(|scope| set.insert(scope));
        set
    }

    /// Whether this very scope is in the set. Scopes are compared byte by byte.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|known| known == scope)
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What may be named in a challenge or in `scopes_supported`.
    pub(crate) fn advertisable(&self) -> Self {
        Self(self.0.iter().filter(|scope| *scope != OFFLINE_ACCESS).cloned().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(deserializer)
            .and_then(|list| Self::new(list).map_err(serde::de::Error::custom))
    }
}

/// Which scopes imply others, so that a broad one opens what asks for a narrow one.
///
/// MCP 2026-07-28 demands that servers honour such hierarchies. Implications are followed through: when `admin`
/// implies `write` and `write` implies `read`, `admin` grants `read`. A circle of implications makes its members
/// equals. A clone is cheap.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::{ScopeHierarchy, Scopes};
///
/// let hierarchy = ScopeHierarchy::new().implies("admin", ["write"])?.implies("write", ["read"])?;
/// let granted = Scopes::parse("admin")?;
/// assert!(hierarchy.grants(&granted, "read"));
/// assert!(!hierarchy.grants(&granted, "billing"));
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeHierarchy {
    /// From a broad scope to all that it implies, directly or not.
    closure: Arc<BTreeMap<String, Scopes>>,
}

impl ScopeHierarchy {
    /// A hierarchy in which each scope grants only itself.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds that `broad` implies each of `narrow`.
    ///
    /// # Errors
    ///
    /// When one of them is no `scope-token` (RFC 6749 section 3.3).
    pub fn implies<I>(mut self, broad: &str, narrow: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let narrow = Scopes::new(narrow)?;
        if !is_scope_token(broad) {
            return Err(ConfigError::invalid("scopes", not_a_scope(broad)));
        }
        let closure = Arc::make_mut(&mut self.closure);
        let entry = closure.entry(broad.to_owned()).or_default();
        narrow.iter().for_each(|scope| entry.insert(scope));
        close(closure);
        Ok(self)
    }

    /// Whether somebody to whom `granted` was granted may do what needs `required`.
    #[must_use]
    pub fn grants(&self, granted: &Scopes, required: &str) -> bool {
        granted.contains(required)
            || granted.iter().any(|broad| {
                self.closure.get(broad).is_some_and(|narrow| narrow.contains(required))
            })
    }

    /// Whether `granted` is enough for all of `required`.
    #[must_use]
    pub fn grants_all(&self, granted: &Scopes, required: &Scopes) -> bool {
        required.iter().all(|scope| self.grants(granted, scope))
    }
}

/// Follows the implications through until nothing is added. Each round adds at least one pair, so it ends.
fn close(closure: &mut BTreeMap<String, Scopes>) {
    loop {
        let before: usize = closure.values().map(Scopes::len).sum();
        let known = closure.clone();
        for implied in closure.values_mut() {
            let further: Vec<&Scopes> =
                implied.iter().filter_map(|scope| known.get(scope)).collect();
            for scope in further.into_iter().flat_map(Scopes::iter) {
                implied.insert(scope);
            }
        }
        if closure.values().map(Scopes::len).sum::<usize>() == before {
            return;
        }
    }
}

/// RFC 6749 section 3.3: `%x21 / %x23-5B / %x5D-7E`.
fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// Says which character is wrong, and not the text: it may be a key in the wrong place.
fn not_a_scope(text: &str) -> String {
    let is_wrong = |c: &char| !is_scope_token(c.encode_utf8(&mut [0; 4]));
    let what = match text.chars().find(is_wrong) {
        Some(c) => format!("a scope with {c:?} in it"),
        None => "an empty scope".to_owned(),
    };
    format!(
        "cannot hold {what}: a scope is printable ASCII without space, quote and backslash (RFC 6749 section 3.3)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_scope_token() {
        for text in ["", "a b", "a\"b", "a\\b", "a\tb", "ä", "a\u{7f}"] {
            assert!(Scopes::new([text]).is_err(), "{text:?}");
            assert!(ScopeHierarchy::new().implies(text, ["x"]).is_err(), "{text:?}");
            assert!(ScopeHierarchy::new().implies("x", [text]).is_err(), "{text:?}");
        }
        assert_eq!(Scopes::new(["!", "#", "[", "]", "~", "user:org:read"]).unwrap().len(), 6);
    }

    #[test]
    fn keeps_order_and_drops_repetitions() {
        assert_eq!(Scopes::parse(" b a  b ").unwrap().to_string(), "b a");
        assert!(Scopes::parse("").unwrap().is_empty());
    }

    #[test]
    fn granted_passes_over_what_can_never_be_required() {
        assert_eq!(
            Scopes::granted(["profile", "profile email", "", "e\"mail"]).to_string(),
            "profile"
        );
    }

    #[test]
    fn follows_implications_through_circles_and_in_any_order() {
        let hierarchy = ScopeHierarchy::new()
            .implies("b", ["c"])
            .and_then(|h| h.implies("a", ["b"]))
            .and_then(|h| h.implies("c", ["d", "a"]))
            .unwrap();
        for broad in ["a", "b", "c"] {
            let granted = Scopes::new([broad]).unwrap();
            assert!(hierarchy.grants_all(&granted, &Scopes::parse("a b c d").unwrap()), "{broad}");
        }
        assert!(!hierarchy.grants(&Scopes::parse("d").unwrap(), "a"));
        assert!(!hierarchy.grants(&Scopes::parse("aa").unwrap(), "a"));
    }
}
