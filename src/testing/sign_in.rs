//! A sign-in over HTTP, as an MCP client performs it.

use std::{fmt, io};

use http::StatusCode;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::endpoints::code_challenge;
use super::server::RunningServer;

const REDIRECT_URI: &str = "http://127.0.0.1/callback";
const FORM: &str = "application/x-www-form-urlencoded";

/// The whole OAuth flow against a [`FakeClerk`](super::FakeClerk) over HTTP, as an MCP client runs
/// it: registration, authorization with PKCE, token request. Created by
/// [`FakeClerk::sign_in`](super::FakeClerk::sign_in).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::testing::FakeClerk;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clerk = FakeClerk::start().await?;
///
/// let sign_in = clerk.sign_in().scopes(["profile"]).resource("https://mcp.example.com/mcp");
/// let response = sign_in.token_response().await?;
/// assert_eq!(response["scope"], "profile");
/// # Ok(()) }
/// ```
#[must_use]
pub struct SignIn {
    server: RunningServer,
    scopes: Vec<String>,
    resources: Vec<String>,
}

impl SignIn {
    pub(super) fn new(server: RunningServer) -> Self {
        let scopes = vec!["profile".to_owned(), "email".to_owned()];
        Self { server, scopes, resources: Vec::new() }
    }

    /// Sets the scopes to request. Defaults to `profile email`.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a resource to request (RFC 8707), which becomes an audience of the token if it is
    /// [registered](super::FakeClerkBuilder::register_resource). Defaults to none.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Signs in and returns the access token.
    ///
    /// # Errors
    ///
    /// Returns an error, with the response in its message, if the instance rejects a request or a
    /// fault applies to one of the routes.
    pub async fn access_token(self) -> io::Result<String> {
        let response = self.token_response().await?;
        let token = response.get("access_token").and_then(Value::as_str);
        token.map(str::to_owned).ok_or_else(|| io::Error::other("the response has no access_token"))
    }

    /// Signs in and returns the whole token response (RFC 6749 section 5.1), with `scope`, and with
    /// `refresh_token` if the scope `offline_access` was requested.
    ///
    /// # Errors
    ///
    /// As [`SignIn::access_token`].
    pub async fn token_response(self) -> io::Result<Value> {
        let client_id = self.register().await?;
        let verifier = self.server.instance().ids.secret();
        let code = self.authorize(&client_id, &code_challenge(&verifier)).await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &client_id),
            ("code", &code),
            ("code_verifier", &verifier),
            ("redirect_uri", REDIRECT_URI),
        ];
        let body = self.with_resources(&form);
        self.post("/oauth/token", FORM, body, StatusCode::OK).await
    }

    /// Registers over HTTP if dynamic registration is enabled, otherwise directly, as a developer
    /// does in the Clerk Dashboard.
    async fn register(&self) -> io::Result<String> {
        let instance = self.server.instance();
        if !instance.config.dynamic_registration {
            return Ok(instance.register_public_client(REDIRECT_URI.to_owned()));
        }
        let metadata = json!({
            "redirect_uris": [REDIRECT_URI],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let body = metadata.to_string();
        let response =
            self.post("/oauth/register", "application/json", body, StatusCode::CREATED).await?;
        let client_id = response.get("client_id").and_then(Value::as_str);
        client_id
            .map(str::to_owned)
            .ok_or_else(|| io::Error::other("the response has no client_id"))
    }

    async fn authorize(&self, client_id: &str, challenge: &str) -> io::Result<String> {
        let scope = self.scopes.join(" ");
        let query = self.with_resources(&[
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", REDIRECT_URI),
            ("scope", &scope),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ]);
        let instance = self.server.instance();
        let url = format!("{}/oauth/authorize?{query}", instance.issuer());
        let mut response = instance.http.get(url).send().await.map_err(io::Error::other)?;
        if instance.config.interactive && response.status() == StatusCode::OK {
            response = self.allow(response).await?;
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let Some(location) = location.and_then(|location| Url::parse(location).ok()) else {
            let body = response.text().await.map_err(io::Error::other)?;
            return Err(failed("/oauth/authorize", &body));
        };
        let code = location.query_pairs().find(|(name, _)| name == "code");
        let code = code.map(|(_, code)| code.into_owned());
        code.ok_or_else(|| failed("/oauth/authorize", location.query().unwrap_or_default()))
    }

    /// Allows the access on a consent page, as the default user.
    async fn allow(&self, page: reqwest::Response) -> io::Result<reqwest::Response> {
        const BEFORE_ID: &str = "name=\"request\" value=\"";
        let cookie = page.headers().get(SET_COOKIE).cloned();
        let cookie = cookie.as_ref().and_then(|cookie| cookie.to_str().ok()?.split(';').next());
        let cookie = cookie.unwrap_or_default().to_owned();
        let page = page.text().await.map_err(io::Error::other)?;
        let id = page.split_once(BEFORE_ID).and_then(|(_, rest)| rest.split('"').next());
        let id = id.ok_or_else(|| failed("/oauth/authorize", &page))?;
        let form = [("request", id), ("decision", "allow")];
        let instance = self.server.instance();
        let request = instance
            .http
            .post(format!("{}/oauth/consent", instance.issuer()))
            .header(CONTENT_TYPE, FORM)
            .header(COOKIE, cookie)
            .body(form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish());
        request.send().await.map_err(io::Error::other)
    }

    async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: String,
        expected: StatusCode,
    ) -> io::Result<Value> {
        let instance = self.server.instance();
        let request = instance
            .http
            .post(format!("{}{path}", instance.issuer()))
            .header(CONTENT_TYPE, content_type)
            .body(body);
        let response = request.send().await.map_err(io::Error::other)?;
        let status = response.status();
        let body = response.text().await.map_err(io::Error::other)?;
        if status != expected {
            return Err(failed(path, &body));
        }
        serde_json::from_str(&body).map_err(io::Error::other)
    }

    fn with_resources(&self, parameters: &[(&str, &str)]) -> String {
        let resources = self.resources.iter().map(|resource| ("resource", resource));
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .extend_pairs(resources)
            .finish()
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("issuer", &self.server.instance().issuer())
            .field("scopes", &self.scopes)
            .field("resources", &self.resources)
            .finish()
    }
}

fn failed(path: &str, response: &str) -> io::Error {
    io::Error::other(format!("{path} failed: {response}"))
}
