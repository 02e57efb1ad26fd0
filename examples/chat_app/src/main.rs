//! A web application whose users connect to MCP servers, such as a chat.
//!
//! ```sh
//! cargo run --manifest-path examples/chat_app/Cargo.toml
//! ```
//!
//! Open <http://127.0.0.1:3000>. No keys are needed: in the same process run a guarded MCP server, and
//! a fake Clerk at which its users sign in. Be Alice or Bob, connect to the server, call its tools (the
//! second one needs a scope that the first sign-in does not ask for), and disconnect.
//!
//! The connections are kept in the file `chat_app.db` of the working directory (`MCP_CHAT_DB` names
//! another one), and outlive the application. The server above does not, and forgets its users. Run it
//! in a terminal of its own, with the argument `server`, and pass its URL, or that of any other server,
//! to the application:
//!
//! ```sh
//! MCP_SERVER_URL=http://127.0.0.1:40000/mcp cargo run --manifest-path examples/chat_app/Cargo.toml
//! ```
//!
//! For several processes of the application, set `DATABASE_URL` (PostgreSQL) or `REDIS_URL`, and the
//! keys that seal what is stored:
//!
//! ```sh
//! export MCP_CLIENT_KEYS="lookup:$(openssl rand -base64 32),1:$(openssl rand -base64 32)"
//! ```

mod notes_server;
mod storage;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{any_service, get, post};
use clerk_mcp_tools::bearer_auth::AccessToken;
use clerk_mcp_tools::client::{
    Begun, Connection, ConnectionState, Connections, Egress, IdentifyOwner, LoginOptions, Owner,
    ServerUrl, TokenErrorKind,
};
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, SET_COOKIE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use notes_server::NotesServer;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use storage::Storage;
use tokio::net::TcpListener;
use url::form_urlencoded;

/// What a handler returns if something fails that the user cannot help.
struct Failed(Box<dyn Error + Send + Sync>);

type Handled = Result<Response, Failed>;

#[derive(Clone)]
struct App {
    connections: Connections,
    http: reqwest::Client,
    /// The URL in the form, for a start.
    suggested: ServerUrl,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let outcome = match std::env::args().nth(1).as_deref() {
        None => run().await,
        Some("server") => run_server().await,
        Some(_) => Err("the only argument is \"server\"".into()),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    eprintln!("error: {}", explain(&*error));
    ExitCode::FAILURE
}

/// Returns what an error says, and its causes.
fn explain(error: &dyn Error) -> String {
    let said = error.to_string();
    error.source().map_or(said.clone(), |cause| format!("{said}: {}", explain(cause)))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let storage = storage::open().await?;
    println!("connections are kept in {}", storage.description);
    let address = std::env::var("MCP_BIND").unwrap_or("127.0.0.1:3000".to_owned());
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("{address}: {error}"))?;
    let address = listener.local_addr()?;
    let suggested = match std::env::var("MCP_SERVER_URL") {
        Ok(url) => ServerUrl::parse(&url)?,
        Err(_) => start_server().await?,
    };
    let connections = connections(storage, address)?;
    tokio::spawn(sweep(connections.clone()));
    // A redirect would take the token elsewhere. Where users type URLs, this client has to refuse
    // addresses that are not public as well; see the guide `client`.
    let http = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let router = router(App { connections, http, suggested });
    println!("listening on http://{address}");
    axum::serve(listener, router).with_graceful_shutdown(ctrl_c()).await?;
    Ok(())
}

fn connections(storage: Storage, address: SocketAddr) -> Result<Connections, Box<dyn Error>> {
    let redirect_uri = format!("http://{address}/mcp/callback");
    Ok(Connections::builder(storage.store, storage.keys, redirect_uri)
        .client_name("Example chat")
        // The MCP server and the fake Clerk are on this machine. Never in production.
        .egress(Egress::public().allow_loopback())
        .build()?)
}

/// Removes sign-ins that nobody finished, which SQLite and PostgreSQL do not do by themselves.
async fn sweep(connections: Connections) {
    let mut hourly = tokio::time::interval(Duration::from_secs(3600));
    loop {
        hourly.tick().await;
        if let Err(error) = connections.sweep(10_000).await {
            tracing::warn!(cause = %error, "failed to remove what has expired");
        }
    }
}

async fn run_server() -> Result<(), Box<dyn Error>> {
    let server = NotesServer::bind().await?;
    println!("listening on {}", server.url);
    Ok(server.serve().await?)
}

async fn start_server() -> Result<ServerUrl, Box<dyn Error>> {
    let server = NotesServer::bind().await?;
    let url = ServerUrl::parse(&server.url)?;
    tokio::spawn(server.serve());
    Ok(url)
}

async fn ctrl_c() {
    // Without a signal handler, run until the process is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
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

async fn page(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> Handled {
    let Some(user) = session_user(&headers) else {
        return Ok(Html(format!("<p>Who are you?</p>{}", user_buttons())).into_response());
    };
    let mut html = format!("<p>You are {user}.</p>{}", user_buttons());
    // Where the callback service sends the browser after a sign-in that failed.
    let error = field(&query.unwrap_or_default(), "error");
    if !error.is_empty() {
        html += &format!("<p>The sign-in at the server failed: {}</p>", escape(&error));
    }
    html += "<h2>Connections</h2>";
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
    let tool = field(&body, "tool");
    let mut response = call_tool(&app, &connection, &token, &tool).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        token = connection.renew(&token).await?;
        response = call_tool(&app, &connection, &token, &tool).await?;
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
async fn call_tool(
    app: &App,
    connection: &Connection,
    token: &AccessToken,
    tool: &str,
) -> Result<reqwest::Response, Failed> {
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool },
    });
    let request = app.http.post(connection.info().server.as_str()).bearer_auth(token.expose());
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
