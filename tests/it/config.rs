//! Invalid configuration is rejected by `build`, with a helpful message that shows no secret.

use std::time::Duration;

use clerk_mcp_tools::clerk::ClerkClient;
use clerk_mcp_tools::instance::{BackendApi, FrontendApi};
use clerk_mcp_tools::{
    ClerkMcp, ClerkVerifier, ConfigError, ConfigErrorKind as Kind, PublishableKey, ResourceUrl,
    Scopes,
};

const TEST_KEY: &str = "pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk";
const LIVE_KEY: &str = "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k";

type Vars<'a> = &'a [(&'a str, &'a str)];

fn find(vars: Vars<'_>, name: &str) -> Option<String> {
    vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// Builds a verifier from these environment variables.
fn build(vars: Vars<'_>) -> Result<ClerkVerifier, ConfigError> {
    ClerkVerifier::builder().env_from(|name| find(vars, name)).build()
}

#[test]
fn accepts_valid_environments() {
    let rows: [(Vars<'_>, &str); 6] = [
        (&[("CLERK_PUBLISHABLE_KEY", TEST_KEY)], "https://foo-bar-13.clerk.accounts.dev"),
        (&[("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", LIVE_KEY)], "https://clerk.example.com"),
        (
            &[("CLERK_PUBLISHABLE_KEY", LIVE_KEY), ("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", TEST_KEY)],
            "https://clerk.example.com",
        ),
        (
            &[
                ("CLERK_PUBLISHABLE_KEY", ""),
                ("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", TEST_KEY),
                ("CLERK_SECRET_KEY", " "),
            ],
            "https://foo-bar-13.clerk.accounts.dev",
        ),
        (
            &[("CLERK_PUBLISHABLE_KEY", TEST_KEY), ("CLERK_FAPI", "http://127.0.0.1:4000/")],
            "http://127.0.0.1:4000",
        ),
        (
            &[
                ("CLERK_FAPI", "https://clerk.example.com"),
                ("CLERK_SECRET_KEY", "sk_live_abc"),
                ("CLERK_API_URL", "http://localhost:4000"),
                ("CLERK_API_VERSION", "v2"),
                ("MCP_RESOURCE_URL", "https://mcp.example.com/mcp"),
                ("MCP_AUDIENCE", "if-present"),
            ],
            "https://clerk.example.com",
        ),
    ];
    for (vars, issuer) in rows {
        assert_eq!(build(vars).unwrap().frontend_api().issuer(), issuer, "{vars:?}");
    }
}

#[test]
fn rejects_invalid_environments_and_says_what_to_set() {
    let good = ("CLERK_PUBLISHABLE_KEY", TEST_KEY);
    let rows: [(Vars<'_>, &str, Kind, &str); 20] = [
        (&[], "CLERK_PUBLISHABLE_KEY", Kind::Missing, "Clerk Dashboard"),
        (
            &[("CLERK_SECRET_KEY", "sk_test_marked")],
            "CLERK_PUBLISHABLE_KEY",
            Kind::Missing,
            "Clerk Dashboard",
        ),
        (
            &[("CLERK_PUBLISHABLE_KEY", "pk_test_marked")],
            "CLERK_PUBLISHABLE_KEY",
            Kind::Invalid,
            "Clerk Dashboard",
        ),
        (
            &[good, ("CLERK_SECRET_KEY", "marked")],
            "CLERK_SECRET_KEY",
            Kind::Invalid,
            "Clerk Dashboard",
        ),
        (
            &[good, ("CLERK_SECRET_KEY", "sk_test_marked key")],
            "CLERK_SECRET_KEY",
            Kind::Invalid,
            "white space",
        ),
        (
            &[good, ("CLERK_SECRET_KEY", "sk_live_marked")],
            "CLERK_SECRET_KEY",
            Kind::Conflict,
            "one instance",
        ),
        (
            &[("CLERK_PUBLISHABLE_KEY", LIVE_KEY), ("CLERK_SECRET_KEY", "sk_test_marked")],
            "CLERK_SECRET_KEY",
            Kind::Conflict,
            "one instance",
        ),
        (
            &[good, ("CLERK_FAPI", "http://clerk.example.com")],
            "CLERK_FAPI",
            Kind::Invalid,
            "https:",
        ),
        (
            &[good, ("CLERK_FAPI", "https://clerk.example.com/path")],
            "CLERK_FAPI",
            Kind::Invalid,
            "origin",
        ),
        (
            &[good, ("CLERK_FAPI", "clerk.example.com")],
            "CLERK_FAPI",
            Kind::Invalid,
            "https://clerk.example.com",
        ),
        (
            &[
                good,
                ("CLERK_SECRET_KEY", "sk_test_marked"),
                ("CLERK_API_URL", "http://api.clerk.com"),
            ],
            "CLERK_API_URL",
            Kind::Invalid,
            "https:",
        ),
        (
            &[good, ("CLERK_SECRET_KEY", "sk_test_marked"), ("CLERK_API_VERSION", "../v1")],
            "CLERK_API_VERSION",
            Kind::Invalid,
            "v1",
        ),
        (&[good, ("CLERK_JWT_KEY", "marked")], "CLERK_JWT_KEY", Kind::Invalid, "PUBLIC KEY"),
        (
            &[
                good,
                ("CLERK_JWT_KEY", "-----BEGIN PUBLIC KEY-----\nbWFya2Vk\n-----END PUBLIC KEY-----"),
            ],
            "CLERK_JWT_KEY",
            Kind::Invalid,
            "Clerk Dashboard",
        ),
        (
            &[good, ("MCP_RESOURCE_URL", "https://h.example/mcp#f")],
            "MCP_RESOURCE_URL",
            Kind::Invalid,
            "fragment",
        ),
        (
            &[good, ("MCP_RESOURCE_URL", "http://h.example/mcp")],
            "MCP_RESOURCE_URL",
            Kind::Invalid,
            "https:",
        ),
        (
            &[good, ("MCP_RESOURCE_URL", "https://u:marked@h.example/")],
            "MCP_RESOURCE_URL",
            Kind::Invalid,
            "user name",
        ),
        (&[good, ("MCP_RESOURCE_URL", "/mcp")], "MCP_RESOURCE_URL", Kind::Invalid, "absolute"),
        (&[good, ("MCP_AUDIENCE", "none")], "MCP_AUDIENCE", Kind::Invalid, "if-present"),
        (&[good, ("MCP_AUDIENCE", "Any")], "MCP_AUDIENCE", Kind::Invalid, "if-present"),
    ];
    for (vars, setting, kind, helps) in rows {
        let error = build(vars).unwrap_err();
        assert_eq!((error.setting(), error.kind()), (setting, kind), "{vars:?}");
        let text = error.to_string();
        assert!(text.contains(setting) && text.contains(helps), "{vars:?}: {text}");
        assert_eq!(format!("{error:?}"), text, "{vars:?}");
        assert!(!text.contains("marked"), "{vars:?}: {text}");
    }
}

/// `docker --env-file` keeps quotation marks, and mounted secrets end with a newline.
#[test]
fn trims_white_space_and_rejects_quotation_marks_and_commas() {
    let good = [
        ("CLERK_PUBLISHABLE_KEY", TEST_KEY),
        ("CLERK_SECRET_KEY", "sk_test_marked"),
        ("MCP_RESOURCE_URL", "https://h.example/mcp"),
        ("MCP_SCOPES", "profile email"),
    ];
    let build = |variable: &str, value: &str| {
        let others = |name: &str| find(&good, name);
        let var = |name: &str| (name == variable).then(|| value.to_owned()).or(others(name));
        ClerkMcp::builder().env_from(var).build()
    };
    for (variable, value) in good {
        for padded in [format!(" {value} "), format!("{value}\n"), format!("\t{value}\r\n")] {
            let clerk = build(variable, &padded).unwrap();
            assert_eq!(clerk.resource().as_str(), "https://h.example/mcp", "{padded:?}");
            let issuer = "https://foo-bar-13.clerk.accounts.dev";
            assert_eq!(clerk.verifier().frontend_api().issuer(), issuer, "{padded:?}");
        }
    }

    const QUOTES: &str = "is surrounded by quotation marks; copy it from the Clerk Dashboard";
    let quoted = |value: &str| format!("\"{value}\"");
    let rows = [
        ("CLERK_PUBLISHABLE_KEY", quoted(TEST_KEY), QUOTES),
        ("CLERK_PUBLISHABLE_KEY", format!("'{TEST_KEY}'"), QUOTES),
        ("CLERK_PUBLISHABLE_KEY", format!(" \"{TEST_KEY}\"\n"), QUOTES),
        ("CLERK_PUBLISHABLE_KEY", format!("{TEST_KEY} {TEST_KEY}"), "contains white space"),
        ("CLERK_SECRET_KEY", quoted("sk_test_marked"), QUOTES),
        ("CLERK_SECRET_KEY", "'sk_test_marked'".into(), QUOTES),
        ("CLERK_SECRET_KEY", "sk_test_marked\"".into(), QUOTES),
        ("CLERK_SECRET_KEY", "sk_test_ marked".into(), "contains white space"),
        ("MCP_RESOURCE_URL", quoted("https://h.example/mcp"), "is surrounded by quotation marks"),
        ("MCP_SCOPES", "profile,email".into(), "separate the scopes with spaces"),
        ("MCP_SCOPES", "profile, email".into(), "separate the scopes with spaces"),
        ("MCP_SCOPES", quoted("profile email"), "it contains '\"'"),
    ];
    for (variable, value, helps) in rows {
        let error = build(variable, &value).unwrap_err();
        assert_eq!((error.setting(), error.kind()), (variable, Kind::Invalid), "{value:?}");
        let text = error.to_string();
        assert!(text.contains(variable) && text.contains(helps), "{value:?}: {text}");
        assert!(!text.contains("marked"), "{value:?}: {text}");
    }
}

#[test]
fn errors_name_the_variable_that_the_value_was_read_from() {
    let read = build(&[("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "pk_test_")]).unwrap_err();
    assert_eq!(read.setting(), "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY");
    let start = "invalid publishable key in NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY: ";
    assert!(read.to_string().starts_with(start), "{read}");
    let given = PublishableKey::parse("pk_test_").unwrap_err();
    assert_eq!(given.setting(), "CLERK_PUBLISHABLE_KEY");
    assert!(given.to_string().starts_with("invalid publishable key: "), "{given}");
}

#[test]
fn rejects_invalid_builder_settings() {
    let verifier = || {
        build(&[("CLERK_PUBLISHABLE_KEY", TEST_KEY), ("MCP_RESOURCE_URL", "https://h.example/mcp")])
            .unwrap()
    };
    let scopes = |list| Scopes::parse(list).unwrap();
    let rows: [(&str, Result<ClerkMcp, ConfigError>, &str); 6] = [
        (
            "another resource",
            ClerkMcp::builder()
                .resource("https://h.example/x".parse().unwrap())
                .verifier(verifier())
                .build(),
            "MCP_RESOURCE_URL",
        ),
        (
            "offline_access as a required scope",
            ClerkMcp::builder()
                .resource("https://h.example/mcp".parse().unwrap())
                .verifier(verifier())
                .scopes(scopes("a offline_access"))
                .build(),
            "scopes",
        ),
        (
            "a required scope that is not advertised",
            ClerkMcp::builder()
                .resource("https://h.example/mcp".parse().unwrap())
                .verifier(verifier())
                .scopes(scopes("a b"))
                .scopes_supported(scopes("a"))
                .build(),
            "scopes_supported",
        ),
        (
            "a duplicate metadata member",
            ClerkMcp::builder()
                .resource("https://h.example/mcp".parse().unwrap())
                .verifier(verifier())
                .customize_metadata(|document| {
                    document.extra("authorization_servers", "https://evil.example")
                })
                .build(),
            "authorization_servers",
        ),
        ("no resource", ClerkMcp::builder().verifier(verifier()).build(), "MCP_RESOURCE_URL"),
        (
            "no verifier",
            ClerkMcp::builder().resource("https://h.example/mcp".parse().unwrap()).build(),
            "verifier",
        ),
    ];
    for (case, outcome, setting) in rows {
        assert_eq!(outcome.unwrap_err().setting(), setting, "{case}");
    }
    let key = PublishableKey::parse(TEST_KEY).unwrap();
    let leeway = ClerkVerifier::builder()
        .publishable_key(key.clone())
        .leeway(Duration::from_secs(301))
        .build();
    assert_eq!(leeway.unwrap_err().setting(), "leeway");
    let keys = ClerkVerifier::builder().publishable_key(key).keys_from_backend_api().build();
    assert_eq!(keys.unwrap_err().setting(), "CLERK_SECRET_KEY");
    let api = BackendApi::parse("http://10.0.0.1");
    assert_eq!(api.unwrap_err().setting(), "CLERK_API_URL");
    assert_eq!(ClerkClient::builder().build().unwrap_err().setting(), "CLERK_SECRET_KEY");
    assert_eq!(Scopes::new(["quo\"te"]).unwrap_err().setting(), "scopes");
    assert!(FrontendApi::parse("https://a.example#").is_err());
    assert!(ResourceUrl::parse("https://a.example/ ").is_err());
}
