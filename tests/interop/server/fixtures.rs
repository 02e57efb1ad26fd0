//! The tools, prompts and resources that the conformance suite asks for, as far as their answers
//! differ on the wire: plain and streamed results, requests of the server, subscriptions.

#![allow(deprecated, reason = "the suite also tests what MCP 2026-07-28 deprecates")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::*;
use rmcp::service::{RequestContext, SubscriptionContext, SubscriptionSink};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const IMAGE: &str = concat!(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
    "AAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==",
);
const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";
const CACHE_TTL_MS: u64 = 60_000;

const TOOLS: [&str; 15] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_progress",
    "test_tool_with_logging",
    "test_logging_tool",
    "test_sampling",
    "test_missing_capability",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_input_required_result_elicitation",
    "test_streaming_elicitation",
];

#[derive(Clone, Default)]
pub(crate) struct Fixtures {
    subscriptions: Arc<Mutex<HashMap<u64, SubscriptionSink>>>,
    last_subscription: Arc<AtomicU64>,
}

impl Fixtures {
    fn sinks(&self) -> Vec<SubscriptionSink> {
        let sinks = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.values().cloned().collect()
    }
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerInfo {
        let capabilities = ServerCapabilities::builder()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_completions()
            .enable_logging()
            .build();
        ServerInfo::new(capabilities).with_server_info(Implementation::new("conformance", "0.1.0"))
    }

