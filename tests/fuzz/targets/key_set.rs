//! Key sets. Whatever can be used has to be an RSA key with a name, for signatures, of no other algorithm.
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
    let is_fit = |key: &&Value| {
        let is = |name: &str, values: &[&str]| key[name].as_str().is_none_or(|text| values.contains(&text));
        key["kty"] == "RSA"
            && key["kid"].is_string()
            && key["d"].is_null()
            && is("use", &["sig"])
            && is("alg", &["RS256", "RS384", "RS512"])
    };
    let fit = set["keys"].as_array().unwrap().iter().filter(is_fit).count();
    assert!(usable <= fit && usable <= 100, "{usable} of {fit}");
});
