//! Which scopes an operation needs.

mod normal_form;
mod uri_pattern;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::mcp::{Operation, OperationTarget};
use crate::oauth::Scopes;
use normal_form::is_normal;
use uri_pattern::UriPattern;

/// In bytes. A longer URI is not compared with patterns: it needs what any resource needs.
const MAX_URI: usize = 8 * 1024;

/// The scopes that the operations of an MCP server need, besides the baseline that every request needs.
///
/// An operation needs what its [method](Self::method) needs, and what it is for: the [tool](Self::tool), the
/// [prompt](Self::prompt) or the [resource](Self::resource) of that name or URI. Where no rule names the tool, prompt or
/// resource, what is said for all [others](Self::default_scopes) counts in its place. What no rule is about needs the baseline
/// alone.
///
/// Names and URIs are compared byte by byte, so they have to be unique to the server byte by byte: a server that takes
/// `DELETE_FILE` for `delete_file` needs [`default_scopes`](Self::default_scopes). What names tools, prompts or resources in other
/// ways, such as `completion/complete`, `subscriptions/listen` and `tasks/get`, is guarded by its method.
///
/// Two rules for the same add up. A clone is cheap.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::access_policy::Operation;
/// use clerk_mcp_tools::{AccessPolicy, Scopes};
///
/// let rules = AccessPolicy::new()
///     .tool("delete_file", Scopes::parse("files:write")?)
///     .resource("file:///*", Scopes::parse("files:read")?)
///     .method("completion/complete", Scopes::parse("files:read")?);
/// let needed = |operation: Operation<'_>| rules.required_by(&operation).to_string();
/// assert_eq!(needed(Operation::new("tools/call").named("delete_file")), "files:write");
/// assert_eq!(needed(Operation::new("resources/read").named("file:///notes")), "files:read");
/// assert_eq!(needed(Operation::new("tools/list")), "");
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct AccessPolicy(Arc<Rules>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rules {
    methods: BTreeMap<String, Scopes>,
    tools: BTreeMap<String, Scopes>,
    prompts: BTreeMap<String, Scopes>,
    resources: BTreeMap<String, Scopes>,
    patterns: Vec<(UriPattern, Scopes)>,
    otherwise: Scopes,
    /// What a URI needs that may mean any resource.
    any_resource: Scopes,
}

impl AccessPolicy {
    /// No rules: the baseline is enough for everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// What every use of a JSON-RPC method needs, such as `tools/list`.
    pub fn method(mut self, method: impl Into<String>, scopes: Scopes) -> Self {
        add(&mut self.rules().methods, method.into(), &scopes);
        self
    }

    /// What a call of this tool needs.
    pub fn tool(mut self, name: impl Into<String>, scopes: Scopes) -> Self {
        add(&mut self.rules().tools, name.into(), &scopes);
        self
    }

    /// What it needs to get this prompt.
    pub fn prompt(mut self, name: impl Into<String>, scopes: Scopes) -> Self {
        add(&mut self.rules().prompts, name.into(), &scopes);
        self
    }

    /// What it needs to read a resource, or to be told of its changes (`resources/subscribe`).
    ///
    /// `uri_pattern` is a URI, or a pattern of URIs: `*` stands for any text, `{id}` for text without `/`, `?` and `#`, and
    /// any other expression of a URI template (RFC 6570), such as `{+path}` and `{?query}`, for any text. So the
    /// `uriTemplate` of a server's resources can be given as it is. A rule for the whole URI wins over every pattern, and
    /// of several patterns those win that have the most bytes of text.
    ///
    /// A URI that is not in the normal form of RFC 3986 section 6.2.2 (`file:///a/../b`, `file:///%62`, `FILE:///b`) may
    /// mean any resource to the server, and so may one of more than 8 KiB. Unless there is a rule for it as it is, it
    /// needs all scopes that any resource needs.
    pub fn resource(mut self, uri_pattern: impl Into<String>, scopes: Scopes) -> Self {
        let uri = uri_pattern.into();
        let rules = self.rules();
        rules.any_resource = rules.any_resource.union(&scopes);
        match UriPattern::parse(&uri) {
            Some(pattern) => rules.patterns.push((pattern, scopes)),
            None => add(&mut rules.resources, uri, &scopes),
        }
        self
    }

    /// What tools, prompts and resources need that no rule is about; nothing unless it is said.
    pub fn default_scopes(mut self, scopes: Scopes) -> Self {
        let rules = self.rules();
        rules.otherwise = rules.otherwise.union(&scopes);
        rules.any_resource = rules.any_resource.union(&scopes);
        self
    }

    /// What an operation needs, besides the baseline.
    #[must_use]
    pub fn required_by(&self, operation: &Operation<'_>) -> Scopes {
        let rules = &*self.0;
        let by_method = rules.methods.get(operation.method()).cloned().unwrap_or_default();
        by_method.union(&rules.by_name(operation))
    }

    /// Every scope that a rule names.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        let rules = &*self.0;
        let maps = [&rules.methods, &rules.tools, &rules.prompts, &rules.resources];
        let patterns = rules.patterns.iter().map(|(_, scopes)| scopes);
        let all =
            maps.into_iter().flat_map(BTreeMap::values).chain(patterns).chain([&rules.otherwise]);
        all.fold(Scopes::none(), |scopes, more| scopes.union(more))
    }

    /// Whether nothing needs more than the baseline.
    pub(crate) fn is_empty(&self) -> bool {
        let rules = &*self.0;
        let maps = [&rules.methods, &rules.tools, &rules.prompts, &rules.resources];
        maps.into_iter().all(BTreeMap::is_empty)
            && rules.patterns.is_empty()
            && rules.otherwise.is_empty()
    }

    fn rules(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.0)
    }
}

