//! Fuzzes the parser of the Backend API's response about an API key. A response that counts as active
//! must say so in every relevant member.

#![no_main]

use clerk_mcp_tools::fuzzing::is_active_api_key;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NOW: u64 = 1_767_182_400;

fuzz_target!(|json: &[u8]| {
    if !is_active_api_key(json, NOW) {
        return;
    }
    let response: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(response["object"], "api_key");
    assert_eq!(
        (&response["revoked"], &response["expired"]),
        (&Value::Bool(false), &Value::Bool(false))
    );
    let subject = response["subject"].as_str().unwrap();
    assert!(
        ["user_", "org_", "mch_"].iter().any(|prefix| subject.starts_with(prefix)),
        "{subject}"
    );
    let scopes = response["scopes"].as_array().unwrap();
    assert!(scopes.iter().all(Value::is_string));
    assert!(response["claims"].is_null() || response["claims"].is_object());
    let expiration = response["expiration"].as_f64();
    let milliseconds = NOW as f64 * 1000.0;
    assert!(
        response["expiration"].is_null() || expiration.is_some_and(|at| at > milliseconds),
        "{expiration:?}"
    );
});
