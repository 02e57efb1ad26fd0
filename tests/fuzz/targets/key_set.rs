//! Fuzzes the parser of key sets. A usable key must be an RSA public key with a `kid`, for
//! signatures, and for an RSA PKCS#1 algorithm.

#![no_main]

use clerk_mcp_tools::fuzzing::usable_keys;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|json: &[u8]| {
    let usable = usable_keys(json);
    if usable == 0 {
        return;
    }
    let set: Value = serde_json::from_slice(json).unwrap();
    let is_allowed = |key: &&Value| {
        let is = |name: &str, values: &[&str]| {
            key[name].as_str().is_none_or(|value| values.contains(&value))
        };
        key["kty"] == "RSA"
            && key["kid"].is_string()
            && key["d"].is_null()
            && is("use", &["sig"])
            && is("alg", &["RS256", "RS384", "RS512"])
    };
    let allowed = set["keys"].as_array().unwrap().iter().filter(is_allowed).count();
    assert!(usable <= allowed && usable <= 100, "{usable} usable keys, {allowed} allowed");
});
