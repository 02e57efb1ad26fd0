//! The secrets of a user's connection: in the store they are sealed, and elsewhere they are not.

use std::error::Error;
use std::fmt::Debug;

use clerk_mcp_tools::client::{
    AuthorizationError, BrowserBinding, Callback, LoginOptions, LoginRedirect, Owner,
    RegisteredClient, Store,
};
use clerk_mcp_tools::testing::{Fault, Route};
use http::header::{COOKIE, HeaderMap, HeaderValue};
use serde_json::json;
use url::{Url, form_urlencoded};

use super::debug_output::DebugOutput;
use super::log_capture::LogCapture;
use super::secret_finder::SecretFinder;
use crate::client::support::{TOKEN_LIFETIME, World, alice, redirect};
use crate::support::json_fault;

const CODE: &str = "qk7ZJ0vXc-0123456789abcdef";
const CLIENT_SECRET: &str = "qk7ZJ0vXs-0123456789abcdef";
const SETTINGS_SECRET: &str = "qk7ZJ0vXt-0123456789abcdef";
const ACCESS_TOKENS: [&str; 2] = ["qk7ZJ0vX+a-0123456789abcdef", "qk7ZJ0vX+b-0123456789abcdef"];
const REFRESH_TOKENS: [&str; 2] = ["qk7ZJ0vX+r-0123456789abcdef", "qk7ZJ0vX+q-0123456789abcdef"];
const ID_TOKEN: &str = "qk7ZJ0vXi.e30.0123456789abcdef";
const SERVER_TEXT: &str = "qk7ZJ0vXx-0123456789abcdef";
const OWNER: &str = "qk7ZJ0vXo-0123456789abcdef";

/// What is shown, and what must not be in it.
struct Recorder {
    shown: Vec<String>,
    finder: SecretFinder,
}

impl Recorder {
    fn new() -> Self {
        let mut finder = SecretFinder::default();
        for secret in [CODE, CLIENT_SECRET, SETTINGS_SECRET, ID_TOKEN, SERVER_TEXT, OWNER]
            .into_iter()
            .chain(ACCESS_TOKENS)
            .chain(REFRESH_TOKENS)
        {
            finder.add(secret, secret);
        }
        Self { shown: Vec::new(), finder }
    }

    fn show(&mut self, value: &dyn Debug) {
        self.shown.extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    fn show_error(&mut self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.show(&error);
            self.shown.push(error.to_string());
            next = error.source();
        }
    }

