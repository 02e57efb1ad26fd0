//! Metadata of authorization servers. What is believed speaks for the issuer that was asked, and goes out as it came in.
#![no_main]

use clerk_mcp_tools::fuzzing::checked_metadata;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const ISSUER: &str = "https://clerk.example.com";

fuzz_target!(|json: &[u8]| {
    let Some(document) = checked_metadata(json, ISSUER) else {
        return;
    };
    let came: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(came["issuer"], ISSUER);
    for endpoint in ["authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint"] {
        let url = came[endpoint].as_str().unwrap_or("https://");
        let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        assert!(matches!(scheme.as_deref(), Some("https" | "http")), "{url}");
    }
    let goes = serde_json::to_value(document).unwrap();
    for (name, value) in came.as_object().unwrap() {
        // `null` says nothing.
        assert!(value.is_null() || goes[name] == *value, "{name}");
    }
});
