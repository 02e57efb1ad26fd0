//! Fuzzes the parser of the Backend API's response about an opaque token. A response that counts as
//! active must say so in every relevant member.

#![no_main]

use clerk_mcp_tools::fuzzing::is_active;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NOW: u64 = 1_767_182_400;

fuzz_target!(|json: &[u8]| {
    if !is_active(json, NOW) {
        return;
    }
    let response: Value = serde_json::from_slice(json).unwrap();
    let string = |name: &str| response[name].as_str().unwrap_or_default();
    assert_eq!(string("object"), "clerk_idp_oauth_access_token");
    assert_eq!(
        (&response["revoked"], &response["expired"]),
        (&Value::Bool(false), &Value::Bool(false))
    );
    assert!(response["active"].is_null() || response["active"] == Value::Bool(true));
    assert!(
        !string("subject").is_empty()
            && !string("subject").starts_with("mch_")
            && !string("client_id").is_empty()
    );
    assert!(response["scopes"].is_array());
    let expiration = response["expiration"].as_f64();
    assert!(
        response["expiration"].is_null() || expiration.is_some_and(|at| at > NOW as f64),
        "{expiration:?}"
    );
});
