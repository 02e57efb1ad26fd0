//! Real rmcp clients that send the tokens of a connection, at a guarded rmcp server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use clerk_mcp_tools::client::{
    AuthorizationError, Begun, Connection, ConnectionState, LoginOptions, LoginReason, ServerUrl,
    TokenErrorKind,
};
use clerk_mcp_tools::testing::{Fault, Route, TokenFormat};
use clerk_mcp_tools::{AccessPolicy, ClerkMcp, ClerkVerifier, Scopes};
use http::{HeaderValue, Method, StatusCode};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt, RequestContext, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio::net::TcpListener;

use super::support::{
    TOKEN_LIFETIME, World, alice, browse, http_client, redirect, while_time_passes,
};

const CHALLENGE: &str = "Bearer error=\"invalid_token\"";

type Session = RunningService<RoleClient, ()>;

/// A server whose tool `write` requires `notes:write`.
#[derive(Clone)]
struct Notes;

impl ServerHandler for Notes {
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::default())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(request.name)]).into())
    }
}

/// What is in front of the guard.
#[derive(Clone, Default)]
struct Front {
    /// Whether it rejects every token.
    rejects: Arc<AtomicBool>,
    posts: Arc<AtomicUsize>,
}

impl Front {
    fn rejects(&self, rejects: bool) {
        self.rejects.store(rejects, Ordering::SeqCst);
    }

    fn take_posts(&self) -> usize {
        self.posts.swap(0, Ordering::SeqCst)
    }
}

async fn pass(State(front): State<Front>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST {
        front.posts.fetch_add(1, Ordering::SeqCst);
    }
    if front.rejects.load(Ordering::SeqCst) && request.uri().path() == "/mcp" {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", CHALLENGE)]).into_response();
    }
    next.run(request).await
}

/// The servers and the application, with opaque tokens, which can be revoked.
async fn world() -> (World, Front) {
    let mut world = World::with(|clerk| clerk.token_format(TokenFormat::Opaque)).await;
    let front = Front::default();
    world.server = serve_notes(&world, &front).await;
    (world, front)
}

async fn serve_notes(world: &World, front: &Front) -> ServerUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let verifier = ClerkVerifier::builder()
        .env_from(|name| world.clerk.env_var(name))
        .resource(url.parse().unwrap())
        .clock(world.clock.clone())
        .build()
        .unwrap();
    let write = Scopes::parse("notes:write").unwrap();
    let policy = AccessPolicy::baseline_by_default().tool("write", write).build().unwrap();
    let guard = ClerkMcp::builder()
        .resource(url.parse().unwrap())
        .verifier(verifier)
        .scopes(Scopes::parse("profile email").unwrap())
        .access_policy(policy)
        .build()
        .unwrap();
    let sessions = LocalSessionManager::default().into();
    let config = StreamableHttpServerConfig::default();
    let service = StreamableHttpService::new(|| Ok(Notes), sessions, config);
    let router = guard.mount(axum::Router::new(), service);
    let router = router.layer(from_fn_with_state(front.clone(), pass));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    ServerUrl::parse(&url).unwrap()
}

fn lifecycles() -> [ClientLifecycleMode; 2] {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    [ClientLifecycleMode::Initialize, ClientLifecycleMode::Discover { preferred_versions }]
}

async fn start(connection: &Connection, lifecycle: ClientLifecycleMode) -> Session {
    let config = StreamableHttpClientTransportConfig::with_uri(&*connection.info().server);
    let http = connection.authorize(http_client());
    let transport = StreamableHttpClientTransport::with_client(http, config);
    ().serve_with_lifecycle(transport, lifecycle).await.unwrap()
}

async fn call(session: &Session, tool: &'static str) -> Result<String, ServiceError> {
    let result = session.call_tool(CallToolRequestParams::new(tool)).await?;
    Ok(result.content[0].as_text().unwrap().text.clone())
}

/// Calls a tool that must not be reached.
async fn problem(session: &Session, tool: &'static str) -> AuthorizationError {
    let error = call(session, tool).await.unwrap_err();
    AuthorizationError::find(&error).unwrap_or_else(|| panic!("{error:?}"))
}

