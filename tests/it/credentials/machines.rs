//! The two ways to bind machine tokens to a server, and who the callers are.

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::clerk::{ApiKeys, MachineTokens};
use clerk_mcp_tools::instance::MachineId;
use clerk_mcp_tools::{
    AuthInfo, ClerkVerifier, PrincipalKind, TokenType, VerifyErrorKind as Kind, verify_clerk_token,
};
use serde_json::json;

use super::{Instance, scopes};
use crate::support::{call, error_kind, guarded, resource};

#[tokio::test]
async fn a_key_or_an_id_binds_machine_tokens_to_the_server() {
    let instance = Instance::new().await;
    let (key, id) = (instance.machine_key(), instance.machine_id());
    let other_id = MachineId::parse("mch_other").unwrap();
    let by_key = || MachineTokens::with_secret_key(key.clone());
    let token = || instance.machine_token();
    let stranger = || super::earlier(instance.stranger.mint());
    // The settings, whether the instance's secret key is there, and the verdicts for an opaque token,
    // a JWT, and the same two for another machine.
    let rows = [
        (
            "the key",
            by_key(),
            true,
            [None, Some(Kind::Misconfigured), Some(Kind::UnknownToken), Some(Kind::Misconfigured)],
        ),
        (
            "the key alone",
            by_key(),
            false,
            [None, Some(Kind::Misconfigured), Some(Kind::UnknownToken), Some(Kind::Misconfigured)],
        ),
        (
            "the id",
            MachineTokens::for_machine(id.clone()),
            true,
            [None, None, Some(Kind::InvalidAudience), Some(Kind::InvalidAudience)],
        ),
        (
            "the id alone",
            MachineTokens::for_machine(id.clone()),
            false,
            [
                Some(Kind::Misconfigured),
                None,
                Some(Kind::Misconfigured),
                Some(Kind::InvalidAudience),
            ],
        ),
        (
            "both",
            by_key().machine_id(id),
            false,
            [None, None, Some(Kind::UnknownToken), Some(Kind::InvalidAudience)],
        ),
        // The key of one machine and the id of another: both are checked.
        (
            "two machines",
            by_key().machine_id(other_id),
            true,
            [
                Some(Kind::InvalidAudience),
                Some(Kind::InvalidAudience),
                Some(Kind::UnknownToken),
                Some(Kind::InvalidAudience),
            ],
        ),
    ];
    for (name, rules, with_secret_key, expected) in rows {
        let builder = if with_secret_key {
            instance.fixture.verifier_builder()
        } else {
            instance.fixture.public_verifier_builder()
        };
        let verifier = builder.accept_machine_tokens(rules).build().unwrap();
        let tokens = [token().opaque(), token().jwt(), stranger().opaque(), stranger().jwt()];
        for (token, expected) in tokens.iter().zip(expected) {
            assert_eq!(error_kind(&verifier, token).await, expected, "{name}: {token:.3}");
        }
    }
}

#[tokio::test]
async fn a_machine_has_the_scopes_that_the_server_grants() {
    let instance = Instance::new().await;
    let caller_id = MachineId::parse(instance.caller.id()).unwrap();
    let rules = || MachineTokens::for_machine(instance.machine_id());
    let rows = [
        (rules(), "", 403),
        (rules().granting(scopes("mcp")), "mcp", 200),
        (rules().granting(scopes("mcp")).granting_to(caller_id.clone(), scopes("a")), "a", 403),
        (rules().granting_to(caller_id, scopes("a mcp")), "a mcp", 200),
    ];
    for (rules, granted, status) in rows {
        let verifier =
            instance.fixture.verifier_builder().accept_machine_tokens(rules).build().unwrap();
        let layer = BearerAuthLayer::new(verifier.clone(), resource());
        let service = guarded(layer.required_scopes(scopes("mcp")));
        for token in [instance.machine_token().opaque(), instance.machine_token().jwt()] {
            let caller = verify_clerk_token(&verifier, &token).await.unwrap();
            assert_eq!(*caller.scopes(), scopes(granted));
            let response = call(&service, &token).await;
            assert_eq!(response.status, status, "{granted}");
        }
    }
}

async fn verify(verifier: &ClerkVerifier, token: &str) -> AuthInfo {
    verify_clerk_token(verifier, token).await.unwrap()
}

