//! OAuth scopes (RFC 6749 section 3.3): sets of scopes, and hierarchies in which scopes imply
//! others.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;
use std::{fmt, iter, slice, vec};

use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, VerifyError, VerifyErrorKind};

/// The longest list of granted scopes that is accepted. Clerk grants those that a user saw on one
/// page.
const MAX_GRANTED: usize = 200;

/// The size in bytes up to which the scopes of a rejected token are kept for its challenge.
/// Rejections are cached by number and not by size.
const MAX_KEPT_BYTES: usize = 2 * 1024;

/// Requests a refresh token and grants nothing, so a resource server must not list it in a
/// challenge or in `scopes_supported` (MCP 2026-07-28, authorization).
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// A set of scopes, in the order they were given.
///
/// Each is a `scope-token` of RFC 6749 section 3.3: one or more printable ASCII characters without
/// space, `"` and `\`. Scopes are compared byte by byte.
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
    /// Creates the empty set.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Creates a set of these scopes. Duplicates are dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is not a `scope-token`.
    pub fn new<I>(scopes: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let (mut set, mut known) = (Self::none(), HashSet::new());
        for scope in scopes {
            let scope = scope.as_ref();
            check_scope_token(scope)?;
            // Not by `insert`: the list may be long, and read from a message (`Deserialize`).
            if known.insert(scope.to_owned()) {
                set.0.push(scope.to_owned());
            }
        }
        Ok(set)
    }

    /// Parses a space-separated list, as in the `scope` parameter of OAuth.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is not a `scope-token`.
    pub fn parse(list: &str) -> Result<Self, ConfigError> {
        Self::new(list.split(' ').filter(|scope| !scope.is_empty()))
    }

    /// Creates the set that an authorization server granted. Skips a string that is not a
    /// `scope-token`, since no operation can require it.
    ///
    /// Returns `None` for more than [`MAX_GRANTED`] strings. Cut off, the list could lack the scope
    /// that an operation requires, and the 403 would say that the user did not grant it.
    pub(crate) fn granted<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut set = Self::none();
        let mut scopes = scopes.into_iter().filter(|scope| !scope.is_empty());
        for scope in scopes.by_ref().take(MAX_GRANTED).filter(|scope| is_scope_token(scope)) {
            set.insert(scope);
        }
        scopes.next().is_none().then_some(set)
    }

    fn insert(&mut self, scope: &str) {
        if !self.contains(scope) {
            self.0.push(scope.to_owned());
        }
    }

    /// Returns these scopes followed by those of `others`, without duplicates.
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

    /// Returns the scopes that are in `others` as well.
    pub(crate) fn intersection(&self, others: &Self) -> Self {
        Self(self.0.iter().filter(|scope| others.contains(scope)).cloned().collect())
    }

    /// Returns whether the set contains this scope. Does not follow a [`ScopeHierarchy`].
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|known| known == scope)
    }

    /// Returns an iterator over the scopes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.into_iter()
    }

    /// Returns the number of scopes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the scopes that a challenge or `scopes_supported` may list.
    pub(crate) fn advertisable(&self) -> Self {
        Self(self.0.iter().filter(|scope| *scope != OFFLINE_ACCESS).cloned().collect())
    }
}

/// The scopes of a token that was rejected because it has expired. They go into the challenge, so
/// that a client which signs in anew does not ask for fewer.
///
/// Not in `error`, which knows nothing of scopes.
impl VerifyError {
    /// Sets the scopes of the rejected token. Nothing is kept of a list that is longer than
    /// [`MAX_KEPT_BYTES`].
    pub(crate) fn with_granted_scopes(self, scopes: Scopes) -> Self {
        let bytes: usize = scopes.iter().map(str::len).sum();
        if bytes > MAX_KEPT_BYTES {
            return self;
        }
        self.with_context(scopes)
    }