fn token_error(problem: AuthorizationError) -> TokenErrorKind {
    match problem {
        AuthorizationError::Token(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_goes_on_when_its_token_expires() {
    for lifecycle in lifecycles() {
        let (world, _) = world().await;
        let session = start(&world.connect(&world.process()).await, lifecycle).await;
        assert_eq!(call(&session, "read").await.unwrap(), "read");
        assert_eq!(world.token_calls(), 1);
        for round in 1..=2 {
            world.advance(TOKEN_LIFETIME + 1);
            assert_eq!(call(&session, "read").await.unwrap(), "read");
            assert_eq!(world.token_calls(), 1 + round);
        }
    }
}

#[tokio::test]
async fn a_revoked_token_is_renewed_once_and_a_revoked_grant_needs_a_sign_in() {
    for lifecycle in lifecycles() {
        let (world, _) = world().await;
        let process = world.process();
        let connection = world.connect(&process).await;
        let session = start(&connection, lifecycle).await;
        let first = connection.access_token().await.unwrap();
        assert!(world.clerk.revoke(first.expose()));
        // What the guard remembers of the token ends.
        world.advance(600);
        assert_eq!(call(&session, "read").await.unwrap(), "read");
        assert_eq!(world.token_calls(), 2);
        assert_ne!(connection.access_token().await.unwrap(), first);

        let sent = world.clerk.last_request(Route::Token).unwrap();
        assert!(std::str::from_utf8(&sent.body).unwrap().contains("refresh_token"));
        let second = connection.access_token().await.unwrap();
        assert!(world.clerk.revoke(second.expose()));
        world.clerk.fault(Route::Token, invalid_grant());
        world.advance(600);
        let kind = token_error(problem(&session, "read").await);
        assert_eq!(kind, TokenErrorKind::NeedsLogin(LoginReason::Refused));
        world.clerk.heal_all();
        // The same session goes on after a second sign-in.
        world.connect(&process).await;
        assert_eq!(call(&session, "read").await.unwrap(), "read");
    }
}

fn invalid_grant() -> Fault {
    Fault::Body {
        status: 400,
        content_type: "application/json".into(),
        body: r#"{"error":"invalid_grant"}"#.into(),
    }
}

#[tokio::test]
async fn a_step_up_goes_on_after_a_second_sign_in() {
    for lifecycle in lifecycles() {
        let (world, front) = world().await;
        let process = world.process();
        let connection = world.connect(&process).await;
        let session = start(&connection, lifecycle).await;
        front.take_posts();
        let AuthorizationError::InsufficientScope(challenge) = problem(&session, "write").await
        else {
            panic!("no step-up");
        };
        // One request, and no refresh: it would not help.
        assert_eq!((front.take_posts(), world.token_calls()), (1, 1));
        assert!(challenge.to_str().unwrap().contains("scope=\"profile email notes:write"));

        // The callback may come to another process.
        let redirect = redirect(connection.step_up(&challenge).await.unwrap());
        let other = world.process();
        let completed = other.complete(&alice(), browse(&redirect).await).await.unwrap();
        assert!(completed.granted.contains("notes:write"));
        // This one learns of it when it begins another one.
        let begun = connection.step_up(&challenge).await.unwrap();
        assert!(matches!(begun, Begun::AlreadyConnected(_)), "{begun:?}");
        assert_eq!(call(&session, "write").await.unwrap(), "write");
        assert_eq!(call(&session, "read").await.unwrap(), "read");
        assert_eq!(world.token_calls(), 2);
    }
}

#[tokio::test]
async fn an_outage_of_the_authorization_server_is_no_sign_in() {
    for lifecycle in lifecycles() {
        let (world, front) = world().await;
        let session = start(&world.connect(&world.process()).await, lifecycle).await;
        assert_eq!(call(&session, "read").await.unwrap(), "read");
        world.advance(TOKEN_LIFETIME + 1);
        world.clerk.fault(Route::Token, Fault::Down);
        front.take_posts();
        assert_eq!(token_error(problem(&session, "read").await), TokenErrorKind::Unavailable);
        // No request without a token.
        assert_eq!(front.take_posts(), 0);
        world.clerk.heal_all();
        world.advance(10);
        let answer = while_time_passes(&world.clock, call(&session, "read")).await;
        assert_eq!(answer.unwrap(), "read");
    }
}

#[tokio::test]
async fn a_server_that_accepts_no_token_causes_one_refresh() {
    for lifecycle in lifecycles() {
        let (world, front) = world().await;
        let session = start(&world.connect(&world.process()).await, lifecycle).await;
        let mut tokens = 1;
        for _ in 0..2 {
            assert_eq!(call(&session, "read").await.unwrap(), "read");
            front.rejects(true);
            for (posts, refreshes) in [(2, 1), (1, 0), (1, 0)] {
                front.take_posts();
                let problem = problem(&session, "read").await;
                let AuthorizationError::Rejected(challenge) = problem else {
                    panic!("{problem:?}");
                };
                assert_eq!(challenge, HeaderValue::from_static(CHALLENGE));
                tokens += refreshes;
                assert_eq!((front.take_posts(), world.token_calls()), (posts, tokens));
            }
            front.rejects(false);
        }
    }
}

#[tokio::test]
async fn without_a_refresh_token_a_rejected_token_is_sent_once() {
    for lifecycle in lifecycles() {
        let (mut world, front) = (without_refresh_tokens().await, Front::default());
        world.server = serve_notes(&world, &front).await;
        let process = world.process();
        let connection = world.connect(&process).await;
        let session = start(&connection, lifecycle).await;
        let first = connection.access_token().await.unwrap();
        assert!(world.clerk.revoke(first.expose()));
        world.advance(600);
        for posts in [1, 0] {
            front.take_posts();
            let kind = token_error(problem(&session, "read").await);
            assert_eq!(kind, TokenErrorKind::NeedsLogin(LoginReason::NoRefreshToken));
            assert_eq!(front.take_posts(), posts);
        }
        let state = process.list(&alice()).await.unwrap()[0].state;
        assert_eq!(state, ConnectionState::NeedsLogin(LoginReason::NoRefreshToken));
        world.connect(&process).await;
        assert_eq!(call(&session, "read").await.unwrap(), "read");
        assert_eq!(world.token_calls(), 2);
    }
}

async fn without_refresh_tokens() -> World {
    let scopes = ["profile", "email"];
    World::with(|clerk| clerk.token_format(TokenFormat::Opaque).scopes_supported(scopes)).await
}

#[tokio::test]
async fn a_token_is_not_sent_to_another_server() {
    let (world, front) = world().await;
    let connection = world.connect(&world.process()).await;
    let own = connection.info().server.clone();
    front.take_posts();
    let other = serve_notes(&world, &front).await;
    for uri in [other.to_string(), format!("{own}/other"), format!("{own}?a=b"), String::new()] {
        let config = StreamableHttpClientTransportConfig::with_uri(uri.as_str());
        let http = connection.authorize(http_client());
        let transport = StreamableHttpClientTransport::with_client(http, config);
        let [initialize, _] = lifecycles();
        let error = ().serve_with_lifecycle(transport, initialize).await.unwrap_err();
        let found = AuthorizationError::find(&error);
        assert!(matches!(found, Some(AuthorizationError::OtherServer)), "{uri}: {error:?}");
    }
    assert_eq!(front.take_posts(), 0);
}

#[tokio::test]
async fn without_a_connection_the_challenge_is_found() {
    let (world, _) = world().await;
    for lifecycle in lifecycles() {
        let config = StreamableHttpClientTransportConfig::with_uri(world.server.as_str());
        let transport = StreamableHttpClientTransport::with_client(http_client(), config);
        let error = ().serve_with_lifecycle(transport, lifecycle).await.unwrap_err();
        let Some(AuthorizationError::Rejected(challenge)) = AuthorizationError::find(&error) else {
            panic!("{error:?}");
        };
        let options = LoginOptions::new().challenge(&challenge);
        let begun = world.process().begin(&alice(), &world.server, options).await.unwrap();
        redirect(begun);
    }
    let unrelated = std::io::Error::other("marked");
    assert!(AuthorizationError::find(&unrelated).is_none());
}
