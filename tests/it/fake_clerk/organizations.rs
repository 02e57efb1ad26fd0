//! Organizations: memberships in the Backend API, and the organization in tokens.

use std::time::Duration;

use clerk_mcp_tools::testing::{FakeClerk, Fault, Route};
use serde_json::{Value, json};

use super::{
    NOW, RESOURCE, claims, code, exchange_code, get, get_backend, refresh, start, start_with_clock,
};

const MILLISECONDS: u64 = NOW * 1000;

fn members_path(organization: &str) -> String {
    format!("/v1/organizations/{organization}/memberships")
}

fn of_user_path(user: &str) -> String {
    format!("/v1/users/{user}/organization_memberships")
}

/// Returns what `member` is in each entry of the list, and the total count.
async fn listed(clerk: &FakeClerk, path: &str, member: &str) -> (Vec<String>, u64) {
    let response = get_backend(clerk, path).await;
    assert_eq!(response.status, 200, "{path} {}", response.json);
    let data = response.json["data"].as_array().unwrap();
    let ids = data.iter().map(|entry| entry.pointer(member).unwrap().as_str().unwrap().to_owned());
    (ids.collect(), response.json["total_count"].as_u64().unwrap())
}

#[tokio::test]
async fn memberships_have_the_form_of_clerk() {
    let (clerk, clock) = start_with_clock().await;
    let acme = clerk.create_organization("Acme Ltd");
    let user = clerk.default_user_id();
    acme.set_member(user, "org:member", ["org:files:read"]);
    clock.advance(Duration::from_secs(1));
    acme.set_member(user, "org:editor", ["org:files:read", "org:files:write"]);

    let mut response = get_backend(&clerk, &members_path(acme.id())).await;
    assert_eq!(response.status, 200);
    let id = response.json["data"][0]["id"].take();
    assert!(id.as_str().unwrap().starts_with("orgmem_"), "{id}");
    let expected = json!({
        "data": [{
            "object": "organization_membership", "id": null, "role": "org:editor",
            "role_name": "Editor", "permissions": ["org:files:read", "org:files:write"],
            "public_metadata": {}, "private_metadata": {},
            "organization": {
                "object": "organization", "id": acme.id(), "name": "Acme Ltd", "slug": "acme-ltd",
                "image_url": "https://img.clerk.com/preview.png", "has_image": false,
                "members_count": 1, "max_allowed_memberships": 0, "admin_delete_enabled": true,
                "public_metadata": {}, "private_metadata": {}, "created_at": MILLISECONDS,
                "updated_at": MILLISECONDS,
            },
            "public_user_data": {
                "user_id": user, "first_name": "Ada", "last_name": "Lovelace",
                "image_url": "https://img.clerk.com/preview.png", "has_image": false,
                "identifier": "ada@example.com", "username": "ada",
            },
            "created_at": MILLISECONDS, "updated_at": MILLISECONDS + 1000,
        }],
        "total_count": 1,
    });
    assert_eq!(response.json, expected);

    // The default user is an admin of the default organization.
    let path = members_path(clerk.default_organization_id());
    let default = get_backend(&clerk, &path).await.json["data"][0].take();
    assert_eq!((&default["role"], &default["role_name"]), (&json!("org:admin"), &json!("Admin")));
    assert_eq!(default["permissions"].as_array().unwrap().len(), 8);
    assert!(clerk.default_organization().remove_member(user));
    assert_eq!(get_backend(&clerk, &path).await.json, json!({ "data": [], "total_count": 0 }));
    assert!(!clerk.default_organization().remove_member(user));
}

#[tokio::test]
async fn members_are_selected_by_user_and_paged() {
    let clerk = FakeClerk::start().await.unwrap();
    let acme = clerk.create_organization("Acme");
    for index in 0..12 {
        acme.set_member(format!("user_{index}"), "org:member", [""; 0]);
    }
    let range = |from: usize, to: usize| (from..to).map(|i| format!("user_{i}")).collect();
    for (query, expected, total) in [
        ("", range(0, 10), 12),
        ("?limit=500", range(0, 12), 12),
        ("?limit=5&offset=10", range(10, 12), 12),
        ("?offset=12", vec![], 12),
        ("?user_id=user_3&limit=1", range(3, 4), 1),
        ("?user_id=%2Buser_3&limit=1", range(3, 4), 1),
        // A plus that is not percent-encoded.
        ("?user_id=+user_3&limit=1", range(3, 4), 1),
        ("?user_id=-user_0&limit=3", range(1, 4), 11),
        ("?user_id=user_1&user_id=user_2", range(1, 3), 2),
        ("?user_id=user_1&user_id=user_2&user_id=-user_2", range(1, 2), 1),
        ("?user_id=user_", vec![], 0),
        ("?user_id=USER_3", vec![], 0),
        ("?user_id=--user_3&limit=1", range(0, 1), 12),
    ] {
        let path = members_path(acme.id()) + query;
        let listed = listed(&clerk, &path, "/public_user_data/user_id").await;
        assert_eq!(listed, (expected, total), "{query}");
    }
    for query in ["?limit=0", "?limit=501", "?limit=ten", "?limit=-1", "?offset=-1"] {
        for path in [members_path(acme.id()), of_user_path(clerk.default_user_id())] {
            let response = get_backend(&clerk, &(path + query)).await;
            let code = &response.json["errors"][0]["code"];
            assert_eq!(
                (response.status.as_u16(), code),
                (422, &json!("form_param_format_invalid"))
            );
        }
    }
    let unknown = members_path("org_unknown");
    assert_eq!(get_backend(&clerk, &unknown).await.status, 404);
    assert_eq!(get(&clerk, &unknown).await.status, 401);
    assert_eq!(get_backend(&clerk, "/v1/organizations//memberships").await.status, 404);
}

