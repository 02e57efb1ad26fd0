//! The Backend API's answers about opaque tokens. A yes has to say so in every member that could say no.
#![no_main]

use clerk_mcp_tools::fuzzing::is_active;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NOW: u64 = 1_767_182_400;

fuzz_target!(|json: &[u8]| {
    if !is_active(json, NOW) {
        return;
    }
    let answer: Value = serde_json::from_slice(json).unwrap();
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    assert_eq!(text("object"), "clerk_idp_oauth_access_token");
    assert_eq!((&answer["revoked"], &answer["expired"]), (&Value::Bool(false), &Value::Bool(false)));
    assert!(answer["active"].is_null() || answer["active"] == Value::Bool(true));
    assert!(
        !text("subject").is_empty() && !text("subject").starts_with("mch_") && !text("client_id").is_empty()
    );
    assert!(answer["scopes"].is_array());
    let expiration = answer["expiration"].as_f64();
    assert!(answer["expiration"].is_null() || expiration.is_some_and(|at| at > NOW as f64), "{expiration:?}");
});
