//! Invalid configuration is rejected by `build`, with a helpful message that shows no secret.

use std::time::Duration;

use clerk_mcp_tools::clerk::ClerkClient;
use clerk_mcp_tools::instance::{BackendApi, FrontendApi};
use clerk_mcp_tools::{
    ClerkMcp, ClerkMcpBuilder, ClerkVerifier, ConfigError, ConfigErrorKind as Kind, JwtKey,
    PublishableKey, ResourceUrl, Scopes,
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
    let rows: [(Vars<'_>, &str, Kind, &str); 23] = [
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
        (
            &[good, ("CLERK_FAPI", "https://clerk.example.com.")],
            "CLERK_FAPI",
            Kind::Invalid,
            "ends with a dot",
        ),
        (
            &[good, ("CLERK_FAPI", "https://clerk..example.com")],
            "CLERK_FAPI",
            Kind::Invalid,
            "an empty label",
        ),
        (
            &[good, ("CLERK_FAPI", "https://clerk.example.com:0443")],
            "CLERK_FAPI",
            Kind::Invalid,
            "a leading zero",
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

/// The later of two settings counts, and a variable that is not set changes nothing.
#[test]
fn the_backend_api_is_read_from_the_environment_part_by_part() {
    let api = |origin: &str, version| BackendApi::parse(origin)?.with_version(version);
    let own = api("https://own.example", "v2").unwrap();
    let (url, version) = (("CLERK_API_URL", "https://env.example"), ("CLERK_API_VERSION", "v3"));
    let rows: [(Vars<'_>, &str, &str); 5] = [
        (&[], "https://own.example", "v2"),
        (&[url], "https://env.example", "v2"),
        (&[version], "https://own.example", "v3"),
        (&[url, version], "https://env.example", "v3"),
        (&[("CLERK_API_URL", ""), ("CLERK_API_VERSION", " ")], "https://own.example", "v2"),
    ];
    for (vars, origin, version) in rows {
        let read =
            ClerkClient::builder().backend_api(own.clone()).env_from(|name| find(vars, name));
        let expected = format!("{:?}", api(origin, version).unwrap());
        assert!(format!("{read:?}").contains(&expected), "{vars:?}: {read:?}");
        let set = ClerkClient::builder().env_from(|name| find(vars, name)).backend_api(own.clone());
        assert!(format!("{set:?}").contains(&format!("{own:?}")), "{vars:?}: {set:?}");
    }
}

#[test]
fn a_verifier_takes_precedence_over_the_environment_and_the_later_resource_counts() {
    const ENV: Vars<'_> = &[
        ("CLERK_PUBLISHABLE_KEY", TEST_KEY),
        ("MCP_RESOURCE_URL", "https://env.example/mcp"),
        ("MCP_SCOPES", "profile email"),
    ];
    let env = |builder: ClerkMcpBuilder| builder.env_from(|name| find(ENV, name));
    let own = || "https://own.example/mcp".parse().unwrap();
    let verifier = || build(&[("CLERK_PUBLISHABLE_KEY", LIVE_KEY)]).unwrap();
    let builder = ClerkMcp::builder;
    let (test, live) = ("https://foo-bar-13.clerk.accounts.dev", "https://clerk.example.com");
    let rows = [
        (env(builder()), "https://env.example/mcp", test),
        (env(builder()).resource(own()), "https://own.example/mcp", test),
        (env(builder().resource(own())), "https://env.example/mcp", test),
        (env(builder()).verifier(verifier()), "https://env.example/mcp", live),
        (env(builder().verifier(verifier())), "https://env.example/mcp", live),
    ];
    for (builder, resource, issuer) in rows {
        let clerk = builder.build().unwrap();
        let case = format!("{resource} {issuer}");
        assert_eq!(clerk.resource().as_str(), resource, "{case}");
        assert_eq!(clerk.metadata().resource, resource, "{case}");
        assert_eq!(clerk.verifier().frontend_api().issuer(), issuer, "{case}");
        assert_eq!(clerk.scopes().to_string(), "profile email", "{case}");
        let by_verifier = clerk.verifier().resource().map(ResourceUrl::as_str);
        assert_eq!(by_verifier, (issuer == test).then_some(resource), "{case}");
    }
    let overridden = env(builder()).scopes(Scopes::parse("openid").unwrap()).build().unwrap();
    assert_eq!(overridden.scopes().to_string(), "openid");
}

/// What was invalid in the environment stays an error: silently, another setting would be used.
#[test]
fn an_invalid_variable_is_reported_even_if_it_is_overridden() {
    let var = |name: &str| match name {
        "MCP_RESOURCE_URL" => Some("/mcp".to_owned()),
        "CLERK_PUBLISHABLE_KEY" => Some(TEST_KEY.to_owned()),
        _ => None,
    };
    let own = || "https://own.example/mcp".parse().unwrap();
    let endpoint = ClerkMcp::builder().env_from(var).resource(own()).build().unwrap_err();
    let verifier = ClerkVerifier::builder().env_from(var).resource(own()).build().unwrap_err();
    assert_eq!([endpoint.setting(), verifier.setting()], ["MCP_RESOURCE_URL"; 2]);
}

#[test]
fn a_jwt_key_below_2048_bits_is_rejected() {
    const PEM_OF_1024_BITS: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCyjOiMRx3cJQKyrrY04/HAoXai
DgJnsWUaUO/KpSrzfvkZqxCuPcNaAVDpZ7Vc8avBCfE624aCPgrSJRFM8Xoa0WhG
f5GTvFvIzSUPI4B7Rrey6cDqanCa8fD4YbqMRQ/JqBY7wVroOJPdDdZB+96Ia/VJ
tdf3/gawWzyAnd/egwIDAQAB
-----END PUBLIC KEY-----";
    let error = JwtKey::parse(PEM_OF_1024_BITS).unwrap_err().to_string();
    let expected = "invalid JWT key: it is not an RSA key of 2048 to 8192 bits; ";
    assert!(error.starts_with(expected), "{error}");
}

/// As in a key set (FIPS 186-5 section A.1.1).
#[test]
fn a_jwt_key_with_a_small_exponent_is_rejected() {
    const EXPONENT_3: &str = "-----BEGIN PUBLIC KEY-----
MIIBIDANBgkqhkiG9w0BAQEFAAOCAQ0AMIIBCAKCAQEA3dlWPlsWV6opQIPo0fRr
ckA3aA9rIJCoIA4cXkz+VP0lSKzfHXwgzINeOqCMZ8WiIOgMXEr0s8aXgB8HH1/9
jEhq9GZMSyXNWfan6UpUDJ66sX3/lVHjSj4sPTyymM2CF7tajogNyN8T39DhYEBT
wJaRXHqKG4iQbJqIqiUVcD4b4p9R22yLFWFvRLdBNU3boydKndUqwsR4sg5t9jpv
EecWJi73Oc98TbeiMnJ/cHcTfQ2kSuTxgYwEnuihuKGdkHie1J/suT4UvEQudpkX
kiDo9wkkoEDCWzz3Nf8qs54yoEm9Lht0NVz79vd2GD/3Jot7uEEapRFnjqF9YfzB
HwIBAw==
-----END PUBLIC KEY-----";
    const EXPONENT_17: &str = "-----BEGIN PUBLIC KEY-----
MIIBIDANBgkqhkiG9w0BAQEFAAOCAQ0AMIIBCAKCAQEAuMeq6Yr/dblE3ia8qGDS
pNxvC3/0J4e3y7AOJJ1dq8mU75TYLBBKOIxmQJ2SUOCO2XsmSV0s9lSoh5RvNNqR
lqe00lIHFA62Qwcnr74dPYjuPEZCqjDJGuI08T/0vzknrGn29m34sDtbu022DFLm
O0rRurFLl3wCieNvOlA8LpF4SQgyoFcvQthzE9c6iBtr5fmT0DuCiq9iSguARwGn
wPM/MoQb9G9++eNYOh4LtsqWqHehOiV7QbUPvVq8Bml0KV/K+ie1QRugkeAdwYqw
rbdBDMNftTCSC2SajUrf9mnlnaa09lxSc0B8xV/ES+VPnPrZvvL8RVH1rD5ajUwG
oQIBEQ==
-----END PUBLIC KEY-----";
    let expected =
        "invalid JWT key: it is an RSA key whose exponent is even, below 65537 or too large; ";
    for pem in [EXPONENT_3, EXPONENT_17] {
        let error = JwtKey::parse(pem).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_jwt_key_in_another_form_is_rejected_with_a_sentence_about_it() {
    const EC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMgNgaIStoIVvljzllcbBvXJZpElP
/xCLHo5whIFqoswD2aZNN0//LoeVEzDKjoHgMoOD/sXoyeJfA4jEtdQ1XA==
-----END PUBLIC KEY-----";
    let rows = [
        (format!("\"{EC_KEY}\""), "it is surrounded by quotation marks"),
        (format!("'{EC_KEY}'\n"), "it is surrounded by quotation marks"),
        (format!("{EC_KEY}\""), "it is surrounded by quotation marks"),
        (EC_KEY.to_owned(), "it is not an RSA key of 2048 to 8192 bits"),
        (EC_KEY.replace("PUBLIC", "RSA PUBLIC"), "it is not PEM with the label PUBLIC KEY"),
        (String::new(), "it is not PEM with the label PUBLIC KEY"),
    ];
    for (pem, expected) in rows {
        let error = JwtKey::parse(&pem).unwrap_err().to_string();
        assert!(error.starts_with(&format!("invalid JWT key: {expected}; ")), "{error}");
        assert!(error.contains("Clerk Dashboard"), "{error}");
    }
}
