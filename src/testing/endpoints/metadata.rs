//! The metadata documents of the authorization server.

use http::StatusCode;
use serde_json::{Value, json};

use crate::testing::response::{self, FakeResponse};
use crate::testing::state::FakeInstance;

const AUTH_METHODS: [&str; 3] = ["none", "client_secret_basic", "client_secret_post"];

/// Responds with the authorization server metadata (RFC 8414 section 2).
pub(super) fn authorization_server(instance: &FakeInstance) -> FakeResponse {
    response::json(StatusCode::OK, &document(instance))
}

/// Responds with the same members and those that OpenID Connect Discovery 1.0 section 3 requires.
pub(super) fn openid_configuration(instance: &FakeInstance) -> FakeResponse {
    let mut document = document(instance);
    if let Value::Object(members) = &mut document {
        members.insert("subject_types_supported".into(), json!(["public"]));
        members.insert("id_token_signing_alg_values_supported".into(), json!(["RS256"]));
    }
    response::json(StatusCode::OK, &document)
}

fn document(instance: &FakeInstance) -> Value {
    let issuer = instance.issuer();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "token_endpoint": format!("{issuer}/oauth/token"),
        "revocation_endpoint": format!("{issuer}/oauth/token/revoke"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "client_id_metadata_document_supported": true,
        "scopes_supported": instance.config.scopes_supported,
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce"],
        "authorization_response_iss_parameter_supported": true,
    });
    if let (true, Value::Object(members)) = (instance.config.dynamic_registration, &mut document) {
        members.insert("registration_endpoint".into(), json!(format!("{issuer}/oauth/register")));
    }
    document
}
