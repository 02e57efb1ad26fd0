//! The sign-in from the URL of a server to a token that it accepts.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clerk_mcp_tools::Scopes;
use clerk_mcp_tools::client::{
    Begun, ClientMetadataService, ConnectionState, Connections, Disconnected, LoginErrorKind,
    LoginOptions, Owner, RegisteredClient, ServerUrl, TokenErrorKind,
};
use clerk_mcp_tools::testing::{Fault, RecordedRequest, Route};
use http::HeaderValue;
use tower::ServiceExt;
use url::{Url, form_urlencoded};

use super::support::{
    REDIRECT_URI, TOKEN_LIFETIME, World, alice, browse, browse_to_query, complete, http_client,
    mallory, redirect, serve, while_time_passes,
};

/// The parameters of a URL's query or of a form, each of which occurs once.
fn parameters(encoded: &str) -> BTreeMap<String, String> {
    let pairs: Vec<_> = form_urlencoded::parse(encoded.as_bytes()).into_owned().collect();
    let count = pairs.len();
    let map: BTreeMap<_, _> = pairs.into_iter().collect();
    assert_eq!(map.len(), count, "a parameter is repeated");
    map
}

fn form(request: &RecordedRequest) -> BTreeMap<String, String> {
    parameters(std::str::from_utf8(&request.body).unwrap())
}

#[tokio::test]
async fn a_user_signs_in_and_the_server_accepts_the_token() {
    let world = World::new().await;
    let process = world.process();
    let options = LoginOptions::new().return_to("/chats/42").unwrap();
    let begun = process.begin(&alice(), &world.server, options).await.unwrap();
    let login = redirect(begun);

    let url = Url::parse(login.url()).unwrap();
    assert_eq!(url.path(), "/oauth/authorize");
    let mut sent = parameters(url.query().unwrap());
    let (state, challenge) =
        (sent.remove("state").unwrap(), sent.remove("code_challenge").unwrap());
    assert_eq!((state.len(), challenge.len()), (43, 43));
    let client_id = sent.remove("client_id").unwrap();
    let expected = [
        ("response_type", "code"),
        ("redirect_uri", REDIRECT_URI),
        ("code_challenge_method", "S256"),
        ("resource", world.server.as_str()),
        ("scope", "profile email offline_access"),
        ("prompt", "consent"),
    ];
    assert_eq!(sent, expected.map(|(name, value)| (name.into(), value.into())).into());

    let completed = complete(&process, &browse_to_query(&login).await).await.unwrap();
    assert_eq!(completed.granted.to_string(), "profile email offline_access");
    assert!(completed.missing.is_empty());
    assert_eq!(completed.return_to.as_deref(), Some("/chats/42"));

    let request = world.clerk.last_request(Route::Token).unwrap();
    let mut sent = form(&request);
    assert!(sent.remove("code").is_some());
    assert_eq!(sent.remove("code_verifier").unwrap().len(), 43);
    let expected = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", REDIRECT_URI),
        ("resource", world.server.as_str()),
    ];
    assert_eq!(sent, expected.map(|(name, value)| (name.into(), value.into())).into());
    // The registered client has a secret.
    let authorization = request.headers["authorization"].to_str().unwrap();
    assert!(authorization.starts_with("Basic "), "{authorization}");
    let registered = world.clerk.last_request(Route::Register).unwrap();
    let registered: serde_json::Value = serde_json::from_slice(&registered.body).unwrap();
    assert_eq!(
        registered,
        serde_json::json!({
            "client_name": "MCP client",
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic",
            "application_type": "web",
        }),
    );

    let token = completed.connection.access_token().await.unwrap();
    assert_eq!(world.call_server(token.expose()).await, 200);
    let info = completed.connection.info();
    assert_eq!((info.server.as_str(), info.label.as_str()), (world.server.as_str(), ""));
    assert_eq!((info.issuer.as_str(), info.state), (world.clerk.issuer(), ConnectionState::Active));
    assert!(!client_id.is_empty());
}

