//! The servers themselves, in process, with handlers that record what ran.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::HttpBody as Body;
use bytes::Bytes;
use clerk_mcp_tools::Rejection;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::Full;
use pmcp::server::streamable_http_server::StreamableHttpServerConfig;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::readers::Reader;
use crate::targets::{PROMPTS, RESOURCES, Ran, TOOLS};

/// What ran since it was last taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Ran>>>);

impl Log {
    pub(crate) fn push(&self, ran: Ran) {
        self.0.lock().unwrap().push(ran);
    }

    pub(crate) fn take(&self) -> Vec<Ran> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A response. The body is read to its end unless it is a stream of events.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) rejection: Option<Rejection>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

pub(crate) type AnsweringService = BoxCloneSyncService<Request<Full<Bytes>>, Answer, Infallible>;

/// Reads the responses of a service.
pub(crate) fn answering<S, B>(service: S) -> AnsweringService
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Debug,
{
    BoxCloneSyncService::new(service.then(|response| async { Ok(answer(response?).await) }))
}

async fn answer<B>(response: Response<B>) -> Answer
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
    let is_stream = content_type.is_some_and(|value| value.starts_with("text/event-stream"));
    let body = if is_stream {
        String::new()
    } else {
        String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned()
    };
    let rejection = parts.extensions.get().cloned();
    Answer { status: parts.status, headers: parts.headers, body, rejection }
}

pub(crate) async fn send(service: &AnsweringService, request: Request<Full<Bytes>>) -> Answer {
    let Ok(answer) = service.clone().oneshot(request).await;
    answer
}

/// A server without sessions, as an axum router at `/`.
pub(crate) fn stateless(reader: Reader, log: &Log) -> Router {
    match reader {
        Reader::Rmcp => rmcp(log),
        Reader::TowerMcp => tower_mcp_transport(log).into_router(),
        Reader::Pmcp => pmcp(log, StreamableHttpServerConfig::stateless()),
        Reader::RustMcpSdk => rust_mcp_sdk(log),
    }
}

// --- rmcp -------------------------------------------------------------------------------------------

pub(crate) fn rmcp(log: &Log) -> Router {
    use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
    use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts();
    let server = RmcpServer(log.clone());
    let sessions = NeverSessionManager::default().into();
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    Router::new().fallback_service(service)
}

/// Records each request, and answers with an error.
#[derive(Clone, Debug)]
pub(crate) struct RmcpServer(pub(crate) Log);

#[expect(deprecated, reason = "what a version deprecates, it still serves")]
mod rmcp_server {
    use rmcp::model::*;
    use rmcp::service::{RequestContext, RoleServer};
    use rmcp::{ErrorData, ServerHandler};

    use super::{Ran, RmcpServer};

    type Context = RequestContext<RoleServer>;

    impl RmcpServer {
        fn ran<T>(&self, ran: Ran) -> Result<T, ErrorData> {
            self.0.push(ran);
            Err(ErrorData::internal_error("recorded", None))
        }
    }

    impl ServerHandler for RmcpServer {
        fn get_info(&self) -> ServerConfig {
            let capabilities = ServerCapabilities::builder()
                .enable_tools()
                .enable_prompts()
                .enable_resources()
                .enable_resources_subscribe()
                .enable_completions()
                .enable_logging()
                .enable_tasks()
                .enable_skills_with_directory_read()
                .build();
            let mut info = ServerConfig::default();
            info.capabilities = capabilities;
            info
        }

        async fn complete(
            &self,
            request: CompleteRequestParams,
            _: Context,
        ) -> Result<CompleteResult, ErrorData> {
            self.ran(match request.r#ref {
                Reference::Resource(resource) => Ran::Resource(resource.uri),
                Reference::Prompt(prompt) => Ran::Prompt(prompt.name),
                _ => Ran::Method("completion/complete".to_owned()),
            })
        }