    /// Returns the scopes of a token that has expired, if an authority vouched for them: they were
    /// in a JWT with a valid signature of the right issuer, or in Clerk's response.
    pub(crate) fn granted_scopes(&self) -> Option<&Scopes> {
        self.context()
    }
}

/// The scopes of a valid credential that lacks some of the required ones.
struct Lacking {
    required: Scopes,
    granted: Scopes,
}

impl VerifyError {
    /// Creates the error about a valid credential that lacks some of the required scopes.
    pub(crate) fn insufficient_scope(required: &Scopes, granted: &Scopes) -> Self {
        let bytes: usize = granted.iter().map(str::len).sum();
        let granted = if bytes > MAX_KEPT_BYTES { Scopes::none() } else { granted.clone() };
        let lacking = Lacking { required: required.clone(), granted };
        Self::new(VerifyErrorKind::InsufficientScope)
            .with_detail("the API key lacks a scope that this server requires of API keys")
            .with_context(lacking)
    }

    /// Returns the scopes that are required and those that were granted, in this order.
    pub(crate) fn lacking_scopes(&self) -> Option<(&Scopes, &Scopes)> {
        let Lacking { required, granted } = self.context()?;
        Some((required, granted))
    }
}

impl FromStr for Scopes {
    type Err = ConfigError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        Self::parse(list)
    }
}

impl<'a> IntoIterator for &'a Scopes {
    type Item = &'a str;
    type IntoIter = iter::Map<slice::Iter<'a, String>, fn(&'a String) -> &'a str>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(String::as_str)
    }
}

impl IntoIterator for Scopes {
    type Item = String;
    type IntoIter = vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Prints the space-separated list that [`Scopes::parse`] reads.
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

/// A hierarchy of scopes, in which a broad scope implies narrower ones.
///
/// MCP 2026-07-28 requires servers to honour such hierarchies. Implication is transitive: if
/// `admin` implies `write` and `write` implies `read`, then `admin` grants `read`. Scopes that
/// imply each other are equivalent. Cloning is cheap (`Arc`).
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
    /// From a scope to every scope that it implies, directly or transitively.
    closure: Arc<BTreeMap<String, Scopes>>,
}

impl ScopeHierarchy {
    /// Creates a hierarchy in which each scope grants only itself.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the rule that `broad` implies each of `narrow`.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is not a `scope-token` (RFC 6749 section 3.3).
    pub fn implies<I>(mut self, broad: &str, narrow: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        check_scope_token(broad)?;
        let narrow = Scopes::new(narrow)?;
        let closure = Arc::make_mut(&mut self.closure);
        let entry = closure.entry(broad.to_owned()).or_default();
        narrow.iter().for_each(|scope| entry.insert(scope));
        close_transitively(closure);
        Ok(self)
    }

    /// Returns whether `granted` contains `required` or a scope that implies it.
    #[must_use]
    pub fn grants(&self, granted: &Scopes, required: &str) -> bool {
        granted.contains(required)
            || granted.iter().any(|broad| {
                self.closure.get(broad).is_some_and(|narrow| narrow.contains(required))
            })
    }

    /// Returns whether `granted` contains each of `required` or a scope that implies it.
    #[must_use]
    pub fn grants_all(&self, granted: &Scopes, required: &Scopes) -> bool {
        required.iter().all(|scope| self.grants(granted, scope))
    }
}

