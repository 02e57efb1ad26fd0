//! The access policy: which scopes an operation needs.

mod builder;
mod canonical;
mod uri_pattern;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::mcp::{Operation, OperationTarget};
use crate::oauth::Scopes;
pub use builder::AccessPolicyBuilder;
use uri_pattern::{TemplateRule, UriPattern};

/// In bytes. A longer URI is not compared with patterns: it needs every scope that any resource
/// needs.
const MAX_URI: usize = 2 * 1024;

/// The scopes that the operations of an MCP server need, in addition to the baseline that every
/// request needs.
///
/// An operation needs the scopes of its [method](AccessPolicyBuilder::method), and those of its
/// [tool](AccessPolicyBuilder::tool), [prompt](AccessPolicyBuilder::prompt) or
/// [resource](AccessPolicyBuilder::resource). A tool, prompt or resource without a rule of its own
/// needs the [default scopes](AccessPolicyBuilder::default_scopes). Any other operation without a
/// rule needs only the baseline.
///
/// Names and URIs are compared byte by byte. A server that is more lenient, and treats
/// `DELETE_FILE` as `delete_file`, needs [default scopes](AccessPolicyBuilder::default_scopes).
/// Methods that refer to tools, prompts or resources in other ways, such as `completion/complete`,
/// `subscriptions/listen` and `tasks/get`, need a rule for the method.
///
/// The scopes of two rules for the same name add up. Cloning is cheap.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::access_policy::Operation;
/// use clerk_mcp_tools::{AccessPolicy, Scopes};
///
/// let policy = AccessPolicy::builder()
///     .tool("delete_file", Scopes::parse("files:write")?)
///     .resource("file:///*", Scopes::parse("files:read")?)
///     .method("completion/complete", Scopes::parse("files:read")?)
///     .build()?;
/// let needed = |operation: Operation<'_>| policy.required_by(&operation).to_string();
/// assert_eq!(needed(Operation::new("tools/call").named("delete_file")), "files:write");
/// assert_eq!(needed(Operation::new("resources/read").named("file:///notes")), "files:read");
/// assert_eq!(needed(Operation::new("tools/list")), "");
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct AccessPolicy(Arc<Rules>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rules {
    methods: BTreeMap<String, Scopes>,
    tools: BTreeMap<String, Scopes>,
    prompts: BTreeMap<String, Scopes>,
    resources: BTreeMap<String, Scopes>,
    /// The same rules by the [stem](canonical::stem) of their URIs.
    resource_stems: BTreeMap<String, Scopes>,
    patterns: Vec<(UriPattern, Scopes)>,
    default_scopes: Scopes,
    /// The union of all scopes that resources need, for a URI that may mean any of them.
    any_resource: Scopes,
}

impl AccessPolicy {
    /// Returns a builder without rules.
    pub fn builder() -> AccessPolicyBuilder {
        AccessPolicyBuilder::new()
    }

    /// Returns a policy without rules: every operation needs only the baseline.
    pub(crate) fn empty() -> Self {
        Self(Arc::default())
    }

    /// Returns the scopes that an operation needs in addition to the baseline.
    #[must_use]
    pub fn required_by(&self, operation: &Operation<'_>) -> Scopes {
        let rules = &*self.0;
        let by_method = rules.methods.get(operation.method()).cloned().unwrap_or_default();
        by_method.union(&rules.by_name(operation))
    }

    /// Returns every scope that a rule names.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        let rules = &*self.0;
        let patterns = rules.patterns.iter().map(|(_, scopes)| scopes);
        let all = rules.by_exact_name().flat_map(BTreeMap::values);
        let all = all.chain(patterns).chain([&rules.default_scopes]);
        all.fold(Scopes::none(), |scopes, more| scopes.union(more))
    }

    /// Returns whether the policy has no rules, so that no operation needs more than the baseline.
    pub(crate) fn is_empty(&self) -> bool {
        let rules = &*self.0;
        rules.by_exact_name().all(BTreeMap::is_empty)
            && rules.patterns.is_empty()
            && rules.default_scopes.is_empty()
    }
}

impl Rules {
    fn by_exact_name(&self) -> impl Iterator<Item = &BTreeMap<String, Scopes>> {
        [&self.methods, &self.tools, &self.prompts, &self.resources].into_iter()
    }

    fn by_name(&self, operation: &Operation<'_>) -> Cow<'_, Scopes> {
        let name = operation.name();
        let rule = match operation.target() {
            OperationTarget::Tool => name.and_then(|name| self.tools.get(name)).map(Cow::Borrowed),
            OperationTarget::Prompt => {
                name.and_then(|name| self.prompts.get(name)).map(Cow::Borrowed)
            }
            OperationTarget::Resource => name.map(|uri| self.resource(uri)),
            OperationTarget::Task | OperationTarget::None => Some(Cow::Owned(Scopes::none())),
        };
        rule.unwrap_or(Cow::Borrowed(&self.default_scopes))
    }

    /// Returns the union of what the URI needs in every way that a server may read it.
    fn resource(&self, uri: &str) -> Cow<'_, Scopes> {
        if uri.len() > MAX_URI || canonical::check(uri).is_err() {
            return Cow::Borrowed(&self.any_resource);
        }
        if let Some(exact) = self.resources.get(uri) {
            return Cow::Borrowed(exact);
        }
        let by_stem = self.resource_stems.get(canonical::stem(uri)).cloned();
        let variants = canonical::variants(uri);
        let readings =
            [TemplateRule::Rfc6570, TemplateRule::Lenient].into_iter().flat_map(|rule| {
                let as_written = self.closest_patterns(|pattern| pattern.matches(uri, rule));
                let others = variants.iter().filter(|variant| *variant != uri);
                let by_others = others.filter_map(move |variant| {
                    // A pattern that matches the URI itself may have given way to a closer one.
                    self.closest_patterns(|p| p.matches(variant, rule) && !p.matches(uri, rule))
                });
                [as_written.unwrap_or_else(|| self.default_scopes.clone())]
                    .into_iter()
                    .chain(by_others)
            });
        let needed = by_stem.into_iter().chain(readings);
        Cow::Owned(needed.fold(Scopes::none(), |all, more| all.union(&more)))
    }