        async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
            self.ran(Ran::Method("logging/setLevel".to_owned()))
        }

        async fn get_prompt(
            &self,
            request: GetPromptRequestParams,
            _: Context,
        ) -> Result<GetPromptResponse, ErrorData> {
            self.ran(Ran::Prompt(request.name))
        }

        async fn list_prompts(
            &self,
            _: Option<PaginatedRequestParams>,
            _: Context,
        ) -> Result<ListPromptsResult, ErrorData> {
            self.ran(Ran::Method("prompts/list".to_owned()))
        }

        async fn list_resource_templates(
            &self,
            _: Option<PaginatedRequestParams>,
            _: Context,
        ) -> Result<ListResourceTemplatesResult, ErrorData> {
            self.ran(Ran::Method("resources/templates/list".to_owned()))
        }

        async fn read_resource(
            &self,
            request: ReadResourceRequestParams,
            _: Context,
        ) -> Result<ReadResourceResponse, ErrorData> {
            self.ran(Ran::Resource(request.uri))
        }

        fn accepted_subscription_filter(
            &self,
            requested: &SubscriptionFilter,
        ) -> Option<SubscriptionFilter> {
            self.0.push(Ran::Method("subscriptions/listen".to_owned()));
            for uri in requested.resource_subscriptions.iter().flatten() {
                self.0.push(Ran::Resource(uri.clone()));
            }
            None
        }

        async fn subscribe(
            &self,
            request: SubscribeRequestParams,
            _: Context,
        ) -> Result<(), ErrorData> {
            self.0.push(Ran::Method("resources/subscribe".to_owned()));
            self.ran(Ran::Resource(request.uri))
        }

        async fn unsubscribe(
            &self,
            request: UnsubscribeRequestParams,
            _: Context,
        ) -> Result<(), ErrorData> {
            self.ran(Ran::Resource(request.uri))
        }

        async fn call_tool(
            &self,
            request: CallToolRequestParams,
            _: Context,
        ) -> Result<CallToolResponse, ErrorData> {
            self.ran(Ran::Tool(request.name.into_owned()))
        }

        async fn on_custom_request(
            &self,
            request: CustomRequest,
            _: Context,
        ) -> Result<CustomResult, ErrorData> {
            self.ran(Ran::Method(request.method))
        }

        async fn get_skill(
            &self,
            request: GetSkillRequestParams,
            _: Context,
        ) -> Result<GetSkillResult, ErrorData> {
            self.ran(Ran::Resource(request.uri))
        }

        async fn read_resource_directory(
            &self,
            request: ReadResourceDirectoryRequestParams,
            _: Context,
        ) -> Result<ReadResourceDirectoryResult, ErrorData> {
            self.ran(Ran::Resource(request.uri))
        }
    }
}

// --- tower-mcp --------------------------------------------------------------------------------------

pub(crate) fn tower_mcp_transport(log: &Log) -> tower_mcp::HttpTransport {
    tower_mcp::HttpTransport::new(tower_mcp_router(log))
        .disable_host_validation()
        .disable_origin_validation()
        .max_sessions(usize::MAX)
}

pub(crate) fn tower_mcp_router(log: &Log) -> tower_mcp::McpRouter {
    use tower_mcp::protocol::{CompletionReference, GetPromptResult, ReadResourceResult};
    use tower_mcp::{CallToolResult, PromptBuilder, ResourceTemplateBuilder, ToolBuilder};

    let mut router = tower_mcp::McpRouter::new().server_info("servers", "1");
    for name in TOOLS {
        let log = log.clone();
        let tool = ToolBuilder::new(name).no_params_handler(move || {
            log.push(Ran::Tool(name.to_owned()));
            async { Ok(CallToolResult::text("done")) }
        });
        router = router.tool(tool.build());
    }
    for name in PROMPTS {
        let log = log.clone();
        let prompt = PromptBuilder::new(name).handler(move |_: HashMap<String, String>| {
            log.push(Ran::Prompt(name.to_owned()));
            async { Ok(GetPromptResult::user_message("done")) }
        });
        router = router.prompt(prompt.build());
    }
    for template in RESOURCES {
        let log = log.clone();
        let resource = ResourceTemplateBuilder::new(template).name(template).handler(
            move |uri: String, _: HashMap<String, String>| {
                log.push(Ran::Resource(uri.clone()));
                async { Ok(ReadResourceResult::text(uri, "done")) }
            },
        );
        router = router.resource_template(resource);
    }
    let log = log.clone();
    router.completion_handler(move |params| {
        match params.reference {
            CompletionReference::Prompt { name } => log.push(Ran::Prompt(name)),
            CompletionReference::Resource { uri } => log.push(Ran::Resource(uri)),
            _ => {}
        }
        async { Err(tower_mcp::Error::internal("recorded")) }
    })
}

// --- pmcp -------------------------------------------------------------------------------------------

pub(crate) fn pmcp(log: &Log, config: StreamableHttpServerConfig) -> Router {
    use pmcp::types::ProtocolVersion;

    let versions = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
    let mut builder = pmcp::Server::builder()
        .name("servers")
        .version("1")
        .with_supported_protocol_versions(versions.map(|v| ProtocolVersion(v.to_owned())));
    for name in TOOLS {
        builder = builder.tool(name, PmcpTarget(log.clone(), Ran::Tool(name.to_owned())));
    }
    for name in PROMPTS {
        builder = builder.prompt(name, PmcpTarget(log.clone(), Ran::Prompt(name.to_owned())));
    }
    let server = builder.resources(PmcpResources(log.clone())).build().unwrap();
    let config = pmcp::axum::RouterConfig {
        allowed_origins: Some(pmcp::axum::AllowedOrigins::any()),
        server_config: config,
        ..Default::default()
    };
    pmcp::axum::concurrent_router_with_config(Arc::new(server), config)
}

struct PmcpTarget(Log, Ran);

#[async_trait]
impl pmcp::ToolHandler for PmcpTarget {
    async fn handle(
        &self,
        _: serde_json::Value,
        _: pmcp::RequestHandlerExtra,
    ) -> pmcp::Result<serde_json::Value> {
        self.0.push(self.1.clone());
        Ok(serde_json::Value::Null)
    }
}

