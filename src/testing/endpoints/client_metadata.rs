//! Client metadata documents (draft-ietf-oauth-client-id-metadata-document).

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::{redirect_uri, registration};
use crate::testing::limits::MAX_BODY_BYTES;
use crate::testing::response::OAuthError;
use crate::testing::state::FakeInstance;
use crate::testing::state::client::{Client, ClientAuthentication};

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the document's URL if a `client_id` is one: https, or http on a loopback host, with a
/// path and without user information or fragment (section 3 of the draft).
pub(super) fn document_url(client_id: &str) -> Option<Url> {
    let url = Url::parse(client_id).ok()?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    let is_plain =
        url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    // The parser resolves dot segments, which the draft forbids: such a URL changes when parsed.
    let is_normalized = url.as_str() == client_id && url.path() != "/";
    (is_safe && is_plain && is_normalized).then_some(url)
}

/// Fetches the document and returns the client that it describes.
pub(super) async fn fetch(
    instance: &FakeInstance,
    client_id: &str,
    url: Url,
) -> Result<Client, OAuthError> {
    let failed = || invalid_client("failed to fetch the client metadata document");
    let request = instance.http.get(url).timeout(FETCH_TIMEOUT).send();
    let mut response = request.await.map_err(|_| failed())?;
    if response.status() != StatusCode::OK {
        return Err(failed());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| failed())? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY_BYTES {
            return Err(failed());
        }
    }
    parse(instance, client_id, &body)
}

/// Only public clients: a document is public, so it must not contain a shared secret (section 4.1
/// of the draft), and this server supports no method with a key.
fn parse(instance: &FakeInstance, client_id: &str, body: &[u8]) -> Result<Client, OAuthError> {
    let document: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| invalid_client("the client metadata document is not a JSON object"))?;
    if document.get("client_id").and_then(Value::as_str) != Some(client_id) {
        let description = "client_id in the client metadata document is not its URL";
        return Err(invalid_client(description));
    }
    let method = document.get("token_endpoint_auth_method");
    if method.is_some_and(|method| method != "none") || document.contains_key("client_secret") {
        let description = "a client metadata document must describe a public client";
        return Err(invalid_client(description));
    }
    let schemes = &instance.config.redirect_schemes;
    Ok(Client {
        id: client_id.to_owned(),
        name: registration::client_name(&document),
        redirect_uris: redirect_uri::from_metadata(&document, schemes)?,
        authentication: ClientAuthentication::None,
        may_refresh: registration::may_refresh(&document),
        // Not compared with those of the instance: a document is written for all servers.
        scopes: registration::scopes(&document)
            .map_err(|_| invalid_client("scope in the client metadata document is not a string"))?,
        exchange: None,
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn invalid_client(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_client", description)
}
