//! Each server's own reader of messages: its types, and the rule by which it chooses the handler.
//!
//! No HTTP and no handler takes part, so that millions of bodies can be read. What a server refuses
//! after reading (unknown names, versions, capabilities) counts as run here, which is the safe side.

use std::borrow::Cow;

use pmcp::shared::StdioTransport;
use pmcp::shared::TransportMessage as PmcpMessage;
use pmcp::types::{ClientRequest as PmcpRequest, CompletionReference as PmcpReference};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest as RmcpRequest, Reference};
use rust_mcp_sdk::schema::schema_utils::{ClientJsonrpcRequest, ClientMessage, ClientMessages};
use rust_mcp_sdk::schema::{ClientRequest as SdkRequest, CompleteRequestRef};
use serde_json::Value;
use tower_mcp::protocol::{
    CompletionReference as TowerReference, JsonRpcMessage, JsonRpcRequest, McpRequest,
};

use crate::targets::Ran;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Rmcp,
    TowerMcp,
    Pmcp,
    RustMcpSdk,
}

impl Reader {
    pub(crate) const ALL: [Self; 4] = [Self::Rmcp, Self::TowerMcp, Self::Pmcp, Self::RustMcpSdk];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rmcp => "rmcp",
            Self::TowerMcp => "tower-mcp",
            Self::Pmcp => "pmcp",
            Self::RustMcpSdk => "rust-mcp-sdk",
        }
    }

    /// Returns what the server would do with a body.
    pub(crate) fn read(self, body: &[u8]) -> Vec<Ran> {
        match self {
            Self::Rmcp => rmcp(body),
            Self::TowerMcp => tower_mcp(body),
            Self::Pmcp => pmcp(body),
            Self::RustMcpSdk => rust_mcp_sdk(body),
        }
    }
}

fn rmcp(body: &[u8]) -> Vec<Ran> {
    let Ok(ClientJsonRpcMessage::Request(message)) = serde_json::from_slice(body) else {
        return Vec::new();
    };
    let method = Ran::Method(message.request.method().to_owned());
    let mut ran = vec![method];
    match message.request {
        RmcpRequest::CallToolRequest(call) => ran.push(Ran::Tool(call.params.name.into_owned())),
        RmcpRequest::GetPromptRequest(get) => ran.push(Ran::Prompt(get.params.name)),
        RmcpRequest::ReadResourceRequest(read) => ran.push(Ran::Resource(read.params.uri)),
        RmcpRequest::SubscribeRequest(request) => ran.push(Ran::Resource(request.params.uri)),
        RmcpRequest::UnsubscribeRequest(request) => ran.push(Ran::Resource(request.params.uri)),
        RmcpRequest::GetSkillRequest(request) => ran.push(Ran::Resource(request.params.uri)),
        RmcpRequest::ReadResourceDirectoryRequest(request) => {
            ran.push(Ran::Resource(request.params.uri));
        }
        RmcpRequest::CompleteRequest(request) => ran.push(match request.params.r#ref {
            Reference::Resource(resource) => Ran::Resource(resource.uri),
            Reference::Prompt(prompt) => Ran::Prompt(prompt.name),
            _ => return ran,
        }),
        RmcpRequest::SubscriptionsListenRequest(request) => {
            let uris = request.params.notifications.resource_subscriptions;
            ran.extend(uris.unwrap_or_default().into_iter().map(Ran::Resource));
        }
        _ => {}
    }
    ran
}

fn tower_mcp(body: &[u8]) -> Vec<Ran> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Vec::new();
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Vec::new();
    };
    let requests = match serde_json::from_value(value) {
        Ok(JsonRpcMessage::Single(request)) => vec![request],
        Ok(JsonRpcMessage::Batch(requests)) => requests,
        _ => return Vec::new(),
    };
    requests.iter().flat_map(tower_mcp_request).collect()
}

fn tower_mcp_request(request: &JsonRpcRequest) -> Vec<Ran> {
    let mut ran = vec![Ran::Method(request.method.clone())];
    match McpRequest::from_jsonrpc(request) {
        Ok(McpRequest::CallTool(params)) => ran.push(Ran::Tool(params.name)),
        Ok(McpRequest::GetPrompt(params)) => ran.push(Ran::Prompt(params.name)),
        Ok(McpRequest::ReadResource(params)) => ran.push(Ran::Resource(params.uri)),
        Ok(McpRequest::SubscribeResource(params)) => ran.push(Ran::Resource(params.uri)),
        Ok(McpRequest::UnsubscribeResource(params)) => ran.push(Ran::Resource(params.uri)),
        Ok(McpRequest::Complete(params)) => ran.push(match params.reference {
            TowerReference::Prompt { name } => Ran::Prompt(name),
            TowerReference::Resource { uri } => Ran::Resource(uri),
            _ => return ran,
        }),
        Ok(McpRequest::SubscriptionsListen(params)) => {
            let uris = params.notifications.and_then(|filter| filter.resource_subscriptions);
            ran.extend(uris.unwrap_or_default().into_iter().map(Ran::Resource));
        }
        _ => {}
    }
    ran
}