#[async_trait]
impl pmcp::PromptHandler for PmcpTarget {
    async fn handle(
        &self,
        _: HashMap<String, String>,
        _: pmcp::RequestHandlerExtra,
    ) -> pmcp::Result<pmcp::types::GetPromptResult> {
        self.0.push(self.1.clone());
        Ok(pmcp::types::GetPromptResult::new(Vec::new(), None))
    }
}

struct PmcpResources(Log);

#[async_trait]
impl pmcp::ResourceHandler for PmcpResources {
    async fn read(
        &self,
        uri: &str,
        _: pmcp::RequestHandlerExtra,
    ) -> pmcp::Result<pmcp::types::ReadResourceResult> {
        self.0.push(Ran::Resource(uri.to_owned()));
        Ok(pmcp::types::ReadResourceResult::new(Vec::new()))
    }

    async fn list(
        &self,
        _: Option<String>,
        _: pmcp::RequestHandlerExtra,
    ) -> pmcp::Result<pmcp::types::ListResourcesResult> {
        Ok(pmcp::types::ListResourcesResult::new(Vec::new()))
    }
}

// --- rust-mcp-sdk -----------------------------------------------------------------------------------

/// Has no sessions since version 2.0.
pub(crate) fn rust_mcp_sdk(log: &Log) -> Router {
    use rust_mcp_axum::mcp_routes;
    use rust_mcp_sdk::id_generator::{FastIdGenerator, UuidGenerator};
    use rust_mcp_sdk::mcp_http::{McpAppState, McpHttpHandler, McpMountOptions};
    use rust_mcp_sdk::schema::{Implementation, ServerCapabilities};
    use rust_mcp_sdk::{ServerDetails, ToMcpServerHandler};

    let capabilities: ServerCapabilities = serde_json::from_value(serde_json::json!({
        "tools": {}, "prompts": {}, "resources": {"subscribe": true}, "completions": {}
    }))
    .unwrap();
    let server_info: Implementation =
        serde_json::from_value(serde_json::json!({"name": "servers", "version": "1"})).unwrap();
    let state = McpAppState {
        id_generator: Arc::new(UuidGenerator {}),
        stream_id_gen: Arc::new(FastIdGenerator::new(Some("s_"))),
        server_details: Arc::new(ServerDetails {
            server_info,
            capabilities,
            instructions: None,
            meta: None,
        }),
        handler: SdkServer(log.clone()).to_mcp_server_handler(),
        ping_interval: std::time::Duration::from_secs(3600),
        transport_options: Default::default(),
        enable_json_response: true,
        message_observer: None,
        extensions: Default::default(),
        active_listen_streams: Default::default(),
        max_listen_streams: usize::MAX,
    };
    let mount = McpMountOptions { streamable_http_endpoint: "/".into(), ..Default::default() };
    mcp_routes(Arc::new(state), &mount, McpHttpHandler::new(None, Vec::new(), None))
}

struct SdkServer(Log);

mod sdk_server {
    use std::result::Result;
    use std::sync::Arc;

    use async_trait::async_trait;
    use rust_mcp_sdk::McpServer;
    use rust_mcp_sdk::mcp_server::ServerHandler;
    use rust_mcp_sdk::schema::schema_utils::{CallToolError, CustomRequest};
    use rust_mcp_sdk::schema::{Result as GenericResult, *};

    use super::{Ran, SdkServer};

    type Context = rust_mcp_sdk::RequestContext;

    impl SdkServer {
        fn ran<T>(&self, ran: Ran) -> Result<T, RpcError> {
            self.0.push(ran);
            Err(RpcError::internal_error())
        }
    }

    #[async_trait]
    impl ServerHandler for SdkServer {
        async fn handle_read_resource_request(
            &self,
            params: ReadResourceRequestParams,
            _: &Context,
            _: Arc<dyn McpServer>,
        ) -> Result<ServerResult, RpcError> {
            self.ran(Ran::Resource(params.uri))
        }

        async fn handle_get_prompt_request(
            &self,
            params: GetPromptRequestParams,
            _: &Context,
            _: Arc<dyn McpServer>,
        ) -> Result<ServerResult, RpcError> {
            self.ran(Ran::Prompt(params.name))
        }

        async fn handle_call_tool_request(
            &self,
            params: CallToolRequestParams,
            _: &Context,
            _: Arc<dyn McpServer>,
        ) -> Result<ServerResult, CallToolError> {
            self.0.push(Ran::Tool(params.name.clone()));
            Err(CallToolError::unknown_tool(params.name))
        }

        async fn handle_complete_request(
            &self,
            params: CompleteRequestParams,
            _: &Context,
            _: Arc<dyn McpServer>,
        ) -> Result<CompleteResult, RpcError> {
            self.ran(match params.ref_ {
                CompleteRequestRef::PromptReference(prompt) => Ran::Prompt(prompt.name),
                CompleteRequestRef::ResourceTemplateReference(resource) => {
                    Ran::Resource(resource.uri)
                }
            })
        }

        async fn handle_custom_request(
            &self,
            request: CustomRequest,
            _: &Context,
            _: Arc<dyn McpServer>,
        ) -> Result<GenericResult, RpcError> {
            self.ran(Ran::Method(request.method))
        }
    }
}
