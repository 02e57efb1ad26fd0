//! The user of the Backend API.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A user of the Clerk instance, as returned by the Backend API (`GET /v1/users/{user_id}`).
///
/// The members that most servers use are fields; all others are in [`extra`](Self::extra).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::clerk::User;
///
/// let json = r#"{"id": "user_1", "first_name": "Ada", "locked": false}"#;
/// let user: User = serde_json::from_str(json).unwrap();
/// assert_eq!(user.first_name.as_deref(), Some("Ada"));
/// assert_eq!(user.extra["locked"], false);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The user's id, such as `user_2abc`.
    pub id: String,
    /// The username, if the instance uses usernames.
    #[serde(default)]
    pub username: Option<String>,
    /// The given name.
    #[serde(default)]
    pub first_name: Option<String>,
    /// The family name.
    #[serde(default)]
    pub last_name: Option<String>,
    /// The URL of the user's picture.
    #[serde(default)]
    pub image_url: Option<String>,
    /// The id of the primary one of [`email_addresses`](Self::email_addresses).
    #[serde(default)]
    pub primary_email_address_id: Option<String>,
    /// The user's email addresses, verified or not.
    #[serde(default)]
    pub email_addresses: Vec<EmailAddress>,
    /// All other members, unchanged.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl User {
    /// Returns the primary email address.
    #[must_use]
    pub fn primary_email_address(&self) -> Option<&str> {
        let id = self.primary_email_address_id.as_deref()?;
        let primary =
            self.email_addresses.iter().find(|address| address.id.as_deref() == Some(id))?;
        Some(&primary.email_address)
    }
}

/// An email address of a [`User`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmailAddress {
    /// The id of the address, such as `idn_2abc`.
    #[serde(default)]
    pub id: Option<String>,
    /// The address itself.
    pub email_address: String,
    /// All other members, unchanged.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
