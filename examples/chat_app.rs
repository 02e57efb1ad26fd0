//! A web application whose users connect to MCP servers, such as a chat.
//!
//! ```sh
//! cargo run --example chat_app
//! ```
//!
//! Open <http://127.0.0.1:3000>. No keys are needed: in the same process run a guarded MCP server, and
//! a fake Clerk at which its users sign in. Be Alice or Bob, connect to the server, call its tools (the
//! second one needs a scope that the first sign-in does not ask for), and disconnect.
//!
//! A real application keeps its connections in a database, and its keys in the environment
//! (`SealingKeys::from_env`); see the guide `client`.

#![allow(clippy::print_stdout, reason = "the example prints its URL")]

mod support;

use std::error::Error;
use std::net::SocketAddr;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{any_service, get, post};
use clerk_mcp_tools::client::{
    Begun, Connection, ConnectionState, Connections, Egress, IdentifyOwner, KeyId, LoginOptions,
    MemoryStore, Owner, SealingKeys, ServerUrl, TokenErrorKind,
};
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ClerkMcp, Scopes};
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, SET_COOKIE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use rmcp::handler::server::common::Extension;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::form_urlencoded;

/// What a handler returns if something fails that the user cannot help.
struct Failed(Box<dyn Error + Send + Sync>);

type Handled = Result<Response, Failed>;

#[derive(Clone)]
struct App {
    connections: Connections,
    /// The URL in the form, for a start.
    suggested: ServerUrl,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    support::init_tracing();
    let listener = support::listen().await?;
    let address = listener.local_addr()?;
    let suggested = start_mcp_server().await?;
    let connections = connections(address)?;
    println!("open http://{address}");
    let router = router(App { connections, suggested });
    axum::serve(listener, router).with_graceful_shutdown(support::ctrl_c()).await?;
    Ok(())
}

fn connections(address: SocketAddr) -> Result<Connections, Box<dyn Error>> {
    // For an example that forgets everything when it ends.
    let keys = SealingKeys::new([1; 32], KeyId::parse("example")?, [2; 32])?;
    let redirect_uri = format!("http://{address}/mcp/callback");
    Ok(Connections::builder(MemoryStore::new(10_000), keys, redirect_uri)
        .client_name("Example chat")
        // The MCP server and the fake Clerk are on this machine. Never in production.
        .egress(Egress::public().allow_loopback())
        .build()?)
}

fn router(app: App) -> Router {
    let callback = app.connections.callback_service(FromSession);
    Router::new()
        .route("/", get(page))
        .route("/as/{user}", post(sign_in_to_this_application))
        .route("/connect", post(connect))
        .route("/call", post(call))
        .route("/disconnect", post(disconnect))
        .route("/mcp/callback", any_service(callback))
        .with_state(app)
}

/// Stands in for the sessions of the application. A real one never believes a cookie with a name.
async fn sign_in_to_this_application(Path(user): Path<String>) -> Response {
    let user = if user == "bob" { "bob" } else { "alice" };
    let cookie = format!("user={user}; Path=/; HttpOnly; SameSite=Lax");
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

fn session_user(headers: &HeaderMap) -> Option<&'static str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = cookies.flat_map(|cookies| cookies.split(';').map(str::trim));
    let user = cookies.filter_map(|cookie| cookie.strip_prefix("user=")).next()?;
    ["alice", "bob"].into_iter().find(|known| *known == user)
}

/// Finds the user of a request for the callback service.
struct FromSession;

#[async_trait]
impl IdentifyOwner for FromSession {
    async fn owner(&self, parts: &Parts) -> Option<Owner> {
        session_user(&parts.headers).map(Owner::new)
    }
}

async fn page(State(app): State<App>, headers: HeaderMap) -> Handled {
    let Some(user) = session_user(&headers) else {
        return Ok(Html(format!("<p>Who are you?</p>{}", user_buttons())).into_response());
    };
    let mut html = format!("<p>You are {user}.</p>{}<h2>Connections</h2>", user_buttons());
    for info in app.connections.list(&Owner::new(user)).await? {
        let server = escape(&info.server);
        let state = match info.state {
            ConnectionState::Active => "connected",
            _ => "sign in again",
        };
        html += &format!("<p>{server} ({}): {state}</p>", escape(&info.scopes.to_string()));
        for (action, tool, label) in [
            ("/call", "whoami", "Who am I?"),
            ("/call", "add_note", "Add a note"),
            ("/disconnect", "", "Disconnect"),
        ] {
            html += &format!(
                "<form method=post action={action}><input type=hidden name=server \
                 value=\"{server}\"><input type=hidden name=tool value=\"{tool}\">\
                 <button>{label}</button></form>"
            );
        }
    }
    html += &format!(
        "<h2>Connect to an MCP server</h2><form method=post action=/connect>\
         <input name=server size=50 value=\"{}\"><button>Connect</button></form>",
        escape(app.suggested.as_str())
    );
    Ok(Html(html).into_response())
}

fn user_buttons() -> String {
    let button = |user: &str| {
        format!("<form method=post action=/as/{user}><button>Be {user}</button></form>")
    };
    ["alice", "bob"].map(button).concat()
}

