//! Redeems an authorization code (RFC 6749 section 4.1.3).

use std::time::Duration;

use super::issue::{Access, token_response};
use super::resources;
use crate::testing::endpoints::params::Params;
use crate::testing::endpoints::pkce;
use crate::testing::response::{FakeResponse, OAuthError};
use crate::testing::state::FakeInstance;
use crate::testing::state::client::Client;
use crate::testing::state::grant::{AuthorizationCode, UsedCode};
use crate::testing::state::records::Records;

pub(super) fn redeem(
    instance: &FakeInstance,
    client: &Client,
    params: &Params,
) -> Result<FakeResponse, OAuthError> {
    let code = params.required("code", "code is missing")?;
    // Locked until the tokens are issued, so that a second use revokes them all.
    let mut records = instance.records();
    let code = take(&mut records, client, code, instance.now())?;
    check_redirect_uri(&code, params)?;
    check_verifier(&code, params)?;

    let access = Access {
        scopes: code.grant.scopes.clone(),
        resources: resources(params, &code.grant.resources)?,
        nonce: code.nonce,
    };
    Ok(token_response(instance, &mut records, client, code.grant, access))
}

/// Removes the code: it can be used once, successfully or not (RFC 6749 section 4.1.2). A second
/// use revokes the tokens of the first one. A request of another client is no use.
fn take(
    records: &mut Records,
    client: &Client,
    code: &str,
    now: Duration,
) -> Result<AuthorizationCode, OAuthError> {
    let invalid = OAuthError::invalid_grant(
        "the authorization code is unknown, used or expired, or was issued to another client",
    );
    let used = records.used_codes.get(code).filter(|used| used.client_id == client.id);
    if let Some(grant_id) = used.map(|used| used.grant_id.clone()) {
        records.end_grant(&grant_id);
        return Err(invalid);
    }
    records.codes.retain(|_, code| now < code.expires_at);
    if records.codes.get(code).is_none_or(|code| code.grant.client_id != client.id) {
        return Err(invalid);
    }
    let taken = records.codes.remove(code).ok_or(invalid)?;
    let used = UsedCode { client_id: client.id.clone(), grant_id: taken.grant.id.clone() };
    records.used_codes.insert(code.to_owned(), used);
    Ok(taken)
}

fn check_redirect_uri(code: &AuthorizationCode, params: &Params) -> Result<(), OAuthError> {
    let is_same = match params.optional("redirect_uri")? {
        Some(uri) => uri == code.redirect_uri,
        None => !code.redirect_uri_sent,
    };
    if is_same {
        return Ok(());
    }
    Err(OAuthError::invalid_grant("redirect_uri differs from that of the authorization request"))
}

/// A verifier of the wrong form is an invalid parameter (RFC 6749 section 5.2), one of the right
/// form that does not match an invalid grant (RFC 7636 section 4.6).
fn check_verifier(code: &AuthorizationCode, params: &Params) -> Result<(), OAuthError> {
    let verifier =
        params.required("code_verifier", "code_verifier is missing: PKCE is required")?;
    if !pkce::is_code_verifier(verifier) {
        let description = "code_verifier is not 43 to 128 unreserved characters";
        return Err(OAuthError::invalid_request(description));
    }
    if pkce::code_challenge(verifier) == code.challenge {
        return Ok(());
    }
    Err(OAuthError::invalid_grant("code_verifier does not match the code_challenge"))
}
