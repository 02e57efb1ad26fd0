//! Property tests with random inputs. Each computes the expected result independently of the crate.

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

/// Sets of a few names, so that they overlap.
fn some_scopes() -> impl Strategy<Value = Scopes> {
    proptest::collection::vec("[a-e]", 0..5).prop_map(|names| Scopes::new(names).unwrap())
}

/// The https URL of a resource.
fn resource_url() -> impl Strategy<Value = String> {
    // The last label is not a number, which the URL standard would read as an IPv4 address.
    let host = "[a-zA-Z0-9]{1,8}(\\.[a-zA-Z0-9]{1,8}){0,2}\\.[a-zA-Z]{2,6}";
    let port = prop_oneof![Just(String::new()), (1..=u16::MAX).prop_map(|port| format!(":{port}"))];
    let path = "(/[a-zA-Z0-9._~!$&'()*+,;=:@-]{1,8}){0,4}/?";
    let query = prop_oneof![3 => Just(String::new()), 1 => "\\?[a-z0-9=&/?]{0,8}"];
    (host, port, path, query)
        .prop_map(|(host, port, path, query)| format!("https://{host}{port}{path}{query}"))
}