impl Rules {
    fn by_name(&self, operation: &Operation<'_>) -> Cow<'_, Scopes> {
        let name = operation.name();
        let rule = match operation.target() {
            OperationTarget::Tool => name.and_then(|name| self.tools.get(name)).map(Cow::Borrowed),
            OperationTarget::Prompt => {
                name.and_then(|name| self.prompts.get(name)).map(Cow::Borrowed)
            }
            OperationTarget::Resource => name.and_then(|uri| self.resource(uri)),
            OperationTarget::Task | OperationTarget::None => Some(Cow::Owned(Scopes::none())),
        };
        rule.unwrap_or(Cow::Borrowed(&self.otherwise))
    }

    fn resource(&self, uri: &str) -> Option<Cow<'_, Scopes>> {
        if let Some(exact) = self.resources.get(uri) {
            return Some(Cow::Borrowed(exact));
        }
        if uri.len() > MAX_URI || !is_normal(uri) {
            return Some(Cow::Borrowed(&self.any_resource));
        }
        self.closest_patterns(uri).map(Cow::Owned)
    }

    /// What the closest of the patterns that match needs; of equally close ones each counts.
    fn closest_patterns(&self, uri: &str) -> Option<Scopes> {
        let matching: Vec<_> =
            self.patterns.iter().filter(|(pattern, _)| pattern.matches(uri)).collect();
        let closest = matching.iter().map(|(pattern, _)| pattern.literal_bytes()).max()?;
        let rules = matching.iter().filter(|(pattern, _)| pattern.literal_bytes() == closest);
        Some(rules.fold(Scopes::none(), |scopes, (_, more)| scopes.union(more)))
    }
}

