//! Dynamic client registration (RFC 7591).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::redirect_uri;
use crate::testing::response::{self, FakeResponse, OAuthError};
use crate::testing::state::{Client, FakeInstance};

const AUTH_METHODS: [&str; 3] = ["none", "client_secret_basic", "client_secret_post"];

/// Registers a client (RFC 7591 section 3).
pub(super) fn register(instance: &FakeInstance, body: &[u8]) -> Result<FakeResponse, OAuthError> {
    if !instance.config.dynamic_registration {
        return Err(OAuthError {
            status: StatusCode::NOT_FOUND,
            ..OAuthError::invalid_request("dynamic client registration is disabled")
        });
    }
    let mut metadata: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| invalid_metadata("the body is not a JSON object"))?;
    let redirect_uris = redirect_uri::from_metadata(&metadata)?;
    let is_public = auth_method(&mut metadata)? == "none";
    retain_supported(&mut metadata, "grant_types", &["authorization_code", "refresh_token"])?;
    retain_supported(&mut metadata, "response_types", &["code"])?;

    // A client must not choose its own secret.
    metadata.remove("client_secret");
    metadata.remove("client_secret_expires_at");
    let client_id = instance.ids.id("client_");
    let secret = (!is_public).then(|| instance.ids.secret());
    metadata.insert("client_id".into(), json!(client_id));
    metadata.insert("client_id_issued_at".into(), json!(instance.now().as_secs()));
    if let Some(secret) = &secret {
        metadata.insert("client_secret".into(), json!(secret));
        metadata.insert("client_secret_expires_at".into(), json!(0));
    }
    let client = Client { redirect_uris, secret };
    instance.records().clients.insert(client_id, client);
    Ok(response::no_store(response::json(StatusCode::CREATED, &Value::Object(metadata))))
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

/// Removes unsupported values from a list: a server may replace values and returns what it
/// registered (RFC 7591 section 3.2.1). The first supported value is the default, and is required.
fn retain_supported(
    metadata: &mut Map<String, Value>,
    name: &'static str,
    supported: &[&'static str],
) -> Result<(), OAuthError> {
    let required = supported.first().copied().unwrap_or_default();
    let Some(requested) = metadata.get(name) else {
        metadata.insert(name.into(), json!([required]));
        return Ok(());
    };
    let requested = requested.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_supported =
        |value: &&Value| value.as_str().is_some_and(|value| supported.contains(&value));
    let retained: Vec<Value> = requested.iter().filter(is_supported).cloned().collect();
    if !retained.iter().any(|value| value == required) {
        return Err(invalid_metadata("only the authorization code grant is supported"));
    }
    metadata.insert(name.into(), Value::Array(retained));
    Ok(())
}

fn invalid_metadata(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_client_metadata", description)
}
