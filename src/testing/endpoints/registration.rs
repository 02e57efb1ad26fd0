//! Dynamic client registration (RFC 7591).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::redirect_uri;
use crate::testing::response::{self, FakeResponse, OAuthError};
use crate::testing::state::FakeInstance;
use crate::testing::state::client::{Client, ClientAuthentication};

const REFRESH_TOKEN: &str = "refresh_token";
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
    let redirect_uris = redirect_uri::from_metadata(&metadata, &instance.config.redirect_schemes)?;
    let method = auth_method(&mut metadata)?;
    retain_supported(&mut metadata, "grant_types", &["authorization_code", REFRESH_TOKEN])?;
    retain_supported(&mut metadata, "response_types", &["code"])?;
    let client = Client {
        id: instance.ids.id("client_"),
        name: client_name(&metadata),
        redirect_uris,
        authentication: authentication(&method, instance.ids.secret()),
        may_refresh: may_refresh(&metadata),
        scopes: known_scopes(instance, &metadata)?,
        exchange: None,
    };
    complete(&mut metadata, &client, instance.now().as_secs());
    instance.records().add_client(client);
    Ok(response::no_store(response::json(StatusCode::CREATED, &Value::Object(metadata))))
}

/// Returns the name for people (RFC 7591 section 2).
pub(super) fn client_name(metadata: &Map<String, Value>) -> Option<String> {
    let name = metadata.get("client_name").and_then(Value::as_str)?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns whether the grant types include `refresh_token`. Without the member they do not
/// (RFC 7591 section 2).
pub(super) fn may_refresh(metadata: &Map<String, Value>) -> bool {
    let grant_types = metadata.get("grant_types").and_then(Value::as_array);
    grant_types.is_some_and(|types| types.iter().any(|grant_type| grant_type == REFRESH_TOKEN))
}

/// Returns the scopes that the client wants to use, `None` if it names none (RFC 7591 section 2).
pub(super) fn scopes(metadata: &Map<String, Value>) -> Result<Option<Vec<String>>, OAuthError> {
    let Some(scope) = metadata.get("scope") else {
        return Ok(None);
    };
    let scope = scope.as_str().ok_or(invalid_metadata("scope is not a string"))?;
    let scopes: Vec<String> = scope.split_whitespace().map(str::to_owned).collect();
    Ok((!scopes.is_empty()).then_some(scopes))
}

/// As [`scopes`]. A scope that the instance neither advertises nor grants is an error.
fn known_scopes(
    instance: &FakeInstance,
    metadata: &Map<String, Value>,
) -> Result<Option<Vec<String>>, OAuthError> {
    let config = &instance.config;
    let is_known =
        |scope| config.grantable_scopes.contains(scope) || config.scopes_supported.contains(scope);
    let scopes = scopes(metadata)?;
    if scopes.iter().flatten().all(is_known) {
        return Ok(scopes);
    }
    Err(invalid_metadata("scope contains a scope that is not supported"))
}

fn authentication(method: &str, secret: String) -> ClientAuthentication {
    match method {
        "client_secret_basic" => ClientAuthentication::SecretBasic(secret),
        "client_secret_post" => ClientAuthentication::SecretPost(secret),
        _ => ClientAuthentication::None,
    }
}

/// Adds what the server decides (RFC 7591 section 3.2.1). A client must not choose its own secret.
fn complete(metadata: &mut Map<String, Value>, client: &Client, now: u64) {
    metadata.remove("client_secret");
    metadata.remove("client_secret_expires_at");
    metadata.insert("client_id".into(), json!(client.id));
    metadata.insert("client_id_issued_at".into(), json!(now));
    match &client.authentication {
        ClientAuthentication::None => {}
        ClientAuthentication::SecretBasic(secret) | ClientAuthentication::SecretPost(secret) => {
            metadata.insert("client_secret".into(), json!(secret));
            metadata.insert("client_secret_expires_at".into(), json!(0));
        }
    }
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
