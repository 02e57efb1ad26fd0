use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value};
use url::Url;

use super::params::Params;
use super::redirect_uri;
use super::reply::OAuthError;
use super::route::RecordedRequest;
use super::server::BODY_LIMIT;
use super::state::{Client, Shared};

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The client of an authorization request. A client that is known by its metadata document is fetched anew, so that
/// changes to the document count.
pub(super) async fn find(shared: &Shared, client_id: &str) -> Result<Client, OAuthError> {
    let unknown = OAuthError::new("invalid_client", "no such client is registered");
    let Some(url) = document_url(client_id) else {
        return shared.state().clients.get(client_id).cloned().ok_or(unknown);
    };
    let client = fetch(shared, client_id, url).await?;
    shared.state().clients.insert(client_id.to_owned(), client.clone());
    Ok(client)
}

/// The client that calls the token or the revocation endpoint, authenticated (RFC 6749 section 2.3).
pub(super) fn authenticate(
    shared: &Shared,
    request: &RecordedRequest,
    params: &Params,
) -> Result<String, OAuthError> {
    let basic = basic_credentials(request)?;
    let posted_id = params.one("client_id")?;
    let posted_secret = params.one("client_secret")?;
    let (client_id, secret) = match (basic, posted_id) {
        (Some(_), _) if posted_secret.is_some() => {
            return Err(OAuthError::invalid_request("two ways of client authentication at once"));
        }
        (Some((id, _)), Some(posted)) if id != posted => {
            return Err(OAuthError::invalid_request("two different clients are named"));
        }
        (Some((id, secret)), _) => (id, (!secret.is_empty()).then_some(secret)),
        (None, Some(id)) => (id.to_owned(), posted_secret.map(str::to_owned)),
        (None, None) => return Err(OAuthError::invalid_client("no client is named")),
    };
    match shared.state().clients.get(&client_id) {
        Some(client) if client.secret == secret => Ok(client_id),
        _ => Err(OAuthError::invalid_client("client authentication failed")),
    }
}

/// The two parts of HTTP Basic, each of them form-encoded within (RFC 6749 section 2.3.1).
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
    Ok(Some((form_decoded(id), form_decoded(secret))))
}

fn form_decoded(text: &str) -> String {
    // Read as the value of one parameter, so what would separate parameters is escaped first.
    let parameter = format!("value={}", text.replace('&', "%26"));
    let first = url::form_urlencoded::parse(parameter.as_bytes()).next();
    first.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// A client identifier that is the URL of a metadata document: https, or http on a loopback host, with a path and without
/// user info or fragment (draft-ietf-oauth-client-id-metadata-document section 3).
fn document_url(client_id: &str) -> Option<Url> {
    let url = Url::parse(client_id).ok()?;
    let is_safe =
        url.scheme() == "https" || (url.scheme() == "http" && redirect_uri::is_loopback(&url));
    let is_plain =
        url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    // The parser resolves dot segments, which the draft forbids: the text would not be the URL's own.
    let is_itself = url.as_str() == client_id && url.path() != "/";
    (is_safe && is_plain && is_itself).then_some(url)
}

async fn fetch(shared: &Shared, client_id: &str, url: Url) -> Result<Client, OAuthError> {
    let failed =
        || OAuthError::new("invalid_client", "the client metadata document cannot be fetched");
    let request = shared.http.get(url).timeout(FETCH_TIMEOUT).send();
    let mut response = request.await.map_err(|_| failed())?;
    if response.status() != http::StatusCode::OK {
        return Err(failed());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| failed())? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_LIMIT {
            return Err(failed());
        }
    }
    read_document(client_id, &body)
}

/// Shared secrets have no place in a public document (section 4.1 of the draft), and the only other method that this
/// server supports is `none`.
fn read_document(client_id: &str, body: &[u8]) -> Result<Client, OAuthError> {
    let refused = |description| OAuthError::new("invalid_client", description);
    let document: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| refused("the client metadata document is not a JSON object"))?;
    if document.get("client_id").and_then(Value::as_str) != Some(client_id) {
        return Err(refused("client_id in the client metadata document is not its URL"));
    }
    let method = document.get("token_endpoint_auth_method");
    if method.is_some_and(|method| method != "none") || document.contains_key("client_secret") {
        return Err(refused("only public clients are known by a metadata document"));
    }
    Ok(Client { redirect_uris: redirect_uri::registered(&document)?, secret: None })
}
