//! The serde form of `AuthInfo`: that of the TypeScript SDK for MCP (`server/auth/types.ts`), with
//! Clerk's `extra.userId`.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Actor, AuthInfo, AuthInfoBuilder, Organization, PrincipalKind};
use crate::oauth::{AccessToken, Scopes, TokenType};

/// `S` is `&str` for writing and `String` for reading.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypeScriptAuthInfo<S> {
    /// Absent in the form that `Serialize` writes.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    token: Option<S>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    client_id: Option<S>,
    scopes: Scopes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    resource: Option<S>,
    extra: Extra<S>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extra<S> {
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    user_id: Option<S>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    org_id: Option<S>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    machine_id: Option<S>,
    /// Absent for an OAuth access token.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    token_type: Option<S>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    id: Option<S>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    org_role: Option<S>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    org_slug: Option<S>,
    /// Only that of a session: it says that the organization is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    org_permissions: Option<Vec<String>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    issuer: Option<S>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Actor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aud: Vec<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    claims: Map<String, Value>,
}

/// `Option::default` would make serde's derive demand `S: Default`.
fn none<S>() -> Option<S> {
    None
}

/// Without the token.
impl Serialize for AuthInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize_form(None, serializer)
    }
}

/// The form with the token.
struct WithToken<'a>(&'a AuthInfo);

impl Serialize for WithToken<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_form(Some(self.0.token_for_this_server().expose()), serializer)
    }
}

impl AuthInfo {
    /// Returns the serde form with the member `token`, which that of the TypeScript SDK requires.
    ///
    /// **Anybody who reads it can act as the caller at this server.** Do not log it, return it, or
    /// store it in the clear. `Serialize` of `AuthInfo` itself leaves the token out.
    ///
    /// ```
    /// use clerk_mcp_tools::AuthInfo;
    ///
    /// let caller = AuthInfo::for_user("user_1", "oat_secret".into()).build();
    /// let json = serde_json::to_value(&caller).unwrap();
    /// assert_eq!(json.get("token"), None);
    /// let json = serde_json::to_value(caller.serde_form_with_token()).unwrap();
    /// assert_eq!(json["token"], "oat_secret");
    /// ```
    #[must_use]
    pub fn serde_form_with_token(&self) -> impl Serialize + use<'_> {
        WithToken(self)
    }

    fn serialize_form<S: Serializer>(
        &self,
        token: Option<&str>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let extra = Extra {
            user_id: self.user_id(),
            org_id: self.org_id(),
            machine_id: machine_id(self),
            token_type: token_type(self),
            id: self.credential_id(),
            org_role: self.organization().and_then(Organization::role),
            org_slug: self.organization().and_then(Organization::slug),
            org_permissions: self.organization().map(|org| org.permissions().to_vec()),
            issuer: self.principal().issuer(),
            act: self.actor().cloned(),
            aud: self.audience().to_vec(),
            claims: self.claims().clone(),
        };
        let form = TypeScriptAuthInfo {
            token,
            client_id: self.client_id(),
            scopes: self.scopes().clone(),
            expires_at: self.expires_at(),
            resource: self.resource(),
            extra,
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AuthInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = TypeScriptAuthInfo::<String>::deserialize(deserializer)?;
        let token_type = match &form.extra.token_type {
            Some(name) => TokenType::parse(name).map_err(D::Error::custom)?,
            None => TokenType::default(),
        };
        let organization = organization(&form.extra);
        Ok(builder(&form.extra, form.token.unwrap_or_default().into())
            .ok_or_else(|| D::Error::missing_field("userId"))?
            .token_type(token_type)
            .set_if_some(form.extra.id, AuthInfoBuilder::credential_id)
            .set_if_some(form.extra.issuer, AuthInfoBuilder::issuer)
            .set_if_some(form.client_id, AuthInfoBuilder::client_id)
            .scopes(form.scopes)
            .set_if_some(form.expires_at, AuthInfoBuilder::expires_at)
            .set_if_some(form.resource, AuthInfoBuilder::resource)
            .audience(form.extra.aud)
            .set_if_some(form.extra.org_id, AuthInfoBuilder::org_id)
            .set_if_some(organization, AuthInfoBuilder::organization)
            .set_if_some(form.extra.act, AuthInfoBuilder::actor)
            .claims(form.extra.claims)
            .build())
    }
}

fn machine_id(caller: &AuthInfo) -> Option<&str> {
    let principal = caller.principal();
    (principal.kind() == PrincipalKind::Machine).then(|| principal.id())
}

fn token_type(caller: &AuthInfo) -> Option<&'static str> {
    let token_type = caller.token_type();
    (token_type != TokenType::OAuthToken).then(|| token_type.as_str())
}

fn organization(extra: &Extra<String>) -> Option<Organization> {
    let permissions = extra.org_permissions.as_ref()?;
    let organization = Organization::new(extra.org_id.as_ref()?).with_permissions(permissions);
    let organization = match &extra.org_role {
        Some(role) => organization.with_role(role),
        None => organization,
    };
    Some(match &extra.org_slug {
        Some(slug) => organization.with_slug(slug),
        None => organization,
    })
}

/// Returns a builder for the caller that the members name: a user, who may have selected an
/// organization, or else a machine, or else an organization.
fn builder(extra: &Extra<String>, token: AccessToken) -> Option<AuthInfoBuilder> {
    if let Some(user_id) = &extra.user_id {
        return Some(AuthInfo::for_user(user_id, token));
    }
    if let Some(machine_id) = &extra.machine_id {
        return Some(AuthInfo::for_machine(machine_id, token));
    }
    extra.org_id.as_ref().map(|org_id| AuthInfo::for_organization(org_id, token))
}
