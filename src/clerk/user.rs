use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A user, as the Backend API describes them (`GET /v1/users/{user_id}`).
///
/// The members that most servers use are fields; every other one is kept in [`extra`](Self::extra).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::clerk::User;
///
/// let user: User = serde_json::from_str(r#"{"id": "user_1", "first_name": "Ada", "locked": false}"#).unwrap();
/// assert_eq!(user.first_name.as_deref(), Some("Ada"));
/// assert_eq!(user.extra["locked"], false);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The user's id, such as `user_2abc`.
    pub id: String,
    /// The user name, where the instance has user names.
    #[serde(default)]
    pub username: Option<String>,
    /// The given name.
    #[serde(default)]
    pub first_name: Option<String>,
    /// The family name.
    #[serde(default)]
    pub last_name: Option<String>,
    /// Where the user's picture stands.
    #[serde(default)]
    pub image_url: Option<String>,
    /// Which of [`email_addresses`](Self::email_addresses) is the first to write to.
    #[serde(default)]
    pub primary_email_address_id: Option<String>,
    /// The user's e-mail addresses, verified or not.
    #[serde(default)]
    pub email_addresses: Vec<EmailAddress>,
    /// Every other member, as it came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl User {
    /// The e-mail address that is the first to write to.
    #[must_use]
    pub fn primary_email_address(&self) -> Option<&str> {
        let id = self.primary_email_address_id.as_deref()?;
        let primary =
            self.email_addresses.iter().find(|address| address.id.as_deref() == Some(id))?;
        Some(&primary.email_address)
    }
}

/// An e-mail address of a [`User`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmailAddress {
    /// The address's id, such as `idn_2abc`.
    #[serde(default)]
    pub id: Option<String>,
    /// The address itself.
    pub email_address: String,
    /// Every other member, as it came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