fn add(rules: &mut BTreeMap<String, Scopes>, key: String, scopes: &Scopes) {
    let rule = rules.entry(key).or_default();
    *rule = rule.union(scopes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(list: &str) -> Scopes {
        Scopes::parse(list).unwrap()
    }

    #[test]
    fn the_method_and_the_closest_rule_count() {
        let rules = AccessPolicy::new()
            .method("tools/list", scopes("list"))
            .method("prompts/get", scopes("prompts"))
            .tool("write", scopes("w1"))
            .tool("write", scopes("w2 w1"))
            .tool("open", Scopes::none())
            .prompt("write", scopes("p"))
            .resource("file:///a/*", scopes("a"))
            .resource("file:///a/b/*", scopes("b"))
            .resource("file:///a/b/c", scopes("c"))
            .resource("users://{id}/notes", scopes("n1"))
            .resource("users://{name}/notes", scopes("n2"))
            .method("resources/subscribe", scopes("s"))
            .default_scopes(scopes("o"));
        let rows = [
            ("tools/list", None, "list"),
            ("tools/list", Some("write"), "list"),
            ("ping", None, ""),
            ("tasks/get", Some("write"), ""),
            ("tools/call", Some("write"), "w1 w2"),
            ("tools/call", Some("Write"), "o"),
            ("tools/call", Some("open"), ""),
            ("tools/call", None, "o"),
            ("Tools/call", Some("write"), ""),
            ("prompts/get", Some("write"), "prompts p"),
            ("prompts/get", Some("open"), "prompts o"),
            ("resources/read", Some("file:///a/x"), "a"),
            ("resources/read", Some("file:///a/"), "a"),
            ("resources/read", Some("file:///a"), "o"),
            ("resources/read", Some("file:///a/b/x"), "b"),
            ("resources/subscribe", Some("file:///a/b/c"), "s c"),
            ("resources/read", Some("users://1/notes"), "n1 n2"),
            ("resources/read", Some("users://1/2/notes"), "o"),
            ("resources/read", Some("file:///a/b/c/d"), "b"),
            ("resources/read", Some("file:///x"), "o"),
            ("resources/read", Some("file:///x/../a/b/c"), "a b c n1 n2 o"),
        ];
        for (method, name, expected) in rows {
            let operation = Operation::new(method);
            let operation = name.into_iter().fold(operation, Operation::named);
            assert_eq!(rules.required_by(&operation).to_string(), expected, "{operation:?}");
        }
        assert_eq!(rules.scopes().to_string(), "prompts s list w1 w2 p c a b n1 n2 o");
        assert!(AccessPolicy::new().scopes().is_empty());
    }

    #[test]
    fn a_rule_for_all_resources_is_no_rule_for_tools() {
        let rules = AccessPolicy::new().resource("*", scopes("r"));
        let rows = [
            ("resources/read", "u:v", "r"),
            ("resources/read", "", "r"),
            ("tools/call", "u:v", ""),
        ];
        for (method, name, expected) in rows {
            let operation = Operation::new(method).named(name);
            assert_eq!(rules.required_by(&operation).to_string(), expected, "{operation:?}");
        }
    }

    #[test]
    fn a_uri_too_long_to_compare_needs_what_any_needs() {
        let rules = AccessPolicy::new().resource("x:*", scopes("x")).resource("y:*", scopes("y"));
        for (length, expected) in [(MAX_URI, "x"), (MAX_URI + 1, "x y"), (1 << 20, "x y")] {
            let operation =
                Operation::new("resources/read").named(format!("x:{}", "a".repeat(length - 2)));
            assert_eq!(rules.required_by(&operation).to_string(), expected, "{length}");
        }
    }

    #[test]
    fn rules_that_need_nothing_are_rules_too() {
        assert!(AccessPolicy::new().is_empty());
        assert!(AccessPolicy::new().default_scopes(Scopes::none()).is_empty());
        assert!(!AccessPolicy::new().resource("a:*", scopes("a")).is_empty());
        let open = AccessPolicy::new().tool("open", Scopes::none()).default_scopes(scopes("o"));
        assert_eq!(open.required_by(&Operation::new("tools/call").named("open")), Scopes::none());
        assert!(!open.is_empty());
    }
}
