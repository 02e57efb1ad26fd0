//! What the environment says about the types that are accepted.

use clerk_mcp_tools::clerk::ApiKeys;
use clerk_mcp_tools::{ClerkMcp, ClerkVerifier, ConfigError, ScopeHierarchy, TokenType};

use super::{FRONTEND, Instance, scopes};
use crate::support::{RESOURCE, call, guarded};

type Variables<'a> = &'a [(&'a str, &'a str)];

fn build(instance: &Instance, variables: Variables<'_>) -> Result<ClerkMcp, ConfigError> {
    let own = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    let variable = |name: &str| match (own(name), name) {
        (Some(value), _) => Some(value.to_owned()),
        (None, "CLERK_MACHINE_SECRET_KEY" | "CLERK_MACHINE_ID") => None,
        (None, "MCP_RESOURCE_URL") => Some(RESOURCE.to_owned()),
        (None, _) => instance.fixture.clerk.env_var(name),
    };
    ClerkMcp::builder().env_from(variable).build()
}

#[tokio::test]
async fn the_environment_names_the_types() {
    let instance = Instance::new().await;
    let clerk = &instance.fixture.clerk;
    let tokens = [
        clerk.mint().scopes(["mcp"]).audience(RESOURCE).opaque(),
        instance.api_key(),
        instance.caller.mint().opaque(),
    ];
    let key = instance.server.secret_key();
    let all: Variables<'_> = &[
        ("MCP_ACCEPTS", "oauth_token  api_key m2m_token session_token"),
        ("MCP_SCOPES", "mcp"),
        ("CLERK_MACHINE_SECRET_KEY", key),
        ("CLERK_MACHINE_ID", instance.server.id()),
        ("MCP_AUTHORIZED_PARTIES", FRONTEND),
    ];
    let keys: Variables<'_> = &[("MCP_ACCEPTS", "api_key"), ("MCP_SCOPES", "mcp")];
    let machines: Variables<'_> = &[
        ("MCP_ACCEPTS", "m2m_token"),
        ("MCP_SCOPES", "mcp"),
        ("CLERK_MACHINE_ID", instance.server.id()),
    ];
    let default: Variables<'_> = &[("MCP_ACCEPTS", " "), ("MCP_SCOPES", "mcp")];
    let rows = [
        (all, [200, 200, 200]),
        (keys, [401, 200, 401]),
        (machines, [401, 401, 200]),
        (default, [200, 401, 401]),
    ];
    for (variables, expected) in rows {
        let service = guarded(build(&instance, variables).unwrap().auth_layer());
        for (token, expected) in tokens.iter().zip(expected) {
            let response = call(&service, token).await;
            assert_eq!(response.status, expected, "{variables:?} {token:.3}: {}", response.body);
        }
        let self_made = clerk.create_api_key().secret();
        let expected = if expected[1] == 200 { 403 } else { 401 };
        assert_eq!(call(&service, &self_made).await.status, expected);
    }
}