/// pmcp decodes a body with replacement characters, and routes some methods before it parses them.
fn pmcp(body: &[u8]) -> Vec<Ran> {
    let body: Cow<'_, str> = String::from_utf8_lossy(body);
    let raw = serde_json::from_str::<pmcp::types::JSONRPCRequest<Value>>(&body).ok();
    let params = raw.as_ref().and_then(|raw| raw.params.as_ref());
    match raw.as_ref().map(|raw| raw.method.as_str()) {
        Some(method @ "skills/get") => {
            let uri = params.and_then(|params| params.get("uri")).and_then(Value::as_str);
            let uri = uri.map(|uri| Ran::Resource(uri.to_owned()));
            return [Ran::Method(method.to_owned())].into_iter().chain(uri).collect();
        }
        Some(method @ "subscriptions/listen") => {
            let filter = params.and_then(|params| params.get("notifications")).cloned();
            let filter = serde_json::from_value::<pmcp::types::subscriptions::SubscriptionFilter>(
                filter.unwrap_or_default(),
            );
            let uris = filter.ok().and_then(|filter| filter.resource_subscriptions);
            let uris = uris.unwrap_or_default().into_iter().map(Ran::Resource);
            return [Ran::Method(method.to_owned())].into_iter().chain(uris).collect();
        }
        Some(method @ ("server/discover" | "tasks/update" | "skills/list")) => {
            return vec![Ran::Method(method.to_owned())];
        }
        _ => {}
    }
    let Ok(PmcpMessage::Request { request: pmcp::types::Request::Client(request), .. }) =
        StdioTransport::parse_message(body.as_bytes())
    else {
        return Vec::new();
    };
    pmcp_request(*request)
}

fn pmcp_request(request: PmcpRequest) -> Vec<Ran> {
    let (method, target) = match request {
        PmcpRequest::CallTool(call) => ("tools/call", Some(Ran::Tool(call.name))),
        PmcpRequest::GetPrompt(get) => ("prompts/get", Some(Ran::Prompt(get.name))),
        PmcpRequest::ReadResource(read) => ("resources/read", Some(Ran::Resource(read.uri))),
        PmcpRequest::Subscribe(request) => {
            ("resources/subscribe", Some(Ran::Resource(request.uri)))
        }
        PmcpRequest::Unsubscribe(request) => {
            ("resources/unsubscribe", Some(Ran::Resource(request.uri)))
        }
        PmcpRequest::Complete(request) => {
            let target = match request.r#ref {
                PmcpReference::Resource { uri } => Ran::Resource(uri),
                PmcpReference::Prompt { name } => Ran::Prompt(name),
            };
            ("completion/complete", Some(target))
        }
        PmcpRequest::SetLoggingLevel { .. } => ("logging/setLevel", None),
        PmcpRequest::TasksGet(_) => ("tasks/get", None),
        PmcpRequest::TasksResult(_) => ("tasks/result", None),
        PmcpRequest::TasksCancel(_) => ("tasks/cancel", None),
        PmcpRequest::CreateMessage(_) => ("sampling/createMessage", None),
        PmcpRequest::ListPrompts(_) => ("prompts/list", None),
        PmcpRequest::ListResourceTemplates(_) => ("resources/templates/list", None),
        // What everybody may do.
        _ => return Vec::new(),
    };
    [Ran::Method(method.to_owned())].into_iter().chain(target).collect()
}

/// rust-mcp-sdk checks that the body is JSON, and then reads it line by line.
fn rust_mcp_sdk(body: &[u8]) -> Vec<Ran> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Vec::new();
    };
    if serde_json::from_str::<Value>(text).is_err() {
        return Vec::new();
    }
    let messages = text.split('\n').filter_map(|line| serde_json::from_str(line).ok());
    let messages = messages.flat_map(|messages| match messages {
        ClientMessages::Single(message) => vec![message],
        ClientMessages::Batch(messages) => messages,
    });
    messages.flat_map(rust_mcp_sdk_message).collect()
}

fn rust_mcp_sdk_message(message: ClientMessage) -> Vec<Ran> {
    let ClientMessage::Request(request) = message else {
        return Vec::new();
    };
    let mut ran = vec![Ran::Method(request.method().to_owned())];
    let ClientJsonrpcRequest::Standard(request) = request else {
        return ran;
    };
    match request {
        SdkRequest::CallToolRequest(call) => ran.push(Ran::Tool(call.params.name)),
        SdkRequest::GetPromptRequest(get) => ran.push(Ran::Prompt(get.params.name)),
        SdkRequest::ReadResourceRequest(read) => ran.push(Ran::Resource(read.params.uri)),
        SdkRequest::CompleteRequest(request) => ran.push(match request.params.ref_ {
            CompleteRequestRef::PromptReference(prompt) => Ran::Prompt(prompt.name),
            CompleteRequestRef::ResourceTemplateReference(resource) => Ran::Resource(resource.uri),
        }),
        SdkRequest::SubscriptionsListenRequest(request) => {
            let uris = request.params.notifications.resource_subscriptions;
            ran.extend(uris.into_iter().map(Ran::Resource));
        }
        _ => {}
    }
    ran
}
