//! Rules that hold for every input, tried with inputs that nobody thought of. What is expected is worked out a second time
//! here, by other means than the crate's.

mod challenge;
mod credentials;
mod operations;
mod publishable_keys;
mod resources;
mod scopes;

use clerk_mcp_tools::Scopes;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) }
}

/// RFC 6749 section 3.3: printable ASCII without space, `"` and `\`.
fn scope_token() -> impl Strategy<Value = String> {
    "[!#-\\[\\]-~]{1,12}"
}

/// Few names, so that sets have some in common.
fn some_scopes() -> impl Strategy<Value = Scopes> {
    proptest::collection::vec("[a-e]", 0..5).prop_map(|names| Scopes::new(names).unwrap())
}

/// An https URL as a server would be configured with.
fn resource_text() -> impl Strategy<Value = String> {
    // The last part is no number: to the URL standard, that is an address.
    let host = "[a-zA-Z0-9]{1,8}(\\.[a-zA-Z0-9]{1,8}){0,2}\\.[a-zA-Z]{2,6}";
    let port = prop_oneof![Just(String::new()), (1..=u16::MAX).prop_map(|port| format!(":{port}"))];
    let path = "(/[a-zA-Z0-9._~!$&'()*+,;=:@-]{1,8}){0,4}/?";
    let query = prop_oneof![3 => Just(String::new()), 1 => "\\?[a-z0-9=&/?]{0,8}"];
    (host, port, path, query)
        .prop_map(|(host, port, path, query)| format!("https://{host}{port}{path}{query}"))
}
