//! One operation that a client asks an MCP server for.

use std::borrow::Cow;

/// The requests that clients send, of all versions of MCP up to 2026-07-28 and of its extensions for
/// tasks and skills.
pub(crate) const REQUEST_METHODS: [&str; 23] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/directory/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "completion/complete",
    "logging/setLevel",
    "skills/list",
    "skills/get",
    "tasks/list",
    "tasks/get",
    "tasks/result",
    "tasks/update",
    "tasks/cancel",
];

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
    target: OperationTarget,
    name: Option<Cow<'a, str>>,
}

impl<'a> Operation<'a> {
    /// Creates an operation of this method, such as `tools/list`.
    #[must_use]
    pub fn new(method: impl Into<Cow<'a, str>>) -> Self {
        let method = method.into();
        Self { target: OperationTarget::of(&method), method, name: None }
    }

    /// Sets the name of the tool or prompt, or the URI of the resource. Defaults to none.
    #[must_use]
    pub fn named(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the prompt that a `completion/complete` refers to.
    #[must_use]
    pub fn prompt(self, name: impl Into<Cow<'a, str>>) -> Self {
        self.with_target(OperationTarget::Prompt).named(name)
    }

    /// Sets the resource that a `completion/complete` refers to, also by the template of its URI,
    /// or one that a `subscriptions/listen` subscribes to.
    #[must_use]
    pub fn resource(self, uri: impl Into<Cow<'a, str>>) -> Self {
        self.with_target(OperationTarget::Resource).named(uri)
    }

    /// Sets the kind of the target where the method alone does not determine it.
    pub(crate) fn with_target(mut self, target: OperationTarget) -> Self {
        self.target = target;
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

    /// Returns a copy whose method and name have at most this many characters each, and end in `…` if
    /// there were more.
    pub(crate) fn to_bounded(&self, max_chars: usize) -> Operation<'static> {
        let bounded = |text: &str| match text.char_indices().nth(max_chars) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text.to_owned(),
        };
        Operation {
            method: bounded(&self.method).into(),
            target: self.target,
            name: self.name().map(|name| bounded(name).into()),
        }
    }

    pub(crate) fn target(&self) -> OperationTarget {
        self.target
    }

    /// Returns the kind of target that the method has by itself.
    pub(crate) fn target_of_method(&self) -> OperationTarget {
        OperationTarget::of(&self.method)
    }
}

/// The kind of target that an operation's name refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationTarget {
    Tool,
    Prompt,
    Resource,
    /// `completion/complete`, whose `ref` says which of the kinds it is.
    Reference,
    /// `subscriptions/listen`, which names any number of resources.
    Subscriptions,
    Task,
    /// The method has no target, or none that is known here.
    None,
}

impl OperationTarget {
    /// MCP 2026-07-28, its tasks extension, and its skills extension (SEP-2640).
    fn of(method: &str) -> Self {
        match method {
            "tools/call" => Self::Tool,
            "prompts/get" => Self::Prompt,
            "skills/get" => Self::Resource,
            "completion/complete" => Self::Reference,
            "subscriptions/listen" => Self::Subscriptions,
            "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => Self::Task,
            "resources/list" | "resources/templates/list" => Self::None,
            // Also those that a later version adds.
            _ if method.starts_with("resources/") => Self::Resource,
            _ => Self::None,
        }
    }

    /// Returns whether `Mcp-Name` repeats the name of such a target.
    pub(crate) fn is_in_headers(self) -> bool {
        match self {
            Self::Tool | Self::Prompt | Self::Resource | Self::Task => true,
            Self::Reference | Self::Subscriptions | Self::None => false,
        }
    }
}
