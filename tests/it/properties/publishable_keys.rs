//! Parsing and building of publishable keys.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use clerk_mcp_tools::PublishableKey;
use clerk_mcp_tools::instance::InstanceType;
use proptest::prelude::*;

use super::config;

/// A host with a dot and an optional port.
const HOST: &str = "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z0-9]{1,8}){1,3}(:[1-9][0-9]{0,3})?";

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_host_round_trips(host in HOST) {
        for (prefix, instance_type) in
            [("pk_test_", InstanceType::Development), ("pk_live_", InstanceType::Production)]
        {
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let text = format!("{prefix}{}", engine.encode(format!("{host}$")));
                let key = PublishableKey::parse(&text).unwrap();
                prop_assert_eq!(key.frontend_api_host(), host.as_str());
                prop_assert_eq!(key.instance_type(), instance_type);
                prop_assert_eq!(key.as_str(), text.as_str());
            }
            let key = PublishableKey::for_host(instance_type, &host).unwrap();
            prop_assert_eq!(key.frontend_api_host(), host.as_str());
        }
    }

    #[test]
    fn a_valid_key_contains_a_plain_host(inside in "[ -~\u{e4}\t]{0,4}[a-z0-9.:/@$ -]{0,16}\\$?") {
        let text = format!("pk_live_{}", STANDARD.encode(&inside));
        if let Ok(key) = PublishableKey::parse(&text) {
            prop_assert!(is_plain_host(inside.strip_suffix('$').unwrap()), "{inside:?}");
            prop_assert_eq!(format!("{}$", key.frontend_api_host()), inside);
        }
    }

    #[test]
    fn any_string_is_parsed_without_a_panic(text in ".{0,64}") {
        if PublishableKey::parse(&text).is_ok() {
            prop_assert!(text.starts_with("pk_test_") || text.starts_with("pk_live_"));
        }
    }
}

/// A host with a dot and an optional port: no scheme, path, user info, space or `$`.
fn is_plain_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    host.contains('.')
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
        && port.parse::<u16>().is_ok()
}
