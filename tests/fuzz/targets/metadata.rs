//! Fuzzes the check of authorization server metadata. An accepted document must name the expected
//! issuer and be served unchanged.

#![no_main]

use clerk_mcp_tools::fuzzing::checked_metadata;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const ISSUER: &str = "https://clerk.example.com";

fuzz_target!(|json: &[u8]| {
    let Some(document) = checked_metadata(json, ISSUER) else {
        return;
    };
    let received: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(received["issuer"], ISSUER);
    for endpoint in
        ["authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint"]
    {
        let url = received[endpoint].as_str().unwrap_or("https://");
        let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        assert!(matches!(scheme.as_deref(), Some("https" | "http")), "{url}");
    }
    let served = serde_json::to_value(document).unwrap();
    for (name, value) in received.as_object().unwrap() {
        // `null` is the same as a missing member.
        assert!(value.is_null() || served[name] == *value, "{name}");
    }
});
