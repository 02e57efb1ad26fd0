//! The keys of records, and the tags that they consist of.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use super::error::{StoreError, StoreErrorKind};

/// The length of a tag: 32 bytes as base64url without padding.
const TAG_CHARS: usize = 43;

const LOGIN: &str = "login";
const CONNECTION: &str = "connection";
const REGISTRATION: &str = "registration";
const LEASE: &str = "lease";

/// The key of a record, such as `login/<tag>`, `connection/<tag>/<tag>`, `registration/<tag>` or
/// `lease/` before the key of another record.
///
/// A tag is a hash under a key of [`SealingKeys`](crate::client::SealingKeys), 43 characters of
/// base64url, so a key shows neither a user nor a server. Keys have at most 200 bytes, all of
/// which are ASCII letters, digits, `-`, `_` or `/`. They are ordered by their bytes: a database
/// must not compare them by a locale.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::RecordKey;
///
/// let tag = "A".repeat(43);
/// let key: RecordKey = format!("connection/{tag}/{tag}").parse()?;
/// assert_eq!(key.owner().map(|owner| owner.as_str().len()), Some(43));
/// assert!("connection/alice/notes".parse::<RecordKey>().is_err());
/// # Ok::<(), clerk_mcp_tools::client::StoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(String);

impl RecordKey {
    /// Parses a key that a store has kept.
    ///
    /// # Errors
    ///
    /// Returns [`StoreErrorKind::Corrupt`] if it is not in the form of a key.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let record = text.strip_prefix("lease/").unwrap_or(text);
        let mut parts = record.split('/');
        let tags = match parts.next() {
            Some(LOGIN | REGISTRATION) => 1,
            Some(CONNECTION) => 2,
            _ => return Err(not_a_key()),
        };
        let has_tags = parts.clone().all(is_tag) && parts.count() == tags;
        has_tags.then(|| Self(text.to_owned())).ok_or_else(not_a_key)
    }

    /// Returns the key as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the owner whose [`list`](super::Store::list) the record is in: only connections
    /// have one. Sign-ins are found by their state alone, registrations are shared, and leases
    /// are not listed.
    #[must_use]
    pub fn owner(&self) -> Option<OwnerTag> {
        let mut parts = self.0.split('/');
        let is_connection = parts.next() == Some(CONNECTION);
        parts.next().filter(|_| is_connection).map(|owner| OwnerTag(owner.to_owned()))
    }

    pub(crate) fn login(tag: &str) -> Self {
        Self(format!("{LOGIN}/{tag}"))
    }

    pub(crate) fn connection(owner: &OwnerTag, tag: &str) -> Self {
        Self(format!("{CONNECTION}/{owner}/{tag}"))
    }

    pub(crate) fn registration(tag: &str) -> Self {
        Self(format!("{REGISTRATION}/{tag}"))
    }

    /// Returns the key of the lease on this record: who holds it may change the record.
    pub(crate) fn lease(&self) -> Self {
        Self(format!("{LEASE}/{self}"))
    }
}

/// For maps by keys: a key is compared as its string is.
impl Borrow<str> for RecordKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for RecordKey {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash that stands for an owner of connections in the keys of records, 43 characters of
/// base64url.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerTag(String);

impl OwnerTag {
    /// `tag` is a hash in the form of [`is_tag`].
    pub(crate) fn new(tag: String) -> Self {
        Self(tag)
    }

    /// Returns the tag as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what the keys of this owner's records begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{CONNECTION}/{self}/")
    }
}

impl fmt::Display for OwnerTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_tag(text: &str) -> bool {
    text.len() == TAG_CHARS
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn not_a_key() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "a key is not that of a record")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_parsed_as_they_are_made_and_in_no_other_form() {
        let tag = "aZ09-_".repeat(8)[..43].to_owned();
        let owner = OwnerTag::new("b".repeat(43));
        let login = RecordKey::login(&tag);
        let connection = RecordKey::connection(&owner, &tag);
        let registration = RecordKey::registration(&tag);
        for (key, expected) in [
            (&login, None),
            (&registration, None),
            (&connection, Some(&owner)),
            (&connection.lease(), None),
            (&registration.lease(), None),
        ] {
            assert_eq!(RecordKey::parse(key.as_str()).unwrap(), *key);
            assert_eq!(key.owner().as_ref(), expected, "{key}");
            assert!(key.as_str().len() <= 200);
        }
        let long = format!("{tag}a");
        for wrong in [
            "",
            "/",
            "login",
            "login/",
            "login/short",
            &format!("login/{long}"),
            &format!("login/{tag}/"),
            &format!("login/{tag}/{tag}"),
            &format!("/login/{tag}"),
            &format!("Login/{tag}"),
            &format!("connection/{tag}"),
            &format!("connection/{tag}/{tag}/{tag}"),
            &format!("other/{tag}"),
            "lease/",
            &format!("lease/{tag}"),
            &format!("lease/lease/login/{tag}"),
            &format!("login/{}'", &tag[1..]),
            &format!("login/{}=", &tag[1..]),
            &format!("login/{}é", &tag[2..]),
        ] {
            let error = RecordKey::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{wrong}");
        }
    }

    #[test]
    fn the_prefix_of_an_owner_is_that_of_the_owners_connections_only() {
        let (alice, bob) = (OwnerTag::new("a".repeat(43)), OwnerTag::new("b".repeat(43)));
        let key = RecordKey::connection(&alice, &"c".repeat(43));
        assert!(key.as_str().starts_with(&alice.prefix()));
        assert!(!key.as_str().starts_with(&bob.prefix()));
        assert!(!key.lease().as_str().starts_with(&alice.prefix()));
    }
}
