//! The shape that `AuthInfo` has in the TypeScript SDK for MCP (`server/auth/types.ts`), with Clerk's `extra.userId`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Actor, AuthInfo};
use crate::oauth::Scopes;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<S> {
    token: S,
    client_id: S,
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
    user_id: S,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    org_id: Option<S>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Actor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aud: Vec<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    claims: Map<String, Value>,
}

fn none<S>() -> Option<S> {
    None
}

impl Serialize for AuthInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let extra = Extra {
            user_id: self.user_id(),
            org_id: self.org_id(),
            act: self.actor().cloned(),
            aud: self.audience().to_vec(),
            claims: self.claims().clone(),
        };
        let wire = Wire {
            token: self.token().expose(),
            client_id: self.client_id(),
            scopes: self.scopes().clone(),
            expires_at: self.expires_at(),
            resource: self.resource(),
            extra,
        };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AuthInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::<String>::deserialize(deserializer)?;
        Ok(AuthInfo::builder(wire.token, wire.extra.user_id, wire.client_id)
            .scopes(wire.scopes)
            .expires_at(wire.expires_at)
            .resource(wire.resource)
            .audience(wire.extra.aud)
            .org_id(wire.extra.org_id)
            .actor(wire.extra.act)
            .claims(wire.extra.claims)
            .build())
    }
}
