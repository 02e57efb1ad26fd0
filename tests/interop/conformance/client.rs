//! The client that the official conformance suite tests: it connects with rmcp, signs in as the server
//! asks, lists the tools and calls each of them.
//!
//! The suite appends the URL of the server to the command, and sets `MCP_CONFORMANCE_PROTOCOL_VERSION`
//! and, for some scenarios, `MCP_CONFORMANCE_CONTEXT`.

use std::env;
use std::error::Error;

use clerk_mcp_tools::client::{
    AuthorizationError, Begun, Callback, Connection, Connections, Egress, KeyId, LoginOptions,
    LoginRedirect, MemoryStore, Owner, RegisteredClient, SealingKeys, ServerUrl,
};
use http::header::LOCATION;
use reqwest::redirect::Policy;
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpClientTransportConfig,
};
use serde_json::Value;
use url::Url;

const REDIRECT_URI: &str = "http://localhost:3000/callback";
/// What the suite expects of a client that has a metadata document.
const CLIENT_METADATA_URL: &str = "https://conformance-test.local/client-metadata.json";
const MAX_SIGN_INS: usize = 3;

type Failure = Box<dyn Error + Send + Sync>;

struct Application {
    connections: Connections,
    http: reqwest::Client,
    owner: Owner,
    server: ServerUrl,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let server = env::args().next_back().ok_or("the last argument is the URL of the server")?;
    let server = ServerUrl::parse(&server)?;
    // Only servers without TLS are called.
    let http = reqwest::Client::builder().redirect(Policy::none()).tls_certs_only([]).build()?;
    let keys = SealingKeys::new([1; 32], KeyId::parse("suite")?, [2; 32])?;
    let mut builder = Connections::builder(MemoryStore::new(100), keys, REDIRECT_URI)
        .client_name("conformance client")
        .client_metadata_url(CLIENT_METADATA_URL)
        .egress(Egress::public().allow_loopback());
    if let Some(client) = registered_client(&http, &server).await? {
        builder = builder.client(client);
    }
    let owner = Owner::new("user_suite");
    Application { connections: builder.build()?, http, owner, server }.run().await
}

impl Application {
    async fn run(&self) -> Result<(), Failure> {
        let mut connection: Option<Connection> = None;
        for _ in 0..MAX_SIGN_INS {
            let Err(error) = self.use_server(connection.as_ref()).await else { return Ok(()) };
            let begun = match (AuthorizationError::find(&*error), &connection) {
                (Some(AuthorizationError::InsufficientScope(challenge)), Some(connection)) => {
                    connection.step_up(&challenge).await?
                }
                (Some(AuthorizationError::Rejected(challenge)), _) => {
                    self.begin(LoginOptions::new().challenge(&challenge)).await?
                }
                (Some(AuthorizationError::Token(_)), _) => self.begin(LoginOptions::new()).await?,
                _ => return Err(error),
            };
            let Begun::Redirect(redirect) = begun else { return Err(error) };
            connection = Some(self.sign_in(&redirect).await?);
        }
        self.use_server(connection.as_ref()).await
    }

    async fn begin(&self, options: LoginOptions) -> Result<Begun, Failure> {
        Ok(self.connections.begin(&self.owner, &self.server, options.again()).await?)
    }

    /// Follows the redirect as a browser does. The authorization servers of the suite ask nobody.
    async fn sign_in(&self, redirect: &LoginRedirect) -> Result<Connection, Failure> {
        let response = self.http.get(redirect.url()).send().await?;
        let location = response.headers().get(LOCATION).ok_or("the sign-in is no redirect")?;
        let location = Url::parse(location.to_str()?)?;
        let callback = Callback::from_query(location.query().unwrap_or_default())?;
        Ok(self.connections.complete(&self.owner, callback).await?.connection)
    }

    async fn use_server(&self, connection: Option<&Connection>) -> Result<(), Failure> {
        match connection {
            Some(connection) => self.call_tools(connection.authorize(self.http.clone())).await,
            None => self.call_tools(self.http.clone()).await,
        }
    }

    async fn call_tools<C: StreamableHttpClient + Sync>(&self, http: C) -> Result<(), Failure> {
        let config = StreamableHttpClientTransportConfig::with_uri(self.server.as_str());
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let client = ().serve_with_lifecycle(transport, lifecycle()).await?;
        for tool in client.list_all_tools().await? {
            client.call_tool(CallToolRequestParams::new(tool.name)).await?;
        }
        client.cancel().await?;
        Ok(())
    }
}

fn lifecycle() -> ClientLifecycleMode {
    let version = env::var("MCP_CONFORMANCE_PROTOCOL_VERSION");
    if version.is_ok_and(|version| version == "2026-07-28") {
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        return ClientLifecycleMode::Discover { preferred_versions };
    }
    ClientLifecycleMode::Initialize
}

/// Returns the client that a scenario has registered at the authorization server.
async fn registered_client(
    http: &reqwest::Client,
    server: &ServerUrl,
) -> Result<Option<RegisteredClient>, Failure> {
    let Ok(context) = env::var("MCP_CONFORMANCE_CONTEXT") else { return Ok(None) };
    let context: Value = serde_json::from_str(&context)?;
    let text =
        |document: &Value, path| document.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let client = text(&context, "/client_id").zip(text(&context, "/client_secret"));
    let Some((id, secret)) = client else { return Ok(None) };
    let url = Url::parse(server.as_str())?.join("/.well-known/oauth-protected-resource/mcp")?;
    let metadata: Value = serde_json::from_str(&http.get(url).send().await?.text().await?)?;
    let issuer = text(&metadata, "/authorization_servers/0").ok_or("no authorization server")?;
    Ok(Some(RegisteredClient::confidential(issuer, id, secret)))
}
