//! Finds and authenticates OAuth clients.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use url::form_urlencoded;

use super::client_metadata;
use super::params::Params;
use crate::testing::request_log::RecordedRequest;
use crate::testing::response::OAuthError;
use crate::testing::state::FakeInstance;
use crate::testing::state::client::{Client, ClientAuthentication};

/// Returns the client of an authorization request. A client metadata document is fetched for each
/// request, so that changes to it take effect.
pub(super) async fn find(instance: &FakeInstance, client_id: &str) -> Result<Client, OAuthError> {
    let unknown = OAuthError::new("invalid_client", "no such client is registered");
    let Some(url) = client_metadata::document_url(client_id) else {
        return instance.records().clients.get(client_id).cloned().ok_or(unknown);
    };
    let client = client_metadata::fetch(instance, client_id, url).await?;
    instance.records().add_client(client.clone());
    Ok(client)
}

/// Authenticates the client of a token or revocation request by the method that it registered
/// (RFC 6749 section 2.3).
pub(super) fn authenticate(
    instance: &FakeInstance,
    request: &RecordedRequest,
    params: &Params,
) -> Result<Client, OAuthError> {
    let basic = basic_credentials(request)?;
    let posted_id = params.optional("client_id")?;
    let posted_secret = params.optional("client_secret")?;
    let (client_id, presented) = match (basic, posted_id) {
        (Some(_), _) if posted_secret.is_some() => {
            let description = "more than one method of client authentication";
            return Err(OAuthError::invalid_request(description));
        }
        (Some((id, _)), Some(posted)) if id != posted => {
            return Err(OAuthError::invalid_request("client_id differs from HTTP Basic"));
        }
        (Some((id, secret)), _) => (id, ClientAuthentication::SecretBasic(secret)),
        (None, Some(id)) => (id.to_owned(), posted(posted_secret)),
        (None, None) => return Err(OAuthError::invalid_client("client_id is missing")),
    };
    match instance.records().clients.get(&client_id) {
        Some(client) if client.authentication == presented => Ok(client.clone()),
        _ => Err(OAuthError::invalid_client("client authentication failed")),
    }
}

fn posted(secret: Option<&str>) -> ClientAuthentication {
    secret.map(str::to_owned).map_or(ClientAuthentication::None, ClientAuthentication::SecretPost)
}

/// Returns the user name and password of HTTP Basic, each of them form-encoded (RFC 6749 section
/// 2.3.1).
fn basic_credentials(request: &RecordedRequest) -> Result<Option<(String, String)>, OAuthError> {
    let Some(header) = request.headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let malformed = OAuthError::invalid_client("the Authorization header is not HTTP Basic");
    let header = header.to_str().map_err(|_| malformed)?;
    let (scheme, encoded) = header.split_once(' ').ok_or(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed);
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| malformed)?;
    let decoded = String::from_utf8(decoded).map_err(|_| malformed)?;
    let (id, secret) = decoded.split_once(':').ok_or(malformed)?;
    Ok(Some((form_decode(id), form_decode(secret))))
}

fn form_decode(encoded: &str) -> String {
    // Decoded as the value of one parameter, so an `&` must not separate parameters.
    let parameter = format!("value={}", encoded.replace('&', "%26"));
    let first = form_urlencoded::parse(parameter.as_bytes()).next();
    first.map(|(_, value)| value.into_owned()).unwrap_or_default()
}
