//! Issues tokens (RFC 6749 section 5.1).

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::testing::response::{self, FakeResponse};
use crate::testing::state::client::Client;
use crate::testing::state::grant::{Grant, RefreshToken};
use crate::testing::state::issued_token::{IssuedToken, ResponseOverrides};
use crate::testing::state::records::Records;
use crate::testing::state::{FakeInstance, claims};
use crate::testing::token_format::TokenFormat;

const OFFLINE_ACCESS: &str = "offline_access";

/// What a token request asks for, within its grant.
pub(super) struct Access {
    pub(super) scopes: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) nonce: Option<String>,
}

/// Returns the successful response, with an ID token if `openid` was granted. A refresh token keeps
/// the whole grant (RFC 6749 section 6).
pub(super) fn token_response(
    instance: &FakeInstance,
    records: &mut Records,
    client: &Client,
    grant: Grant,
    access: Access,
) -> FakeResponse {
    let mut body = json!({
        "access_token": access_token(instance, records, &grant, &access),
        "token_type": "Bearer",
        "expires_in": instance.config.token_lifetime.as_secs(),
        "scope": access.scopes.join(" "),
    });
    if let Value::Object(members) = &mut body {
        if access.scopes.iter().any(|scope| scope == "openid") {
            let id_token = id_token(instance, records, &grant, access.nonce);
            members.insert("id_token".into(), json!(id_token));
        }
        if has_refresh_token(instance, client, &grant) {
            let token = refresh_token(instance, records, grant);
            members.insert("refresh_token".into(), json!(token));
        }
    }
    response::no_store(response::json(StatusCode::OK, &body))
}

fn has_refresh_token(instance: &FakeInstance, client: &Client, grant: &Grant) -> bool {
    let is_offline = grant.scopes.iter().any(|scope| scope == OFFLINE_ACCESS);
    client.may_refresh && (is_offline || !instance.config.require_offline_access)
}

fn refresh_token(instance: &FakeInstance, records: &mut Records, grant: Grant) -> String {
    let token = instance.ids.secret();
    let expires_at = instance.now().saturating_add(instance.config.refresh_token_lifetime);
    records.refresh_tokens.insert(token.clone(), RefreshToken { grant, expires_at, used: false });
    token
}

/// Issues an access token of a grant.
fn access_token(
    instance: &FakeInstance,
    records: &mut Records,
    grant: &Grant,
    access: &Access,
) -> String {
    let audience = audience(records, grant, access);
    let claims = instance.access_token_claims(
        &grant.subject,
        &grant.client_id,
        &access.scopes,
        &audience,
        grant.organization.as_deref(),
    );
    record_access_token(instance, records, claims, Some(grant.id.clone()))
}

/// Issues and records an access token with these claims, in the format of the instance.
pub(super) fn record_access_token(
    instance: &FakeInstance,
    records: &mut Records,
    claims: Map<String, Value>,
    grant_id: Option<String>,
) -> String {
    let token = match records.token_format {
        TokenFormat::Opaque => format!("oat_{}", instance.ids.secret()),
        TokenFormat::Jwt => {
            let key = &records.keys.current;
            let header = Value::Object(claims::header(&key.kid));
            key.jwt(&header.to_string(), &Value::Object(claims.clone()).to_string())
        }
    };
    let record =
        IssuedToken { claims, grant_id, revoked: false, overrides: ResponseOverrides::default() };
    records.access_tokens.insert(token.clone(), record);
    token
}

/// Returns the requested resources that the grant has as its audience, while tokens name one.
fn audience(records: &Records, grant: &Grant, access: &Access) -> Vec<String> {
    if !records.resources.include_audience {
        return Vec::new();
    }
    access.resources.iter().filter(|one| grant.audience.contains(one)).cloned().collect()
}

/// OpenID Connect Core 1.0 section 2.
fn id_token(
    instance: &FakeInstance,
    records: &Records,
    grant: &Grant,
    nonce: Option<String>,
) -> String {
    let now = instance.now().as_secs();
    let mut claims = json!({
        "iss": instance.issuer(),
        "sub": grant.subject,
        "aud": grant.client_id,
        "iat": now,
        "exp": now.saturating_add(instance.config.token_lifetime.as_secs()),
    });
    if let (Some(nonce), Value::Object(members)) = (nonce, &mut claims) {
        members.insert("nonce".into(), json!(nonce));
    }
    let key = &records.keys.current;
    let header = json!({ "alg": "RS256", "kid": key.kid, "typ": "JWT" });
    key.jwt(&header.to_string(), &claims.to_string())
}