    /// Adds the secrets of a sign-in that begins, and returns the query of its response.
    fn begun(&mut self, login: &LoginRedirect, world: &World) -> String {
        self.show(login);
        let url = Url::parse(login.url()).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let cookie = login.set_cookie();
        let value = cookie.to_str().unwrap().split(['=', ';']).nth(1).unwrap();
        self.finder.add("state", &state);
        self.finder.add("cookie", value);
        let pairs = [("state", &*state), ("code", CODE), ("iss", world.clerk.issuer())];
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

fn tokens(which: usize) -> Fault {
    json_fault(
        json!({
            "access_token": ACCESS_TOKENS[which],
            "refresh_token": REFRESH_TOKENS[which],
            "id_token": ID_TOKEN,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME,
            "scope": "profile email",
        })
        .to_string(),
    )
}

fn refusal(status: u16, error: &str) -> Fault {
    let body = json!({ "error": error, "error_description": SERVER_TEXT, "token": REFRESH_TOKENS });
    Fault::Body { status, content_type: "application/json".into(), body: body.to_string().into() }
}

#[tokio::test]
async fn no_secret_of_a_connection_is_shown_or_stored_in_the_clear() {
    let logs = LogCapture::default();
    let _guards = logs.install();
    let world = World::new().await;
    let mut recorder = Recorder::new();
    let registration = json!({ "client_id": "client_1", "client_secret": CLIENT_SECRET });
    world.clerk.fault(Route::Register, json_fault(registration.to_string()));
    let process = world.process();
    let owner = Owner::new(OWNER);
    let begin = || async {
        let options = LoginOptions::new().again();
        redirect(process.begin(&owner, &world.server, options).await.unwrap())
    };

    for (status, error) in [(400, "invalid_grant"), (401, "invalid_client"), (500, "x")] {
        let query = recorder.begun(&begin().await, &world);
        world.clerk.fault(Route::Token, refusal(status, error));
        let callback = Callback::from_query(&query).unwrap();
        recorder.show(&callback);
        recorder.show_error(&process.complete(&owner, callback).await.unwrap_err());
    }
    let query = recorder.begun(&begin().await, &world);
    let refused = query.replace(&format!("code={CODE}"), &format!("error={SERVER_TEXT}"));
    let callback = Callback::from_query(&refused).unwrap();
    recorder.show_error(&process.complete(&owner, callback).await.unwrap_err());
    let query = recorder.begun(&begin().await, &world);
    world.clerk.fault(Route::Token, tokens(0));
    let callback = Callback::from_query(&query).unwrap();
    recorder.show_error(&process.complete(&alice(), callback.clone()).await.unwrap_err());
    let completed = process.complete(&owner, callback).await.unwrap();
    recorder.show(&completed);

    let connection = completed.connection;
    world.advance(TOKEN_LIFETIME);
    for fault in [Fault::Down, Fault::Truncated, refusal(400, "invalid_scope"), refusal(503, "x")] {
        world.clerk.fault(Route::Token, fault);
        recorder.show_error(&connection.access_token().await.unwrap_err());
        world.advance(5);
    }
    world.clerk.fault(Route::Token, tokens(1));
    let token = connection.access_token().await.unwrap();
    assert_eq!(token.expose(), ACCESS_TOKENS[1]);
    recorder.show(&token);
    world.clerk.fault(Route::Token, Fault::Down);
    // The server rejects the token, and there is no other one.
    let http = connection.http_client();
    recorder.show(&http);
    recorder.show_error(&http.post(HeaderMap::new(), "{}").await.unwrap_err());
    recorder.show(&process);
    recorder.show(&process.list(&owner).await.unwrap());

    // A sign-in in progress is in the store as well.
    recorder.begun(&begin().await, &world);
    let records = world.store.scan(None, 100).await.unwrap().records().to_vec();
    let kinds: Vec<_> = records.iter().map(|(key, _)| key.as_str().split('/').next()).collect();
    assert_eq!(kinds, [Some("connection"), Some("login"), Some("registration")]);
    for (key, record) in &records {
        recorder.shown.push(key.to_string());
        recorder.shown.push(String::from_utf8_lossy(record.sealed()).into_owned());
        let server = world.server.as_str().as_bytes();
        assert!(!record.sealed().windows(server.len()).any(|bytes| bytes == server));
    }

    world.clerk.fault(Route::Revoke, refusal(400, "unsupported_token_type"));
    recorder.show(&connection.disconnect().await.unwrap());
    let shown = recorder.shown.join("\n");
    recorder.finder.assert_hidden("what is shown", &shown);
    recorder.finder.assert_hidden("the logs", &logs.text());
    assert!(logs.text().contains("failed to refresh a token"));
}

/// Adds a value of every type of the module, for the search through their `Debug` output.
pub(super) async fn add_to(output: &mut DebugOutput) {
    let world = World::new().await;
    let client = RegisteredClient::confidential("https://as.example", "client", SETTINGS_SECRET);
    output.add("RegisteredClient", &client);
    let builder = world.builder(world.store.clone()).client(client);
    output.add("ConnectionsBuilder", &builder);
    let process = builder.build().unwrap();
    output.add("Connections", &process);
    output.add("ClientSnapshot", &process.snapshot());
    output.add("Resealed", &process.reseal(None, 10).await.unwrap());
    output.add("ClientMetadataService", &process.client_metadata_service());
    output.add("CallbackService", &process.callback_service(Nobody));
    output.add("Egress", &clerk_mcp_tools::client::Egress::public());
    output.add("Owner", &Owner::new(OWNER));
    output.add("ServerUrl", &world.server);
    let error =
        "https://user:MarkedPassword0123456789@h".parse::<clerk_mcp_tools::client::ServerUrl>();
    output.add("ServerUrlError", &error.unwrap_err());
    let options = LoginOptions::new();
    output.add("ReturnPathError", &options.clone().return_to("//x").unwrap_err());
    output.add("LoginOptions", &options);

    let begun = process.begin(&alice(), &world.server, options).await.unwrap();
    output.add("Begun", &begun);
    let login = redirect(begun);
    output.add("LoginRedirect", &login);
    output.add("BrowserBinding", login.binding());
    let callback = crate::client::support::browse(&login).await;
    output.add("Callback", &callback);
    let cookie = login.set_cookie();
    let cookie = HeaderValue::from_bytes(cookie.as_bytes()).unwrap();
    let headers = HeaderMap::from_iter([(COOKIE, cookie)]);
    output.add("BrowserBinding", &BrowserBinding::from_headers(&headers, &callback).unwrap());
    let completed = process.complete(&alice(), callback.clone()).await.unwrap();
    output.add("Completed", &completed);
    output.add("Connection", &completed.connection);
    let http = completed.connection.http_client();
    output.add("HttpClient", &http);
    let response = http.post(HeaderMap::new(), "{}").await.unwrap();
    output.add("ServerBody", &response.into_body());
    output.add("Authorized", &completed.connection.authorize(reqwest::Client::new()));
    let challenge = HeaderValue::from_static("Bearer scope=\"a\"");
    output.add("AuthorizationError", &AuthorizationError::InsufficientScope(challenge));
    output.add("ConnectionInfo", completed.connection.info());
    output.add("ConnectionState", &completed.connection.info().state);
    let error = process.complete(&alice(), callback).await.unwrap_err();
    output.add("CallbackErrorKind", &error.kind());
    output.add("CallbackError", &error);
    world.clerk.fault_all(Fault::Down);
    let options = LoginOptions::new().label("other");
    let error = process.begin(&alice(), &world.server, options).await.unwrap_err();
    output.add("LoginErrorKind", &error.kind());
    output.add("LoginError", &error);
    world.advance(TOKEN_LIFETIME);
    let error = completed.connection.access_token().await.unwrap_err();
    output.add("TokenErrorKind", &error.kind());
    output.add("TokenError", &error);
    let error = http.post(HeaderMap::new(), "{}").await.unwrap_err();
    output.add("CallErrorKind", &error.kind());
    output.add("CallError", &error);
    output.add("LoginReason", &clerk_mcp_tools::client::LoginReason::Refused);
    output.add("Disconnected", &completed.connection.disconnect().await.unwrap());
}

/// Finds no user.
struct Nobody;

#[async_trait::async_trait]
impl clerk_mcp_tools::client::IdentifyOwner for Nobody {
    async fn owner(&self, _: &http::request::Parts) -> Option<Owner> {
        None
    }
}
