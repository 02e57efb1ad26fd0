use http::StatusCode;
use serde_json::{Value, json};

use super::reply::{self, Reply};
use super::state::Shared;

/// The authorization server metadata (RFC 8414 section 2).
pub(super) fn authorization_server(shared: &Shared) -> Reply {
    reply::json(StatusCode::OK, &document(shared))
}

/// The same, with what OpenID Connect Discovery 1.0 section 3 requires.
pub(super) fn openid_configuration(shared: &Shared) -> Reply {
    let mut document = document(shared);
    if let Value::Object(members) = &mut document {
        members.insert("subject_types_supported".into(), json!(["public"]));
        members.insert("id_token_signing_alg_values_supported".into(), json!(["RS256"]));
    }
    reply::json(StatusCode::OK, &document)
}

fn document(shared: &Shared) -> Value {
    let issuer = &shared.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "token_endpoint": format!("{issuer}/oauth/token"),
        "revocation_endpoint": format!("{issuer}/oauth/token/revoke"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "client_id_metadata_document_supported": true,
        "scopes_supported": shared.config.scopes_supported,
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce"],
        "authorization_response_iss_parameter_supported": true,
    });
    if let (true, Value::Object(members)) = (shared.config.dynamic_registration, &mut document) {
        members.insert("registration_endpoint".into(), json!(format!("{issuer}/oauth/register")));
    }
    document
}