#[tokio::test]
async fn mistakes_have_a_sentence_each() {
    let instance = Instance::new().await;
    let rows: [(Variables<'_>, &str); 14] = [
        (
            &[("MCP_ACCEPTS", "api_keys")],
            "it must be oauth_token, api_key, m2m_token or session_token",
        ),
        (
            &[("MCP_ACCEPTS", "oauth_token,api_key")],
            "contains a comma: separate the types with spaces",
        ),
        (&[("MCP_ACCEPTS", "API_KEY")], "invalid token type in MCP_ACCEPTS"),
        (&[("MCP_ACCEPTS", "api_key")], "every user of the application can make keys without any"),
        (&[("MCP_ACCEPTS", "m2m_token")], "neither is CLERK_MACHINE_SECRET_KEY"),
        (
            &[("MCP_ACCEPTS", "m2m_token"), ("CLERK_MACHINE_SECRET_KEY", "sk_test_xyzzy")],
            "is the secret key of the instance, which belongs into CLERK_SECRET_KEY",
        ),
        (
            &[("MCP_ACCEPTS", "m2m_token"), ("CLERK_MACHINE_ID", "user_1")],
            "is not mch_ and letters",
        ),
        (
            &[("MCP_ACCEPTS", "m2m_token"), ("CLERK_MACHINE_ID", "ak_xyzzy")],
            "is a key and not the id of a machine",
        ),
        (&[("CLERK_SECRET_KEY", "ak_xyzzy")], "belongs into CLERK_MACHINE_SECRET_KEY"),
        (&[("MCP_ACCEPTS", "session_token")], "MCP_AUTHORIZED_PARTIES is not set"),
        (
            &[("MCP_ACCEPTS", "session_token"), ("MCP_AUTHORIZED_PARTIES", "https://a.example/")],
            "has a path or a slash",
        ),
        (
            &[
                ("MCP_ACCEPTS", "session_token"),
                ("MCP_AUTHORIZED_PARTIES", "https://a.example,https://b.example"),
            ],
            "separate the origins with spaces",
        ),
        (
            &[("MCP_ACCEPTS", "session_token"), ("MCP_AUTHORIZED_PARTIES", "*")],
            "invalid authorized party in MCP_AUTHORIZED_PARTIES",
        ),
        (
            &[("MCP_ACCEPTS", "api_key"), ("MCP_SCOPES", "mcp"), ("CLERK_SECRET_KEY", "")],
            "CLERK_SECRET_KEY is required to verify API keys",
        ),
    ];
    for (variables, expected) in rows {
        let error = build(&instance, variables).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{variables:?}: {error}");
        assert!(!error.contains("xyzzy"), "{error}");
    }
    // What is not accepted is not read.
    build(&instance, &[("CLERK_MACHINE_ID", "user_1")]).unwrap();
}

#[tokio::test]
async fn the_program_and_the_environment_do_not_contradict_each_other() {
    let instance = Instance::new().await;
    let builder = || instance.builder(&[TokenType::OAuthToken, TokenType::ApiKey]);
    let accepts =
        |list: &'static str| move |name: &str| (name == "MCP_ACCEPTS").then(|| list.to_owned());
    assert!(builder().env_from(accepts("oauth_token api_key")).build().is_ok());
    let left_out = builder().env_from(accepts("oauth_token")).build().unwrap_err();
    assert!(left_out.to_string().contains("does not have api_key"), "{left_out}");
    let rejected = builder().reject_oauth_tokens().env_from(accepts("oauth_token api_key"));
    let rejected = rejected.build().unwrap_err();
    assert!(rejected.to_string().contains("has oauth_token"), "{rejected}");
    let nothing = instance.fixture.verifier_builder().reject_oauth_tokens().build().unwrap_err();
    assert!(nothing.to_string().contains("leaves no credential"), "{nothing}");
    let without_key = instance.fixture.public_verifier_builder();
    let without_key = without_key.accept_api_keys(ApiKeys::any_key_of_the_instance()).build();
    assert_eq!(without_key.unwrap_err().setting(), "CLERK_SECRET_KEY");
}

/// A key whose scope implies that of the endpoint passes, as an access token does.
#[tokio::test]
async fn the_hierarchy_of_the_endpoint_holds_for_keys() {
    let instance = Instance::new().await;
    let variable = |name: &str| match name {
        "MCP_ACCEPTS" => Some("api_key".to_owned()),
        "MCP_RESOURCE_URL" => Some(RESOURCE.to_owned()),
        _ => instance.fixture.clerk.env_var(name),
    };
    let clerk = ClerkMcp::builder()
        .env_from(variable)
        .scopes(scopes("mcp"))
        .scopes_supported(scopes("mcp all"))
        .scope_hierarchy(ScopeHierarchy::new().implies("all", ["mcp"]).unwrap())
        .build()
        .unwrap();
    let service = guarded(clerk.auth_layer());
    let key = instance.fixture.clerk.create_api_key().scopes(["all"]).secret();
    let response = call(&service, &key).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let verifier: &ClerkVerifier = clerk.verifier();
    assert_eq!(verifier.stats().of_type(TokenType::ApiKey).upstream_calls, 1);
}
