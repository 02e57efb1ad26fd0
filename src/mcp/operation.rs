//! One operation that a client asks an MCP server for.

use std::borrow::Cow;

/// An operation: a JSON-RPC method and, if the method has one, the name or URI of its target.
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
    /// Creates an operation of this method, such as `tools/list`.
    #[must_use]
    pub fn new(method: impl Into<Cow<'a, str>>) -> Self {
        Self { method: method.into(), name: None }
    }

    /// Sets the name of the tool or prompt, or the URI of the resource. Defaults to none.
    #[must_use]
    pub fn named(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Returns the JSON-RPC method, such as `tools/call`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the name of the tool or prompt, or the URI of the resource.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn target(&self) -> OperationTarget {
        OperationTarget::of(&self.method)
    }
}

/// The kind of target that an operation's name refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationTarget {
    Tool,
    Prompt,
    Resource,
    Task,
    /// The method has no target, or none that is known here.
    None,
}

impl OperationTarget {
    /// The methods with an `Mcp-Name`: MCP 2026-07-28, Streamable HTTP, section "standard headers",
    /// and the tasks extension.
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
