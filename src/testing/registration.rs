use http::StatusCode;
use serde_json::{Map, Value, json};

use super::redirect_uri;
use super::reply::{self, OAuthError, Reply};
use super::state::{Client, Shared};

const AUTH_METHODS: [&str; 3] = ["none", "client_secret_basic", "client_secret_post"];

/// Dynamic client registration (RFC 7591 section 3).
pub(super) fn register(shared: &Shared, body: &[u8]) -> Result<Reply, OAuthError> {
    if !shared.config.dynamic_registration {
        return Err(OAuthError {
            status: StatusCode::NOT_FOUND,
            ..OAuthError::invalid_request("dynamic client registration is off")
        });
    }
    let mut metadata: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| invalid_metadata("the body is not a JSON object"))?;
    let redirect_uris = redirect_uri::registered(&metadata)?;
    let is_public = auth_method(&mut metadata)? == "none";
    narrow(&mut metadata, "grant_types", &["authorization_code", "refresh_token"])?;
    narrow(&mut metadata, "response_types", &["code"])?;

    // Only the server gives these out.
    metadata.remove("client_secret");
    metadata.remove("client_secret_expires_at");
    let client_id = shared.ids.id("client_");
    let secret = (!is_public).then(|| shared.ids.secret());
    metadata.insert("client_id".into(), json!(client_id));
    metadata.insert("client_id_issued_at".into(), json!(shared.now().as_secs()));
    if let Some(secret) = &secret {
        metadata.insert("client_secret".into(), json!(secret));
        metadata.insert("client_secret_expires_at".into(), json!(0));
    }
    let client = Client { redirect_uris, secret };
    shared.state().clients.insert(client_id, client);
    let reply = reply::json(StatusCode::CREATED, &Value::Object(metadata));
    Ok(reply::uncached(reply))
}

fn auth_method(metadata: &mut Map<String, Value>) -> Result<String, OAuthError> {
    let method = metadata
        .entry("token_endpoint_auth_method")
        .or_insert_with(|| json!("client_secret_basic"));
    match method.as_str() {
        Some(method) if AUTH_METHODS.contains(&method) => Ok(method.to_owned()),
        _ => Err(invalid_metadata("token_endpoint_auth_method is not supported")),
    }
}

/// Keeps what the server supports of a list: it may replace values, and answers what it registered (RFC 7591 section
/// 3.2.1). The first supported value is also the default, and has to be among them.
fn narrow(
    metadata: &mut Map<String, Value>,
    name: &'static str,
    supported: &[&'static str],
) -> Result<(), OAuthError> {
    let needed = supported.first().copied().unwrap_or_default();
    let Some(asked) = metadata.get(name) else {
        metadata.insert(name.into(), json!([needed]));
        return Ok(());
    };
    let asked = asked.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_supported =
        |value: &&Value| value.as_str().is_some_and(|value| supported.contains(&value));
    let kept: Vec<Value> = asked.iter().filter(is_supported).cloned().collect();
    if !kept.iter().any(|value| value == needed) {
        return Err(invalid_metadata("only the authorization code grant is supported"));
    }
    metadata.insert(name.into(), Value::Array(kept));
    Ok(())
}

fn invalid_metadata(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_client_metadata", description)
}