#[tokio::test]
async fn a_sign_in_makes_few_requests_and_one_registration_serves_all_users() {
    let world = World::new().await;
    let process = world.process();
    let calls = || {
        let routes = [Route::AuthorizationServerMetadata, Route::Register, Route::Token];
        routes.map(|route| world.clerk.calls(route))
    };
    world.connect(&process).await;
    assert_eq!(calls(), [1, 1, 1]);
    let begun = process.begin(&mallory(), &world.server, LoginOptions::new()).await.unwrap();
    let callback = browse(&redirect(begun)).await;
    process.complete(&mallory(), callback).await.unwrap();
    assert_eq!(calls(), [2, 1, 2]);
    // A user who has a connection makes none.
    let begun = process.begin(&alice(), &world.server, LoginOptions::new()).await.unwrap();
    assert!(matches!(begun, Begun::AlreadyConnected(_)), "{begun:?}");
    assert_eq!(calls(), [2, 1, 2]);
    let options = LoginOptions::new().again();
    redirect(process.begin(&alice(), &world.server, options).await.unwrap());
    let snapshot = process.snapshot();
    assert_eq!((snapshot.logins_begun, snapshot.logins_completed), (3, 2));
    assert_eq!((snapshot.registrations, snapshot.refreshes), (1, 0));
}

#[tokio::test]
async fn many_processes_register_once() {
    let world = World::new().await;
    let (fault, gate) = Fault::hold();
    world.clerk.fault(Route::Register, fault);
    let begins: Vec<_> = (0..10)
        .map(|user| {
            let (process, server) = (world.process(), world.server.clone());
            tokio::spawn(async move {
                let owner = Owner::new(format!("user_{}", user / 2));
                process.begin(&owner, &server, LoginOptions::new()).await.map(redirect)
            })
        })
        .collect();
    gate.arrived(1).await;
    gate.open();
    let all = async {
        for begin in begins {
            begin.await.unwrap().unwrap();
        }
    };
    while_time_passes(&world.clock, all).await;
    assert_eq!(world.clerk.calls(Route::Register), 1);
}

#[tokio::test]
async fn a_sign_in_begins_in_one_process_and_ends_in_another() {
    let world = World::new().await;
    let query = {
        let first = world.process();
        browse_to_query(&world.begin(&first).await).await
    };
    let second = world.process();
    complete(&second, &query).await.unwrap();
    let third = world.handle(&world.process()).await;
    let token = third.access_token().await.unwrap();
    assert_eq!(world.call_server(token.expose()).await, 200);
    assert_eq!(world.token_calls(), 1);
}

#[tokio::test]
async fn owners_and_labels_have_connections_of_their_own() {
    let world = World::new().await;
    let process = world.process();
    world.connect(&process).await;
    assert!(process.get(&mallory(), &world.server).await.unwrap().is_none());
    assert!(process.get_labelled(&alice(), &world.server, "work").await.unwrap().is_none());
    assert!(process.list(&mallory()).await.unwrap().is_empty());
    let options = LoginOptions::new().label("work");
    let begun = process.begin(&alice(), &world.server, options).await.unwrap();
    process.complete(&alice(), browse(&redirect(begun)).await).await.unwrap();
    let mut labels: Vec<_> =
        process.list(&alice()).await.unwrap().into_iter().map(|info| info.label).collect();
    labels.sort();
    assert_eq!(labels, ["", "work"]);

    assert_eq!(process.forget_owner(&alice()).await.unwrap(), 2);
    assert!(process.list(&alice()).await.unwrap().is_empty());
    assert_eq!(world.clerk.calls(Route::Revoke), 2);
    assert_eq!(process.forget_owner(&alice()).await.unwrap(), 0);
}

