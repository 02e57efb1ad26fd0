//! Redeems a refresh token (RFC 6749 section 6), which is replaced by a new one.

use std::time::Duration;

use super::issue::{Access, token_response};
use super::{narrow, resources};
use crate::testing::endpoints::params::Params;
use crate::testing::response::{FakeResponse, OAuthError};
use crate::testing::state::FakeInstance;
use crate::testing::state::client::Client;
use crate::testing::state::grant::Grant;
use crate::testing::state::records::Records;

pub(super) fn refresh(
    instance: &FakeInstance,
    client: &Client,
    params: &Params,
) -> Result<FakeResponse, OAuthError> {
    if !client.may_refresh {
        let description = "the client is not registered for the grant type refresh_token";
        return Err(OAuthError::new("unauthorized_client", description));
    }
    let token = params.required("refresh_token", "refresh_token is missing")?;
    let mut records = instance.records();
    let grant = find(instance, &mut records, client, token)?;
    let access = Access {
        scopes: narrow(params.scopes()?.unwrap_or_default(), &grant.scopes).ok_or_else(|| {
            OAuthError::new("invalid_scope", "a scope was not granted originally")
        })?,
        resources: resources(params, &grant.resources)?,
        nonce: None,
    };
    if let Some(token) = records.refresh_tokens.get_mut(token) {
        token.used = true;
    }
    Ok(token_response(instance, &mut records, client, grant, access))
}

/// Returns the grant of a token that can be used. A second use ends the grant: either the client or
/// an attacker has a copy, and there is no telling which (RFC 9700 section 4.14.2).
fn find(
    instance: &FakeInstance,
    records: &mut Records,
    client: &Client,
    token: &str,
) -> Result<Grant, OAuthError> {
    let invalid = OAuthError::invalid_grant(
        "the refresh token is unknown, used, expired or revoked, or was issued to another client",
    );
    let now: Duration = instance.now();
    let token = records.refresh_tokens.get(token).ok_or(invalid)?;
    if token.grant.client_id != client.id {
        return Err(invalid);
    }
    let grant = token.grant.clone();
    if token.used {
        if instance.config.revoke_on_refresh_token_reuse {
            records.end_grant(&grant.id);
        }
        return Err(invalid);
    }
    if now < token.expires_at { Ok(grant) } else { Err(invalid) }
}