#[tokio::test]
async fn callers_are_told_apart() {
    let instance = Instance::new().await;
    let clerk = &instance.fixture.clerk;
    let verifier = instance
        .builder(&[TokenType::M2mToken, TokenType::SessionToken])
        .accept_api_keys(ApiKeys::any_key_of_the_instance())
        .build()
        .unwrap();
    let issuer = clerk.issuer();
    let user = clerk.default_user_id();
    let machine = instance.caller.id();

    let key = clerk.create_api_key().id("ak_1").claim("tier", 2).scopes(["a"]).secret();
    let caller = verify(&verifier, &key).await;
    assert_eq!((caller.user_id(), caller.credential_id()), (Some(user), Some("ak_1")));
    assert_eq!((caller.client_id(), caller.claims().get("tier")), (None, Some(&json!(2))));
    let form = json!({"token": key, "scopes": ["a"], "extra": {
        "userId": user, "tokenType": "api_key", "id": "ak_1", "issuer": issuer,
        "claims": {"tier": 2},
    }});
    assert_form(&caller, form);

    let key = clerk.create_api_key().id("ak_2").subject("org_1").secret();
    let caller = verify(&verifier, &key).await;
    assert_eq!((caller.user_id(), caller.org_id()), (None, Some("org_1")));
    assert_eq!(caller.principal().kind(), PrincipalKind::Organization);
    let form = json!({"token": key, "scopes": [], "extra": {
        "orgId": "org_1", "tokenType": "api_key", "id": "ak_2", "issuer": issuer,
    }});
    assert_form(&caller, form);

    let token = instance.machine_token().claim("jti", "mt_id").claim("a", 1).opaque();
    let caller = verify(&verifier, &token).await;
    assert_eq!((caller.user_id(), caller.org_id()), (None, None));
    assert_eq!(caller.principal().kind(), PrincipalKind::Machine);
    let expires_at = caller.expires_at();
    let form = json!({"token": token, "scopes": ["mcp"], "expiresAt": expires_at, "extra": {
        "machineId": machine, "tokenType": "m2m_token", "id": "mt_id", "issuer": issuer,
        "claims": {"a": 1},
    }});
    assert_form(&caller, form);
    // An id that is the secret is not passed on.
    let secret = clerk.create_api_key().id("ak_x").record_member("id", "").secret();
    assert_eq!(verify(&verifier, &secret).await.credential_id(), None);

    let organization =
        json!({"id": "org_1", "slg": "one", "rol": "admin", "per": "read,manage", "fpm": "2"});
    let token = instance.session().claim("o", organization).claim("fea", "u:x,o:files").jwt();
    let caller = verify(&verifier, &token).await;
    assert_eq!((caller.user_id(), caller.org_id()), (Some(user), Some("org_1")));
    let organization = caller.organization().unwrap();
    assert_eq!((organization.role(), organization.slug()), (Some("org:admin"), Some("one")));
    assert_eq!(organization.permissions(), ["org:files:manage"]);
    let form = serde_json::to_value(caller.serde_form_with_token()).unwrap();
    let names = ["orgId", "orgRole", "orgSlug", "orgPermissions", "tokenType"];
    let values = names.map(|name| form["extra"][name].clone());
    let expected = [
        json!("org_1"),
        json!("org:admin"),
        json!("one"),
        json!(["org:files:manage"]),
        json!("session_token"),
    ];
    assert_eq!(values, expected);
    assert_eq!(serde_json::from_value::<AuthInfo>(form).unwrap(), caller);
}

#[track_caller]
fn assert_form(caller: &AuthInfo, expected: serde_json::Value) {
    let form = serde_json::to_value(caller.serde_form_with_token()).unwrap();
    assert_eq!(form, expected);
    assert_eq!(serde_json::from_value::<AuthInfo>(form).unwrap(), *caller);
}

/// Clerk signs whatever claims a machine asks for, `scopes` and `aud` among them, so a machine that may
/// not call this server can name it in a JWT.
#[tokio::test]
async fn only_listed_machines_can_call_where_there_is_a_list() {
    let instance = Instance::new().await;
    let (server, callers) = (instance.machine_id(), [instance.caller.id(), instance.stranger.id()]);
    let [caller, stranger] = callers.map(|id| MachineId::parse(id).unwrap());
    let rules = || MachineTokens::for_machine(server.clone());
    let named = || super::earlier(instance.stranger.mint()).claim("scopes", server.as_str()).jwt();
    let rows = [
        (rules(), [None, None, None]),
        (rules().only_from([caller.clone()]), [None, None, Some(Kind::InvalidAudience)]),
        (
            rules().only_from([stranger.clone()]),
            [Some(Kind::InvalidAudience), Some(Kind::InvalidAudience), None],
        ),
        (rules().only_from([caller, stranger]), [None, None, None]),
    ];
    for (rules, expected) in rows {
        let builder = instance.fixture.verifier_builder().accept_machine_tokens(rules.clone());
        let verifier = builder.build().unwrap();
        verifier.warm_up().await.unwrap();
        let tokens = [instance.machine_token().opaque(), instance.machine_token().jwt(), named()];
        for (token, expected) in tokens.iter().zip(expected) {
            assert_eq!(error_kind(&verifier, token).await, expected, "{rules:?}");
        }
    }
}