#[tokio::test]
async fn a_user_has_a_list_of_organizations() {
    let clerk = FakeClerk::builder().user(json!({ "id": "user_grace" })).start().await.unwrap();
    let mut organizations: Vec<String> = Vec::new();
    for name in ["a", "b", "c"] {
        let organization = clerk.create_organization(name);
        organization.set_member("user_grace", "org:member", [""; 0]);
        organization.set_member("user_other", "org:member", [""; 0]);
        organizations.push(organization.id().to_owned());
    }
    organizations.sort();
    let path = of_user_path("user_grace");
    let expected = (organizations.clone(), 3);
    assert_eq!(listed(&clerk, &path, "/organization/id").await, expected);
    let second = format!("{path}?limit=1&offset=1");
    let expected = (organizations[1..2].to_vec(), 3);
    assert_eq!(listed(&clerk, &second, "/organization/id").await, expected);
    let default = listed(&clerk, &of_user_path(clerk.default_user_id()), "/organization/id").await;
    assert_eq!(default, (vec![clerk.default_organization_id().to_owned()], 1));

    assert_eq!(get_backend(&clerk, &of_user_path("user_unknown")).await.status, 404);
    assert_eq!(get(&clerk, &path).await.status, 401);
    assert_eq!(clerk.calls(Route::UserMemberships), 5);
    assert_eq!(clerk.calls(Route::User), 0);
}

#[tokio::test]
async fn lists_of_memberships_can_fail() {
    let clerk = FakeClerk::start().await.unwrap();
    let of_organization = members_path(clerk.default_organization_id());
    let of_user = of_user_path(clerk.default_user_id());
    clerk
        .fault(Route::OrganizationMemberships, Fault::Status { status: 429, retry_after: Some(7) });
    let limited = get_backend(&clerk, &of_organization).await;
    assert_eq!((limited.status.as_u16(), limited.header("retry-after")), (429, Some("7")));
    assert_eq!(get_backend(&clerk, &of_user).await.status, 200);
    clerk.heal_all();
    assert_eq!(get_backend(&clerk, &of_organization).await.status, 200);
    assert_eq!(clerk.calls(Route::OrganizationMemberships), 2);
    let last = clerk.last_request(Route::OrganizationMemberships).unwrap();
    assert_eq!(last.path, of_organization);
}

/// Signs in with these scopes and returns `org_id` of the token and that of its refresh.
async fn organization_ids(clerk: &FakeClerk, client_id: &str, scope: &str) -> [Value; 2] {
    let scope = format!("{scope} offline_access");
    let code = code(clerk, client_id, &[("scope", &scope), ("resource", RESOURCE)]).await;
    let first = exchange_code(clerk, client_id, &code, &[]).await;
    // The choice of a later sign-in.
    clerk.choose_organization(Some("org_later"));
    let second = refresh(clerk, client_id, &first.string("refresh_token"), &[]).await;
    [first, second].map(|response| claims(&response.string("access_token"))["org_id"].take())
}

#[tokio::test]
async fn a_token_names_the_chosen_organization_if_the_scope_was_granted() {
    let (clerk, _, client_id) = start().await;
    let default = clerk.default_organization_id().to_owned();
    for (chosen, scope, expected) in [
        (Some(default.as_str()), "user:org:read", json!(default)),
        (Some(default.as_str()), "profile", json!(null)),
        (Some("org_1"), "profile user:org:read", json!("org_1")),
        (None, "user:org:read", json!(null)),
    ] {
        clerk.choose_organization(chosen);
        let ids = organization_ids(&clerk, &client_id, scope).await;
        assert_eq!(ids, [expected.clone(), expected], "{chosen:?} {scope}");
    }
    // The first choice is the default organization.
    let clerk = FakeClerk::start().await.unwrap();
    let sign_in = clerk.sign_in().scopes(["user:org:read"]);
    let token = sign_in.access_token().await.unwrap();
    assert_eq!(claims(&token)["org_id"], clerk.default_organization_id());
}

#[tokio::test]
async fn a_session_token_has_role_and_permissions_of_its_organization() {
    let clerk = FakeClerk::start().await.unwrap();
    let acme = clerk.create_organization("Acme");
    for (role, permissions, expected, features) in [
        ("org:admin", vec![], json!({ "rol": "admin" }), ""),
        // System permissions are left out.
        ("org:admin", vec!["org:sys_profile:manage"], json!({ "rol": "admin" }), ""),
        (
            "org:member",
            vec!["org:files:read"],
            json!({ "rol": "member", "per": "read", "fpm": "1" }),
            "o:files",
        ),
        (
            "org:editor",
            vec!["org:files:read", "org:billing:manage", "org:files:write", "org:billing:read"],
            json!({ "rol": "editor", "per": "read,manage,write", "fpm": "5,3" }),
            "o:files,o:billing",
        ),
    ] {
        acme.set_member(clerk.default_user_id(), role, permissions);
        let token = clerk.mint_session_token("https://a.example").organization(acme.id()).jwt();
        let mut organization = json!({ "id": acme.id(), "slg": "acme" });
        organization.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        let claims = claims(&token);
        assert_eq!((&claims["o"], &claims["fea"]), (&organization, &json!(features)));
    }
    // Of another user, who is no member.
    let other = clerk.mint_session_token("https://a.example").subject("user_2");
    assert_eq!(claims(&other.organization(acme.id()).jwt())["o"], json!({ "id": acme.id() }));
}
