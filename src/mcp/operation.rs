//! One thing that a client asks an MCP server to do.

use std::borrow::Cow;

/// One thing that a client asks for: a JSON-RPC method and, for the methods that have one, the name or URI of what the
/// method is for.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::access_policy::Operation;
///
/// let operation = Operation::new("tools/call").named("delete_file");
/// assert_eq!((operation.method(), operation.name()), ("tools/call", Some("delete_file")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    method: Cow<'a, str>,
    name: Option<Cow<'a, str>>,
}

impl<'a> Operation<'a> {
    /// An operation of this method, such as `tools/list`.
    #[must_use]
    pub fn new(method: impl Into<Cow<'a, str>>) -> Self {
        Self { method: method.into(), name: None }
    }

    /// The name of the tool or prompt, or the URI of the resource, that the method is for.
    #[must_use]
    pub fn named(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The JSON-RPC method, such as `tools/call`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The tool's or prompt's name, or the resource's URI.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn target(&self) -> OperationTarget {
        OperationTarget::of(&self.method)
    }
}

/// What the name of an operation stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationTarget {
    Tool,
    Prompt,
    Resource,
    Task,
    /// The method has no name that this crate knows of.
    None,
}

impl OperationTarget {
    /// MCP 2026-07-28, Streamable HTTP, "standard headers": the methods with an `Mcp-Name`. That of tasks is the tasks
    /// extension's.
    fn of(method: &str) -> Self {
        match method {
            "tools/call" => Self::Tool,
            "prompts/get" => Self::Prompt,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Self::Resource,
            "tasks/get" | "tasks/update" | "tasks/cancel" => Self::Task,
            _ => Self::None,
        }
    }
}