#[tokio::test]
async fn disconnecting_revokes_the_tokens() {
    let world = World::new().await;
    let process = world.process();
    let connection = world.connect(&process).await;
    assert_eq!(connection.clone().disconnect().await.unwrap(), Disconnected::Revoked);
    let sent = form(&world.clerk.last_request(Route::Revoke).unwrap());
    assert_eq!(sent["token_type_hint"], "refresh_token");
    assert!(connection.access_token().await.is_err());
    assert!(process.get(&alice(), &world.server).await.unwrap().is_none());
    assert_eq!(connection.disconnect().await.unwrap(), Disconnected::NotConnected);

    let connection = world.connect(&process).await;
    world.clerk.fault(Route::Revoke, Fault::Down);
    assert_eq!(connection.disconnect().await.unwrap(), Disconnected::NotRevoked);
    assert!(process.get(&alice(), &world.server).await.unwrap().is_none());
}

#[tokio::test]
async fn scopes_are_those_asked_for_below_the_ceiling_and_a_step_up_keeps_what_was_granted() {
    let world = World::new().await;
    let ceiling = Scopes::parse("profile email notes:read").unwrap();
    let process = world.builder(world.store.clone()).scope_ceiling(ceiling).build().unwrap();
    let options = LoginOptions::new().scopes(Scopes::parse("profile admin").unwrap());
    let begun = process.begin(&alice(), &world.server, options).await.unwrap();
    let login = redirect(begun);
    let scope = |url: &str| parameters(Url::parse(url).unwrap().query().unwrap())["scope"].clone();
    assert_eq!(scope(login.url()), "profile offline_access");
    let connection = process.complete(&alice(), browse(&login).await).await.unwrap().connection;

    let challenge = |scope: &str| {
        HeaderValue::from_str(&format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""))
            .unwrap()
    };
    let begun = connection.step_up(&challenge("notes:read notes:write")).await.unwrap();
    let login = redirect(begun);
    assert_eq!(scope(login.url()), "profile notes:read offline_access");
    let completed = process.complete(&alice(), browse(&login).await).await.unwrap();
    assert_eq!(completed.granted.to_string(), "profile notes:read offline_access");

    // Nothing is left to ask for, and what is above the ceiling is not asked for.
    let begun = completed.connection.step_up(&challenge("notes:read")).await.unwrap();
    assert!(matches!(begun, Begun::AlreadyConnected(_)), "{begun:?}");
    let error = connection.step_up(&challenge("notes:write")).await.unwrap_err();
    assert_eq!(error.kind(), LoginErrorKind::Forbidden);
}

#[tokio::test]
async fn what_the_user_does_not_grant_is_reported() {
    let world = World::new().await;
    let process = world.process();
    let login = world.begin(&process).await;
    let query = browse_to_query(&login).await;
    let body = serde_json::json!({
        "access_token": "granted-less", "token_type": "Bearer", "scope": "profile",
    });
    world.clerk.fault(Route::Token, crate::support::json_fault(body.to_string()));
    let completed = complete(&process, &query).await.unwrap();
    assert_eq!(completed.granted.to_string(), "profile");
    assert_eq!(completed.missing.to_string(), "email");
}

#[tokio::test]
async fn the_challenge_of_the_application_saves_a_request() {
    let world = World::new().await;
    let process = world.process();
    let origin = world.server.as_str().trim_end_matches("/mcp");
    let challenge = format!(
        "Bearer resource_metadata=\"{origin}/.well-known/oauth-protected-resource/mcp\", \
         scope=\"notes:read\""
    );
    let options = LoginOptions::new().challenge(&HeaderValue::from_str(&challenge).unwrap());
    let login = redirect(process.begin(&alice(), &world.server, options).await.unwrap());
    let sent = parameters(Url::parse(login.url()).unwrap().query().unwrap());
    assert_eq!(sent["scope"], "notes:read offline_access");
}