/// Sends the user to the authorization server of an MCP server.
async fn connect(State(app): State<App>, headers: HeaderMap, body: String) -> Handled {
    let owner = owner(&headers)?;
    let server = match ServerUrl::parse(&field(&body, "server")) {
        Ok(server) => server,
        Err(error) => return Ok(message(&error.to_string())),
    };
    match app.connections.begin(&owner, &server, LoginOptions::new()).await {
        Ok(begun) => Ok(continue_with(begun)),
        Err(error) => Ok(message(&error.to_string())),
    }
}

fn continue_with(begun: Begun) -> Response {
    match begun {
        Begun::Redirect(redirect) => {
            let cookie = [(SET_COOKIE, redirect.set_cookie())];
            (cookie, Redirect::to(redirect.url())).into_response()
        }
        Begun::AlreadyConnected(_) => Redirect::to("/").into_response(),
        Begun::NotProtected => message("This server requires no sign-in."),
    }
}

/// Calls a tool, with a new token after a 401, and with a sign-in for more scopes after a 403.
async fn call(State(app): State<App>, headers: HeaderMap, body: String) -> Handled {
    let Some(connection) = connection(&app, &headers, &body).await? else {
        return Ok(Redirect::to("/").into_response());
    };
    let mut token = match connection.access_token().await {
        Ok(token) => token,
        Err(error) if matches!(error.kind(), TokenErrorKind::NeedsLogin(_)) => {
            return connect(State(app), headers, body).await;
        }
        Err(error) => return Ok(message(&error.to_string())),
    };
    let server = connection.info().server.as_str();
    let mut response = call_tool(server, token.expose(), &field(&body, "tool")).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        token = connection.renew(&token).await?;
        response = call_tool(server, token.expose(), &field(&body, "tool")).await?;
    }
    let challenge = response.headers().get(WWW_AUTHENTICATE).cloned();
    if let (StatusCode::FORBIDDEN, Some(challenge)) = (response.status(), challenge) {
        return Ok(continue_with(connection.step_up(&challenge).await?));
    }
    let body: Value = serde_json::from_str(&response.text().await?)?;
    let text = body.pointer("/result/content/0/text").and_then(Value::as_str);
    Ok(message(text.unwrap_or("no result")))
}

/// An application uses an MCP client here, such as rmcp, with the token.
async fn call_tool(server: &str, token: &str, tool: &str) -> Result<reqwest::Response, Failed> {
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool },
    });
    let request = reqwest::Client::new().post(server).bearer_auth(token);
    let request = request.header(CONTENT_TYPE, "application/json");
    let request = request.header(ACCEPT, "application/json, text/event-stream");
    Ok(request.body(call.to_string()).send().await?)
}

async fn disconnect(State(app): State<App>, headers: HeaderMap, body: String) -> Handled {
    if let Some(connection) = connection(&app, &headers, &body).await? {
        connection.disconnect().await?;
    }
    Ok(Redirect::to("/").into_response())
}

async fn connection(
    app: &App,
    headers: &HeaderMap,
    body: &str,
) -> Result<Option<Connection>, Failed> {
    let server = ServerUrl::parse(&field(body, "server"))?;
    Ok(app.connections.get(&owner(headers)?, &server).await?)
}

fn owner(headers: &HeaderMap) -> Result<Owner, Failed> {
    session_user(headers).map(Owner::new).ok_or_else(|| Failed("nobody is signed in".into()))
}

fn field(body: &str, name: &str) -> String {
    let mut fields = form_urlencoded::parse(body.as_bytes());
    fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn message(text: &str) -> Response {
    Html(format!("<p>{}</p><p><a href=/>Back</a></p>", escape(text))).into_response()
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::error!(cause = %self.0, "a request failed");
        (StatusCode::INTERNAL_SERVER_ERROR, message("Something went wrong.")).into_response()
    }
}

/// Starts a fake Clerk and a guarded MCP server, and returns the URL of the server.
async fn start_mcp_server() -> Result<ServerUrl, Box<dyn Error>> {
    let clerk = support::fake_clerk()
        .scopes_supported(["profile", "email", "offline_access", "notes:write"])
        .interactive()
        .start()
        .await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    let policy = AccessPolicy::baseline_by_default();
    let guard = ClerkMcp::builder()
        .env_from(|name| clerk.env_var(name))
        .resource(url.parse()?)
        .scopes(Scopes::parse("profile email")?)
        .access_policy(policy.tool("add_note", Scopes::parse("notes:write")?).build()?)
        .build()?;
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(["127.0.0.1"]);
    let mcp =
        StreamableHttpService::new(|| Ok(Notes), NeverSessionManager::default().into(), config);
    let router = guard.mount(Router::new(), mcp);
    tokio::spawn(async move {
        // The fake Clerk runs as long as the server does.
        let _clerk = clerk;
        axum::serve(listener, router).await
    });
    Ok(ServerUrl::parse(&url)?)
}

#[derive(Clone)]
struct Notes;

#[tool_router]
impl Notes {
    #[tool(description = "Returns the user id and the scopes of the caller")]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> String {
        match AuthInfo::from_parts(&parts) {
            Some(caller) => format!("{} with {}", caller.principal().id(), caller.scopes()),
            None => "nobody".to_owned(),
        }
    }

    #[tool(description = "Adds a note")]
    async fn add_note(&self) -> String {
        "The note was added.".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Notes {}
