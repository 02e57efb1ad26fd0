//! The example with rules about members and a call to another server.

#[path = "../../../examples/organizations.rs"]
#[allow(
    clippy::duplicate_mod,
    dead_code,
    unreachable_pub,
    reason = "the tests use the server and leave the rest to `cargo run --example`"
)]
mod example;

use clerk_mcp_tools::PermissionError;
use clerk_mcp_tools::testing::{FakeClerk, Route};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Calls a tool, and returns the status, the challenge and the body.
async fn call(url: &str, token: &str, tool: &str) -> (u16, Option<String>, Value) {
    let message =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}});
    let request = reqwest::Client::new().post(url).bearer_auth(token);
    let request = request.header("content-type", "application/json");
    let request = request.header("accept", "application/json, text/event-stream");
    let response = request.body(message.to_string()).send().await.unwrap();
    let status = response.status().as_u16();
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
    (status, challenge, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn members_admins_and_the_other_server() {
    let fake = FakeClerk::start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = example::Server::new(&fake, &origin).unwrap();
    let router = server.router();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let url = format!("{origin}/mcp");

    let acme = fake.create_organization("Acme");
    acme.set_member("user_1", "org:member", [""; 0]);
    acme.set_member("user_2", "org:admin", ["org:projects:delete"]);
    let mint = |user: &str, list: &str| {
        let mint = fake.mint().subject(user).audience(&url).organization(acme.id());
        mint.scopes(list.split(' ')).jwt()
    };
    let all = "profile email user:org:read";
    let (member, admin) = (mint("user_1", all), mint("user_2", all));
    let stranger = mint("user_3", all);
    let narrow = mint("user_1", "profile user:org:read");
    let without = fake.mint().audience(&url).jwt();

    let text = |body: &Value| body["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    let rows = [
        (&member, "list_projects", "roadmap, for org:member"),
        (&admin, "list_projects", "roadmap, for org:admin"),
        (&admin, "delete_projects", "deleted"),
        (&member, "read_notes", "the notes of user_1"),
        (&admin, "read_notes", "the notes of user_2"),
        (&stranger, "read_notes", "the notes of user_3"),
    ];
    for (token, tool, expected) in rows {
        let (status, _, body) = call(&url, token, tool).await;
        assert_eq!((status, text(&body).as_str()), (200, expected), "{body}");
    }
    let denied = |error: PermissionError| {
        json!({"jsonrpc": "2.0", "id": 1,
            "error": {"code": -32000, "message": error.description()}})
    };
    for (token, tool, error) in [
        (&member, "delete_projects", PermissionError::RoleNotSufficient),
        (&stranger, "list_projects", PermissionError::NotMember),
    ] {
        assert_eq!(call(&url, token, tool).await, (403, None, denied(error)), "{tool}");
    }
    for (token, tool, scope) in [
        (&without, "list_projects", "profile user:org:read email"),
        // What the other server needs.
        (&narrow, "read_notes", "profile email user:org:read"),
    ] {
        let (status, challenge, _) = call(&url, token, tool).await;
        assert_eq!(status, 403);
        let challenge = challenge.unwrap();
        assert!(challenge.ends_with(&format!("scope=\"{scope}\"")), "{challenge}");
    }
    // One look-up for each user; an exchange for each caller with the scopes.
    assert_eq!(fake.calls(Route::OrganizationMemberships), 3);
    assert_eq!(fake.calls(Route::Token), 3);
    // The other server does not accept the token of this one.
    let notes = format!("{origin}/notes");
    let response = reqwest::Client::new().get(&notes).bearer_auth(&member).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
}