#[tokio::test]
async fn a_client_that_was_set_comes_first() {
    let world = World::new().await;
    let metadata = serde_json::json!({
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let endpoint = format!("{}/oauth/register", world.clerk.issuer());
    let request = http_client().post(endpoint).body(metadata.to_string());
    let registered = request.send().await.unwrap().text().await.unwrap();
    let registered: serde_json::Value = serde_json::from_str(&registered).unwrap();
    let member = |name: &str| registered[name].as_str().unwrap().to_owned();
    let (id, secret) = (member("client_id"), member("client_secret"));

    let issuer = format!("{}/", world.clerk.issuer());
    let client = RegisteredClient::confidential(&issuer, &id, &secret);
    let with_client = |client| world.builder(world.store.clone()).client(client).build().unwrap();
    let process = with_client(client);
    let login = world.begin(&process).await;
    let sent = parameters(Url::parse(login.url()).unwrap().query().unwrap());
    assert_eq!(sent["client_id"], id);
    let connection = process.complete(&alice(), browse(&login).await).await.unwrap().connection;
    let authorization =
        world.clerk.last_request(Route::Token).unwrap().headers["authorization"].clone();
    let expected = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    assert_eq!(authorization, expected);
    assert_eq!(world.clerk.calls(Route::Register), 1);

    // A process with a wrong secret loses no user.
    let wrong = with_client(RegisteredClient::confidential(&issuer, &id, "wrong"));
    world.advance(TOKEN_LIFETIME);
    let error = world.handle(&wrong).await.access_token().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unavailable);
    let token = connection.access_token().await.unwrap();
    assert_eq!(world.call_server(token.expose()).await, 200);
}

#[tokio::test]
async fn a_client_metadata_document_is_the_client() {
    let world = World::new().await;
    let service = Arc::new(OnceLock::<ClientMetadataService>::new());
    let shared = Arc::clone(&service);
    let origin = serve(|_| {
        let document = axum::routing::any(move |request: axum::extract::Request| {
            let service = shared.get().unwrap().clone();
            async move { service.oneshot(request).await.unwrap().map(axum::body::Body::new) }
        });
        axum::Router::new().route("/client.json", document)
    })
    .await;
    let url = format!("{origin}/client.json");
    let process = world.builder(world.store.clone()).client_metadata_url(&url).build().unwrap();
    service.set(process.client_metadata_service()).unwrap();
    let login = world.begin(&process).await;
    let connection = process.complete(&alice(), browse(&login).await).await.unwrap().connection;
    assert_eq!(form(&world.clerk.last_request(Route::Token).unwrap())["client_id"], url);
    assert_eq!(world.clerk.calls(Route::Register), 0);
    world.advance(TOKEN_LIFETIME);
    let token = connection.access_token().await.unwrap();
    assert_eq!(world.call_server(token.expose()).await, 200);
}

#[tokio::test]
async fn without_any_client_there_is_no_sign_in() {
    let world = World::with(|clerk| clerk.without_dynamic_registration()).await;
    let kind = |process: Connections, server: ServerUrl| async move {
        let begun = process.begin(&alice(), &server, LoginOptions::new()).await;
        begun.unwrap_err().kind()
    };
    assert_eq!(kind(world.process(), world.server.clone()).await, LoginErrorKind::NoClient);
    let world = World::new().await;
    let process = world.builder(world.store.clone()).without_registration().build().unwrap();
    assert_eq!(kind(process, world.server.clone()).await, LoginErrorKind::NoClient);
    let body =
        serde_json::json!({ "error": "invalid_redirect_uri", "error_description": "secret" });
    let fault = Fault::Body {
        status: 400,
        content_type: "application/json".into(),
        body: body.to_string().into(),
    };
    world.clerk.fault(Route::Register, fault);
    let begun = world.process().begin(&alice(), &world.server, LoginOptions::new()).await;
    let error = begun.unwrap_err();
    assert_eq!(error.kind(), LoginErrorKind::Registration);
    assert_eq!(error.oauth_error(), Some("invalid_redirect_uri"));
    assert!(!error.to_string().contains("secret"));
}
