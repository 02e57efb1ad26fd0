//! The fake Clerk behaves as Clerk documents and as the RFCs require.

mod backend;
mod clients;
mod credentials;
mod exchange;
mod faults;
mod flow;
mod interactive;
mod metadata;
mod mint;
mod organizations;
mod pkce;
mod refresh;
mod registration;
mod resources;
mod reuse;

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clerk_mcp_tools::testing::{FakeClerk, ManualClock};
use http::{HeaderMap, StatusCode};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

/// 2025-12-31T12:00:00Z.
const NOW: u64 = 1_767_182_400;
const REDIRECT_URI: &str = "http://127.0.0.1:4000/callback?from=test";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7636 appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Does not pool connections, since a connection ends with the runtime of its test.
static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
});

async fn start_with_clock() -> (FakeClerk, ManualClock) {
    let clock = ManualClock::new(NOW);
    let clerk = FakeClerk::builder().clock(clock.clone()).start().await.unwrap();
    (clerk, clock)
}

async fn start() -> (FakeClerk, ManualClock, String) {
    let (clerk, clock) = start_with_clock().await;
    let client_id = clerk.register_client(REDIRECT_URI);
    (clerk, clock, client_id)
}

async fn code(clerk: &FakeClerk, client_id: &str, changes: &[(&str, &str)]) -> String {
    authorize(clerk, client_id, changes).await.redirect_parameter("code").unwrap()
}

/// Signs in with `offline_access`, and returns the token response.
async fn sign_in(clerk: &FakeClerk, client_id: &str) -> JsonResponse {
    let code = code(clerk, client_id, &[("scope", "profile email offline_access")]).await;
    exchange_code(clerk, client_id, &code, &[]).await
}

async fn refresh(
    clerk: &FakeClerk,
    client_id: &str,
    token: &str,
    more: &[(&str, &str)],
) -> JsonResponse {
    let mut pairs =
        vec![("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", token)];
    pairs.extend(more);
    send(form(clerk, "/oauth/token", &pairs)).await
}

fn http() -> &'static reqwest::Client {
    &HTTP
}

/// A response with a JSON body.
struct JsonResponse {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
}

impl JsonResponse {
    fn error(&self) -> (u16, &str) {
        (self.status.as_u16(), self.json["error"].as_str().unwrap_or_default())
    }

    /// Asserts the whole error response of an OAuth endpoint (RFC 6749 section 5.2).
    fn assert_error(&self, status: u16, code: &str, description: &str) {
        let expected = json!({ "error": code, "error_description": description });
        assert_eq!((self.status.as_u16(), &self.json), (status, &expected));
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let challenge = (status == 401).then_some("Basic realm=\"Clerk\"");
        assert_eq!(self.header("www-authenticate"), challenge);
        assert_eq!(self.header("location"), None);
    }

    fn string(&self, member: &str) -> String {
        self.json[member].as_str().unwrap().to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns a query parameter of the `Location` of this redirect.
    fn redirect_parameter(&self, name: &str) -> Option<String> {
        assert_eq!(self.status, StatusCode::FOUND, "{}", self.json);
        let location = Url::parse(self.header("location").unwrap()).unwrap();
        let mut pairs = location.query_pairs();
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

async fn send(request: RequestBuilder) -> JsonResponse {
    let response = request.send().await.unwrap();
    JsonResponse {
        status: response.status(),
        headers: response.headers().clone(),
        json: serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default(),
    }
}

async fn get(clerk: &FakeClerk, path: &str) -> JsonResponse {
    send(http().get(format!("{}{path}", clerk.issuer()))).await
}

async fn get_backend(clerk: &FakeClerk, path: &str) -> JsonResponse {
    let url = format!("{}{path}", clerk.backend_api_url());
    send(http().get(url).bearer_auth(clerk.secret_key())).await
}

async fn post_json(clerk: &FakeClerk, path: &str, body: Value) -> JsonResponse {
    let url = format!("{}{path}", clerk.backend_api_url());
    send(http().post(url).bearer_auth(clerk.secret_key()).body(body.to_string())).await
}

fn form(clerk: &FakeClerk, path: &str, pairs: &[(&str, &str)]) -> RequestBuilder {
    http()
        .post(format!("{}{path}", clerk.issuer()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encoded(pairs))
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Sends a valid authorization request with these changes; an empty value removes a parameter.
async fn authorize(clerk: &FakeClerk, client_id: &str, changes: &[(&str, &str)]) -> JsonResponse {
    let valid = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "profile email"),
        ("state", "a state&more"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    get(clerk, &format!("/oauth/authorize?{}", encoded(&changed(&valid, changes)))).await
}

/// Sends a valid token request for this code with these changes.
async fn exchange_code(
    clerk: &FakeClerk,
    client_id: &str,
    code: &str,
    changes: &[(&str, &str)],
) -> JsonResponse {
    let valid = [
        ("grant_type", "authorization_code"),
        ("client_id", client_id),
        ("code", code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    send(form(clerk, "/oauth/token", &changed(&valid, changes))).await
}

fn changed<'a>(
    valid: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let kept = valid.iter().filter(|(name, _)| changes.iter().all(|(change, _)| change != name));
    kept.chain(changes).copied().filter(|(_, value)| !value.is_empty()).collect()
}

/// Returns whether the Backend API reports an access token as revoked.
async fn is_revoked(clerk: &FakeClerk, token: &str) -> bool {
    let body = json!({ "access_token": token });
    let response = post_json(clerk, "/v1/oauth_applications/access_tokens/verify", body).await;
    response.json["revoked"].as_bool().unwrap()
}

/// Decodes the header (0) or the claims (1) of a JWT.
fn part(jwt: &str, index: usize) -> Value {
    let text = jwt.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn claims(jwt: &str) -> Value {
    part(jwt, 1)
}