/// Computes the transitive closure. Every round but the last adds at least one pair, so it
/// terminates.
fn close_transitively(closure: &mut BTreeMap<String, Scopes>) {
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

/// Names the character that is wrong and not the whole string, which may be a key in the wrong
/// place.
fn check_scope_token(text: &str) -> Result<(), ConfigError> {
    if is_scope_token(text) {
        return Ok(());
    }
    let is_wrong = |c: &char| !is_scope_token(c.encode_utf8(&mut [0; 4]));
    let problem = match text.chars().find(is_wrong) {
        Some(c) => format!("it contains {c:?}"),
        None => "it is empty".to_owned(),
    };
    Err(ConfigError::invalid_value(
        "scope",
        "scopes",
        format!(
            "{problem}; a scope is printable ASCII without space, quotation mark and backslash \
             (RFC 6749 section 3.3)"
        ),
    ))
}

/// RFC 6749 section 3.3: `%x21 / %x23-5B / %x5D-7E`.
fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scope_tokens_are_accepted() {
        for text in ["", "a b", "a\"b", "a\\b", "a\tb", "ä", "a\u{7f}"] {
            assert!(Scopes::new([text]).is_err(), "{text:?}");
            assert!(ScopeHierarchy::new().implies(text, ["x"]).is_err(), "{text:?}");
            assert!(ScopeHierarchy::new().implies("x", [text]).is_err(), "{text:?}");
        }
        assert_eq!(Scopes::new(["!", "#", "[", "]", "~", "user:org:read"]).unwrap().len(), 6);
    }

    #[test]
    fn keeps_order_and_drops_duplicates() {
        assert_eq!(Scopes::parse(" b a  b ").unwrap().to_string(), "b a");
        assert!(Scopes::parse("").unwrap().is_empty());
    }

    #[test]
    fn iterates_in_order() {
        let scopes: Scopes = "b a".parse().unwrap();
        let mut borrowed = Vec::new();
        for scope in &scopes {
            borrowed.push(scope);
        }
        assert_eq!(borrowed, ["b", "a"]);
        assert_eq!(scopes.iter().len(), 2);
        assert_eq!(scopes.into_iter().collect::<Vec<String>>(), ["b", "a"]);
    }

    #[test]
    fn errors_name_the_wrong_character_and_not_the_text() {
        let error = Scopes::new(["sk_live_\"marked"]).unwrap_err().to_string();
        assert!(error.starts_with("invalid scope: it contains '\"'; "), "{error}");
        assert!(!error.contains("marked"), "{error}");
    }

    #[test]
    fn granted_skips_strings_that_are_not_scope_tokens() {
        let granted = Scopes::granted(["profile", "profile email", "", "e\"mail"]);
        assert_eq!(granted.unwrap().to_string(), "profile");
    }

    #[test]
    fn granted_rejects_long_lists() {
        let numbers: Vec<String> = (0..70_000).map(|n| n.to_string()).collect();
        let first = |count: usize| numbers.iter().take(count).map(String::as_str);
        let granted = Scopes::granted(first(MAX_GRANTED).chain(["", ""])).unwrap();
        assert_eq!(granted.len(), MAX_GRANTED);
        assert_eq!(Scopes::granted(first(MAX_GRANTED + 1)), None);
        assert_eq!(Scopes::granted(first(numbers.len())), None);
        // Duplicates and strings that are no scopes take time as well.
        assert_eq!(Scopes::granted(["profile"; MAX_GRANTED + 1]), None);
        assert_eq!(Scopes::granted(["e\"mail"; MAX_GRANTED + 1]), None);
    }

    #[test]
    fn a_rejection_keeps_scopes_up_to_a_size() {
        let error = || VerifyError::new(VerifyErrorKind::Expired);
        let scopes = |bytes: usize| Scopes::new(["a", &"b".repeat(bytes - 1)]).unwrap();
        let (kept, long) = (scopes(MAX_KEPT_BYTES), scopes(MAX_KEPT_BYTES + 1));
        let with_scopes = error().with_granted_scopes(kept.clone());
        assert_eq!(with_scopes.clone().granted_scopes(), Some(&kept));
        assert!(!format!("{with_scopes:?}").contains("bbb"), "{with_scopes:?}");
        assert_eq!(error().with_granted_scopes(long).granted_scopes(), None);
        assert_eq!(error().granted_scopes(), None);
    }

    #[test]
    fn implication_is_transitive_through_cycles_and_in_any_order() {
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