    /// The transport compares the headers that mirror an argument with the schema of this tool.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == "test_custom_header").then(custom_header_tool)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = TOOLS.map(|name| tool(name, json!({ "type": "object", "properties": {} })));
        let tools = tools.into_iter().chain([custom_header_tool()]).collect();
        Ok(ListToolsResult { tools, ..Default::default() }
            .with_ttl_ms(CACHE_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let peer = &context.peer;
        let result: CallToolResult = match request.name.as_ref() {
            "test_simple_text" => content(&json!([text("This is a simple text response.")])),
            "test_image_content" => content(&json!([image()])),
            "test_audio_content" => {
                content(&json!([{ "type": "audio", "data": AUDIO, "mimeType": "audio/wav" }]))
            }
            "test_embedded_resource" => content(&json!([embedded("test://embedded-resource")])),
            "test_multiple_content_types" => content(&json!([
                text("Multiple content types:"),
                image(),
                embedded("test://mixed-content-resource")
            ])),
            "test_error_handling" => {
                return Ok(CallToolResult::error(vec![ContentBlock::text("An error")]).into());
            }
            "test_tool_with_progress" => {
                let token = context.meta.get_progress_token();
                for progress in token.iter().flat_map(|token| {
                    [0.0, 50.0, 100.0]
                        .map(|done| ProgressNotificationParam::new(token.clone(), done))
                }) {
                    let _ = peer.notify_progress(progress.with_total(100.0)).await;
                }
                content(&json!([text("Progress completed")]))
            }
            "test_tool_with_logging" => {
                for message in ["started", "processing", "completed"] {
                    log(&context, LoggingLevel::Info, message).await;
                }
                content(&json!([text("Logging completed")]))
            }
            "test_logging_tool" => {
                if let Some(level) = context.meta.log_level() {
                    log(&context, level, "logLevel was requested").await;
                }
                content(&json!([text("Logging completed")]))
            }
            "test_sampling" => {
                let prompt = vec![SamplingMessage::user_text("Hello")];
                let sampled =
                    peer.create_message(CreateMessageRequestParams::new(prompt, 100)).await;
                let sampled = sampled.map_err(|error| internal(&error))?;
                content(&json!([text(&format!("LLM response: {:?}", sampled.message.content))]))
            }
            "test_missing_capability" => {
                if context.meta.client_capabilities().unwrap_or_default().sampling.is_none() {
                    let required = ClientCapabilities::builder().enable_sampling().build();
                    return Err(ErrorData::missing_required_client_capability(required));
                }
                content(&json!([text("Declared")]))
            }
            "test_trigger_tool_change" => {
                for sink in self.sinks() {
                    let _ = sink.notify_tool_list_changed().await;
                }
                content(&json!([text("Triggered")]))
            }
            "test_trigger_prompt_change" => {
                for sink in self.sinks() {
                    let _ = sink.notify_prompt_list_changed().await;
                }
                content(&json!([text("Triggered")]))
            }
            "test_input_required_result_elicitation" | "test_streaming_elicitation" => {
                let Some(response) = answer(request.input_responses.as_ref(), "user_name") else {
                    return from_json(input_required("user_name", "name"))
                        .map(CallToolResponse::InputRequired);
                };
                content(&json!([text(&format!("Hello, {response}!"))]))
            }
            "test_custom_header" => {
                let value = request.arguments.as_ref().and_then(|all| all.get("value"));
                content(&json!([text(&format!("{value:?}"))]))
            }
            name => return Err(ErrorData::invalid_params(format!("unknown tool: {name}"), None)),
        }?;
        Ok(result.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resources = ["test://static-text", "test://static-binary"]
            .map(|uri| Resource::new(uri, uri).with_description("A resource"));
        Ok(ListResourcesResult { resources: resources.to_vec(), ..Default::default() }
            .with_ttl_ms(CACHE_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = ResourceTemplate::new("test://template/{id}/data", "A template");
        Ok(ListResourceTemplatesResult { resource_templates: vec![template], ..Default::default() }
            .with_ttl_ms(CACHE_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let template = uri.strip_prefix("test://template/");
        let id = template.and_then(|rest| rest.strip_suffix("/data"));
        let contents = match (uri, id) {
            ("test://static-text", _) => {
                json!([{ "uri": uri, "mimeType": "text/plain", "text": "A text." }])
            }
            ("test://static-binary", _) => {
                json!([{ "uri": uri, "mimeType": "image/png", "blob": IMAGE }])
            }
            (_, Some(id)) => {
                let text = json!({ "id": id }).to_string();
                json!([{ "uri": uri, "mimeType": "application/json", "text": text }])
            }
            (_, None) => {
                let data = json!({ "uri": uri });
                return Err(ErrorData::resource_not_found("not found", Some(data)));
            }
        };
        let result = json!({ "resultType": "complete", "contents": contents });
        let result: ReadResourceResult = from_json(result)?;
        Ok(result.with_ttl_ms(CACHE_TTL_MS).with_cache_scope(CacheScope::Private).into())
    }

    async fn subscribe(
        &self,
        _: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let id = self.last_subscription.fetch_add(1, Ordering::Relaxed);
        let locked = || self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        locked().insert(id, context.sink().clone());
        context.cancelled().await;
        locked().remove(&id);
        Ok(())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let argument =
            |name| json!({ "name": name, "description": "An argument", "required": true });
        let prompts = from_json(json!([
            { "name": "test_simple_prompt", "description": "A prompt" },
            { "name": "test_prompt_with_arguments", "description": "A prompt with arguments",
              "arguments": [argument("arg1"), argument("arg2")] },
            { "name": "test_prompt_with_embedded_resource", "description": "A prompt" },
            { "name": "test_prompt_with_image", "description": "A prompt" },
            { "name": "test_input_required_result_prompt", "description": "A prompt" },
        ]))?;
        Ok(ListPromptsResult { prompts, ..Default::default() }
            .with_ttl_ms(CACHE_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let content = match request.name.as_ref() {
            "test_simple_prompt" => text("This is a simple prompt."),
            "test_prompt_with_arguments" => {
                let arguments = request.arguments.unwrap_or_default();
                text(&Value::Object(arguments).to_string())
            }
            "test_prompt_with_embedded_resource" => embedded("test://example-resource"),
            "test_prompt_with_image" => image(),
            "test_input_required_result_prompt" => {
                let Some(response) = answer(request.input_responses.as_ref(), "user_context")
                else {
                    return from_json(input_required("user_context", "context"))
                        .map(GetPromptResponse::InputRequired);
                };
                text(&response.to_string())
            }
            name => return Err(ErrorData::invalid_params(format!("unknown prompt: {name}"), None)),
        };
        let messages = json!([{ "role": "user", "content": content }]);
        let result = json!({ "resultType": "complete", "messages": messages });
        from_json::<GetPromptResult>(result).map(Into::into)
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = vec!["paris".to_owned(), "park".to_owned()];
        let info = CompletionInfo::new(values).map_err(|error| internal(&error))?;
        Ok(CompleteResult::new(info))
    }

    async fn set_level(
        &self,
        _: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }
}

fn tool(name: &'static str, schema: Value) -> Tool {
    let Value::Object(schema) = schema else { return Tool::default() };
    Tool::new(name, "A tool of the conformance suite", schema)
}

fn custom_header_tool() -> Tool {
    let value = json!({ "type": "string", "x-mcp-header": "Value" });
    let schema =
        json!({ "type": "object", "properties": { "value": value }, "required": ["value"] });
    tool("test_custom_header", schema)
}

/// Returns what the client answered, if it is an answer at all.
fn answer<'a>(responses: Option<&'a InputResponses>, key: &str) -> Option<&'a Value> {
    responses?.get(key).filter(|response| response.is_object())
}

fn input_required(key: &str, property: &str) -> Value {
    let schema = json!({
        "type": "object",
        "properties": { property: { "type": "string" } },
        "required": [property],
    });
    let params = json!({ "message": "Please answer", "requestedSchema": schema });
    let request = json!({ "method": "elicitation/create", "params": params });
    json!({ "resultType": "input_required", "inputRequests": { key: request } })
}

async fn log(context: &RequestContext<RoleServer>, level: LoggingLevel, message: &str) {
    let notification = LoggingMessageNotificationParam::new(level, json!(message));
    let _ = context.peer.notify_logging_message(notification.with_logger("conformance")).await;
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn image() -> Value {
    json!({ "type": "image", "data": IMAGE, "mimeType": "image/png" })
}

fn embedded(uri: &str) -> Value {
    let resource = json!({ "uri": uri, "mimeType": "text/plain", "text": "An embedded resource." });
    json!({ "type": "resource", "resource": resource })
}

fn content(content: &Value) -> Result<CallToolResult, ErrorData> {
    from_json(json!({ "resultType": "complete", "content": content }))
}

fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| internal(&error))
}

fn internal(error: &dyn std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