    /// Returns the scopes of the matching pattern with the most literal bytes, or the union where
    /// several have the same number.
    fn closest_patterns(&self, matches: impl Fn(&UriPattern) -> bool) -> Option<Scopes> {
        let matching: Vec<_> =
            self.patterns.iter().filter(|(pattern, _)| matches(pattern)).collect();
        let closest = matching.iter().map(|(pattern, _)| pattern.literal_bytes()).max()?;
        let rules = matching.iter().filter(|(pattern, _)| pattern.literal_bytes() == closest);
        Some(rules.fold(Scopes::none(), |scopes, (_, more)| scopes.union(more)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(list: &str) -> Scopes {
        Scopes::parse(list).unwrap()
    }

    #[test]
    fn the_scopes_of_the_method_and_of_the_closest_rule_add_up() {
        let policy = AccessPolicy::builder()
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
            .default_scopes(scopes("o"))
            .build()
            .unwrap();
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
            ("resources/read", Some("file:///a"), "o a"),
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
            assert_eq!(policy.required_by(&operation).to_string(), expected, "{operation:?}");
        }
        assert_eq!(policy.scopes().to_string(), "prompts s list w1 w2 p c a b n1 n2 o");
        assert!(AccessPolicy::empty().scopes().is_empty());
    }

    #[test]
    fn every_reading_of_a_uri_counts() {
        let policy = AccessPolicy::builder()
            .resource("file:///vault/secret", scopes("secret"))
            .resource("file:///vault/*.md", scopes("md"))
            .resource("users://{id}", scopes("user"))
            .resource("notes://{id}/body{?rev}", scopes("note"))
            .resource("pairs://{a,b}", scopes("pair"))
            .resource("gh://owner/*", scopes("gh"))
            .resource("dirs://*/", scopes("dir"))
            .resource("*", scopes("any"))
            .build()
            .unwrap();
        let every = "secret md user note pair gh dir any";
        let rows = [
            ("file:///vault/secret", "secret"),
            ("file:///vault/secret?x", "secret any"),
            ("file:///vault/secret/", "secret any"),
            ("file:///vault/a.md", "md"),
            ("file:///vault/a.md?x", "any md"),
            ("file:///vault/a.md/", "any md"),
            ("users://42", "user"),
            ("users://42/", "any user"),
            ("users://42?x", "any user"),
            ("users://42?", "any user"),
            ("users://4/2", "any"),
            ("notes://7/body", "note"),
            ("notes://7/body?rev=1", "note"),
            ("pairs://1,2", "pair"),
            ("pairs://1/2", "any pair"),
            ("gh://Owner/x", "any gh"),
            ("dirs://a/", "dir"),
            ("dirs://a", "any dir"),
            ("other:x", "any"),
            ("users://42#x", every),
            ("file://localhost/vault/secret", every),
            ("FILE:///vault/secret", every),
            ("file:///vault/%73ecret", every),
            ("https://h.example:443/", every),
        ];
        for (uri, expected) in rows {
            let operation = Operation::new("resources/read").named(uri);
            assert_eq!(policy.required_by(&operation).to_string(), expected, "{uri}");
        }
    }

    #[test]
    fn a_rule_for_all_resources_does_not_apply_to_tools() {
        let policy = AccessPolicy::builder().resource("*", scopes("r")).build().unwrap();
        let rows = [
            ("resources/read", "u:v", "r"),
            ("resources/read", "", "r"),
            ("tools/call", "u:v", ""),
        ];
        for (method, name, expected) in rows {
            let operation = Operation::new(method).named(name);
            assert_eq!(policy.required_by(&operation).to_string(), expected, "{operation:?}");
        }
    }

    #[test]
    fn a_uri_over_the_limit_needs_the_scopes_of_every_resource() {
        let policy = AccessPolicy::builder()
            .resource("x:*", scopes("x"))
            .resource("y:*", scopes("y"))
            .build()
            .unwrap();
        for (length, expected) in [(MAX_URI, "x"), (MAX_URI + 1, "x y"), (1 << 20, "x y")] {
            let operation =
                Operation::new("resources/read").named(format!("x:{}", "a".repeat(length - 2)));
            assert_eq!(policy.required_by(&operation).to_string(), expected, "{length}");
        }
    }

    #[test]
    fn a_rule_without_scopes_counts_as_a_rule() {
        let build = |builder: AccessPolicyBuilder| builder.build().unwrap();
        assert_eq!(build(AccessPolicy::builder()), AccessPolicy::empty());
        assert!(AccessPolicy::empty().is_empty());
        assert!(build(AccessPolicy::builder().default_scopes(Scopes::none())).is_empty());
        assert!(!build(AccessPolicy::builder().resource("a:*", scopes("a"))).is_empty());
        let open = AccessPolicy::builder().tool("open", Scopes::none());
        let open = build(open.default_scopes(scopes("o")));
        assert_eq!(open.required_by(&Operation::new("tools/call").named("open")), Scopes::none());
        assert!(!open.is_empty());
    }
}
