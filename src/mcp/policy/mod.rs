//! The access policy: what an operation needs.

mod budget;
mod builder;
mod canonical;
mod needed;
mod resource_rules;
mod rules;
mod uri_pattern;

use std::sync::Arc;

use crate::mcp::{MemberRequirement, Operation, OperationTarget, Requirement};
use crate::oauth::Scopes;
use budget::MatchBudget;
pub use builder::AccessPolicyBuilder;
use needed::Needed;
use rules::Rules;

/// What the operations of an MCP server need, in addition to the baseline that every request needs.
///
/// A policy begins with what everything without a rule needs:
///
/// - [`deny_by_default`](Self::deny_by_default): nobody may do it. What is forgotten is closed.
/// - [`scopes_by_default`](Self::scopes_by_default): these scopes.
/// - [`baseline_by_default`](Self::baseline_by_default): nothing more. What is forgotten is open.
///
/// An operation needs what its [method](AccessPolicyBuilder::method) needs, and what its
/// [tool](AccessPolicyBuilder::tool), [prompt](AccessPolicyBuilder::prompt) or
/// [resource](AccessPolicyBuilder::resource) needs. Two rules for the same name add up. Cloning is
/// cheap.
///
/// # What the rules and the default apply to
///
/// | operation | judged by |
/// | --- | --- |
/// | `tools/call` | the tool |
/// | `prompts/get` | the prompt |
/// | `resources/read`, `resources/subscribe`, `resources/unsubscribe`, `resources/directory/read`, any later `resources/…`, and `skills/get` | the resource with this URI |
/// | `completion/complete` | the prompt or resource in its `ref`. The template of a URI is that of the rule with exactly this pattern, and may otherwise mean any resource |
/// | `subscriptions/listen` | the method, and every resource that it subscribes to |
/// | `initialize`, `ping`, `server/discover`, `tools/list`, `prompts/list`, `resources/list`, `resources/templates/list`, `skills/list`, `tasks/list`, `notifications/…`, a client's responses | the method. Without a rule for the method, the baseline is enough |
/// | every other method, known or not, such as `logging/setLevel` and `tasks/get` | the method |
///
/// An operation that does not name its target, such as a `tools/call` without a name, needs what all
/// targets of its kind need together, the default included.
///
/// Names and URIs are compared byte by byte. A server that is more lenient, and treats
/// `DELETE_FILE` as `delete_file`, needs a policy that denies by default.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::access_policy::{Operation, Requirement};
/// use clerk_mcp_tools::{AccessPolicy, Scopes};
///
/// let policy = AccessPolicy::deny_by_default()
///     .tool("read_file", Scopes::none())
///     .tool("delete_file", Scopes::parse("files:write")?)
///     .resource("file:///*", Scopes::parse("files:read")?)
///     .build()?;
/// let needed = |operation: Operation<'_>| policy.required_by(&operation);
/// let scopes = |list| Scopes::parse(list).map(Requirement::from);
/// assert_eq!(needed(Operation::new("tools/list")), scopes("")?);
/// assert_eq!(needed(Operation::new("tools/call").named("read_file")), scopes("")?);
/// assert_eq!(needed(Operation::new("tools/call").named("delete_file")), scopes("files:write")?);
/// assert_eq!(needed(Operation::new("resources/read").named("file:///a")), scopes("files:read")?);
/// assert_eq!(needed(Operation::new("tools/call").named("other")), Requirement::Denied);
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct AccessPolicy(Arc<Rules>);

impl AccessPolicy {
    /// Returns a builder of a policy that denies whatever has no rule.
    pub fn deny_by_default() -> AccessPolicyBuilder {
        AccessPolicyBuilder::new(Requirement::Denied)
    }

    /// Returns a builder of a policy that requires these scopes of whatever has no rule.
    pub fn scopes_by_default(scopes: Scopes) -> AccessPolicyBuilder {
        AccessPolicyBuilder::new(scopes.into())
    }

    /// Returns a builder of a policy that requires only the baseline of whatever has no rule.
    ///
    /// **Weaker**: a tool that is added later, and a method of a later version of MCP, are open to
    /// everybody who has the baseline.
    pub fn baseline_by_default() -> AccessPolicyBuilder {
        AccessPolicyBuilder::new(Requirement::baseline())
    }

    /// Returns a policy without rules: every operation needs only the baseline.
    pub(crate) fn empty() -> Self {
        Self(Arc::new(Rules::new(Requirement::baseline())))
    }

    /// Returns what an operation needs in addition to the baseline.
    #[must_use]
    pub fn required_by(&self, operation: &Operation<'_>) -> Requirement {
        self.required_by_all(std::slice::from_ref(operation))
    }

    /// Returns what the operations of one request need together. The work is bounded for all of
    /// them: once it is done, a further URI may mean any resource.
    pub(crate) fn required_by_all(&self, operations: &[Operation<'_>]) -> Requirement {
        self.required_within(&mut MatchBudget::new(), operations)
    }

    /// Returns what each of the operations needs by itself. `None` for one that is not known, and
    /// once the work that is done for all of them is spent.
    pub(crate) fn required_by_each<'a>(
        &self,
        operations: impl Iterator<Item = Option<Operation<'a>>>,
    ) -> Vec<Option<Requirement>> {
        let mut budget = MatchBudget::new();
        let mut needed = |operation: Operation<'a>| {
            let needed = self.required_within(&mut budget, &[operation]);
            (!budget.is_spent()).then_some(needed)
        };
        operations.map(|operation| operation.and_then(&mut needed)).collect()
    }

    /// Returns whether a caller may read some resource whose URI has this template, as far as the
    /// rules tell. For lists only: it may be wrong about a template that no rule has.
    pub(crate) fn may_use_template(
        &self,
        template: &str,
        is_granted: impl Fn(&Requirement) -> bool,
    ) -> bool {
        let method = self.0.methods.get("resources/read");
        method.is_none_or(&is_granted) && self.0.resources.may_use_template(template, is_granted)
    }

    fn required_within(
        &self,
        budget: &mut MatchBudget,
        operations: &[Operation<'_>],
    ) -> Requirement {
        let mut needed = Needed::default();
        for operation in operations {
            self.0.add_needed_by(operation, &mut needed, budget);
        }
        needed.together()
    }

    /// Returns the scopes that a challenge names if only the headers of a request are known. They
    /// may leave out what the operation refers to, and then only the method counts.
    pub(crate) fn scopes_by_headers(&self, operation: &Operation<'_>) -> Scopes {
        let needed = match (operation.target(), operation.name()) {
            (OperationTarget::None | OperationTarget::Task, _) => self.required_by(operation),
            (target, Some(_)) if target.is_in_headers() => self.required_by(operation),
            _ => self.0.methods.get(operation.method()).cloned().unwrap_or(Requirement::baseline()),
        };
        needed.scopes().cloned().unwrap_or_default()
    }

    /// Returns every scope that a rule or the default names, and `user:org:read` if one is about
    /// the members of an organization.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        let all = self.0.requirements().filter_map(Requirement::scopes);
        all.fold(Scopes::none(), |scopes, more| scopes.union(more))
    }

    /// Returns what the rules and the default require of members.
    pub(crate) fn member_requirements(&self) -> impl Iterator<Item = &MemberRequirement> {
        self.0.requirements().filter_map(Requirement::member_requirement)
    }

    /// Returns whether the policy has no rules, so that no operation needs more than the baseline.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(list: &str) -> Scopes {
        Scopes::parse(list).unwrap()
    }

    /// The scopes as a list, or `denied`.
    fn needed(policy: &AccessPolicy, operation: &Operation<'_>) -> String {
        match policy.required_by(operation) {
            Requirement::Scopes(scopes) => scopes.to_string(),
            Requirement::Member(member) => format!("member {}", member.scopes()),
            Requirement::Denied => "denied".to_owned(),
        }
    }

    #[test]
    fn the_scopes_of_the_method_and_of_the_closest_rule_add_up() {
        let policy = AccessPolicy::scopes_by_default(scopes("o"))
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
            .build()
            .unwrap();
        let rows = [
            ("tools/list", None, "list"),
            ("tools/list", Some("write"), "list"),
            ("ping", None, ""),
            ("tasks/get", Some("write"), "o"),
            ("logging/setLevel", None, "o"),
            ("acme/do", Some("write"), "o"),
            ("notifications/acme", None, ""),
            ("tools/call", Some("write"), "w1 w2"),
            ("tools/call", Some("Write"), "o"),
            ("tools/call", Some("open"), ""),
            ("tools/call", None, "w1 w2 o"),
            ("Tools/call", Some("write"), "o"),
            ("prompts/get", Some("write"), "prompts p"),
            ("prompts/get", Some("open"), "prompts o"),
            ("prompts/get", None, "prompts p o"),
            ("resources/read", None, "a b c n1 n2 o"),
            ("resources/subscribe", None, "s a b c n1 n2 o"),
            ("completion/complete", None, "w1 w2 o p a b c n1 n2"),
            ("completion/complete", Some("x"), "w1 w2 o p a b c n1 n2"),
            ("subscriptions/listen", None, "o"),
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
            assert_eq!(needed(&policy, &operation), expected, "{operation:?}");
        }
        assert_eq!(policy.scopes().to_string(), "prompts s list w1 w2 p c a b n1 n2 o");
        assert!(AccessPolicy::empty().scopes().is_empty());
    }

    #[test]
    fn every_reading_of_a_uri_counts() {
        let policy = AccessPolicy::baseline_by_default()
            .resource("file:///vault/secret", scopes("secret"))
            .resource("file:///vault/*.md", scopes("md"))
            .resource("users://{id}", scopes("user"))
            .resource("notes://{id}/body{?rev}", scopes("note"))
            .resource("pairs://{a,b}", scopes("pair"))
            .resource("gh://owner/*", scopes("gh"))
            .resource("gh://owner", scopes("owner"))
            .resource("gh://owner/repo/", scopes("repo"))
            .resource("dirs://*/", scopes("dir"))
            .resource("*", scopes("any"))
            .build()
            .unwrap();
        let every = "secret md user note pair gh owner repo dir any";
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
            ("gh://owner", "owner"),
            ("gh://OWNER", "owner any gh"),
            ("gh://Owner?x", "owner any gh"),
            ("gh://owner/repo", "repo gh"),
            ("gh://Owner/repo", "repo any gh"),
            ("gh://owner/Repo", "gh"),
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
            assert_eq!(needed(&policy, &operation), expected, "{uri}");
        }
    }

    #[test]
    fn a_rule_for_all_resources_does_not_apply_to_tools() {
        let policy =
            AccessPolicy::baseline_by_default().resource("*", scopes("r")).build().unwrap();
        let rows = [
            ("resources/read", "u:v", "r"),
            ("resources/read", "", "r"),
            ("tools/call", "u:v", ""),
        ];
        for (method, name, expected) in rows {
            let operation = Operation::new(method).named(name);
            assert_eq!(needed(&policy, &operation), expected, "{operation:?}");
        }
    }

    #[test]
    fn a_uri_over_the_limit_needs_the_scopes_of_every_resource() {
        let policy = AccessPolicy::baseline_by_default()
            .resource("x:*", scopes("x"))
            .resource("y:*", scopes("y"))
            .build()
            .unwrap();
        for (length, expected) in [(2048, "x"), (2049, "x y"), (1 << 20, "x y")] {
            let operation =
                Operation::new("resources/read").named(format!("x:{}", "a".repeat(length - 2)));
            assert_eq!(needed(&policy, &operation), expected, "{length}");
        }
    }

    #[test]
    fn a_rule_without_scopes_counts_as_a_rule() {
        let build = |builder: AccessPolicyBuilder| builder.build().unwrap();
        let open = || AccessPolicy::baseline_by_default();
        assert_eq!(build(open()), AccessPolicy::empty());
        assert!(build(AccessPolicy::scopes_by_default(Scopes::none())).is_empty());
        let not_empty = [
            AccessPolicy::deny_by_default(),
            AccessPolicy::scopes_by_default(scopes("a")),
            open().tool("a", Scopes::none()),
            open().prompt("a", Scopes::none()),
            open().method("a", Scopes::none()),
            open().resource("a:b", Scopes::none()),
            open().resource("a:*", Scopes::none()),
        ];
        for policy in not_empty {
            assert!(!build(policy.clone()).is_empty(), "{policy:?}");
        }
        let policy = build(AccessPolicy::scopes_by_default(scopes("o")).tool("a", Scopes::none()));
        assert_eq!(needed(&policy, &Operation::new("tools/call").named("a")), "");
    }

    #[test]
    fn denied_wins_wherever_it_applies() {
        let policy = AccessPolicy::scopes_by_default(scopes("o"))
            .tool("a", scopes("a"))
            .tool("b", Requirement::Denied)
            .tool("b", scopes("b"))
            .resource("x:*", scopes("x"))
            .resource("x:/secret/*", Requirement::Denied)
            .method("acme/do", Requirement::Denied)
            .build()
            .unwrap();
        let rows = [
            ("tools/call", Some("a"), "a"),
            ("tools/call", Some("b"), "denied"),
            ("tools/call", Some("c"), "o"),
            ("tools/call", None, "denied"),
            ("prompts/get", None, "o"),
            ("resources/read", Some("x:/a"), "x"),
            ("resources/read", Some("x:/secret/a"), "denied"),
            ("resources/read", Some("x:/secret"), "denied"),
            ("resources/read", Some("x:/a/../secret/a"), "denied"),
            ("resources/read", None, "denied"),
            ("acme/do", None, "denied"),
        ];
        for (method, name, expected) in rows {
            let operation = Operation::new(method);
            let operation = name.into_iter().fold(operation, Operation::named);
            assert_eq!(needed(&policy, &operation), expected, "{operation:?}");
        }
        assert_eq!(policy.scopes().to_string(), "a x o");
    }

    #[test]
    fn without_a_rule_everything_but_the_listed_methods_is_denied() {
        let policy = AccessPolicy::deny_by_default().build().unwrap();
        let open = ["initialize", "ping", "server/discover", "tools/list", "prompts/list"];
        let open = open.into_iter().chain(["resources/list", "resources/templates/list"]);
        let open = open.chain(["skills/list", "tasks/list", "notifications/x", "notifications/"]);
        for method in open {
            assert_eq!(needed(&policy, &Operation::new(method)), "", "{method}");
        }
        let closed = ["tools/call", "prompts/get", "resources/read", "resources/directory/read"];
        let closed = closed.into_iter().chain(["resources/x", "skills/get", "skills/x"]);
        let closed = closed.chain(["tasks/get", "tasks/x", "logging/setLevel", "acme/do", ""]);
        let closed = closed.chain(["completion/complete", "subscriptions/listen", "Ping"]);
        for method in closed.chain(["notifications", "tools/list/x", "tools"]) {
            assert_eq!(needed(&policy, &Operation::new(method)), "denied", "{method}");
            let named = Operation::new(method).named("a");
            assert_eq!(needed(&policy, &named), "denied", "{method}");
        }
    }

    #[test]
    fn a_rule_for_every_uri_leaves_nothing_to_the_default() {
        let of = |pattern: &str| {
            let policy = AccessPolicy::deny_by_default().resource(pattern, scopes("r"));
            policy.resource("file:///a", scopes("a")).build().unwrap()
        };
        let read = Operation::new("resources/read");
        for (pattern, expected) in [("*", "r a"), ("{+uri}", "r a"), ("x:*", "denied")] {
            let policy = of(pattern);
            assert_eq!(needed(&policy, &read), expected, "{pattern}");
            assert_eq!(needed(&policy, &read.clone().named("a b")), expected, "{pattern}");
        }
    }

    #[test]
    fn completions_and_subscriptions_are_judged_by_what_they_name() {
        let policy = AccessPolicy::scopes_by_default(scopes("o"))
            .method("completion/complete", scopes("c"))
            .prompt("p", scopes("p"))
            .resource("file:///a/*", scopes("a"))
            .resource("users://{id}/{+path}", scopes("u"))
            .resource("docs:///*", scopes("d"))
            .build()
            .unwrap();
        let complete = || Operation::new("completion/complete");
        let listen = || Operation::new("subscriptions/listen");
        let directory = |uri: &'static str| Operation::new("resources/directory/read").named(uri);
        let rows = [
            (complete().prompt("p"), "c p"),
            (complete().prompt("q"), "c o"),
            (complete().resource("file:///a/b"), "c a"),
            (complete().resource("users://{id}/{+path}"), "c u"),
            (complete().resource("file:///a/*"), "c a"),
            (complete().resource("users://{id}/{path}"), "c a u d o"),
            (complete().resource("file:///a/{b}"), "c a u d o"),
            (complete().resource("file:///x"), "c o"),
            (Operation::new("resources/read").named("users://{id}/{+path}"), "a u d o"),
            (listen(), "o"),
            (listen().resource("file:///a/b"), "o a"),
            (directory("file:///a/b"), "a"),
            (directory("file:///a/"), "a"),
            (directory("file:///a"), "a"),
            (directory("file:///a?x"), "a"),
            (Operation::new("resources/read").named("file:///a"), "o a"),
            (directory("file:///"), "o"),
            (directory("docs:///"), "d"),
            (directory("docs://"), "d"),
            (directory("file://"), "a u d o"),
        ];
        for (operation, expected) in rows {
            assert_eq!(needed(&policy, &operation), expected, "{operation:?}");
        }
    }

    #[test]
    fn once_the_budget_is_spent_a_uri_may_mean_any_resource() {
        let policy = AccessPolicy::scopes_by_default(scopes("o"))
            .resource("x:*a*", scopes("x"))
            .resource("y:*", scopes("y"))
            .tool("t", scopes("t"))
            .build()
            .unwrap();
        let read = |uri: &'static str| Operation::new("resources/read").named(uri);
        let call = Operation::new("tools/call").named("t");
        let operations = [read("x:1a1"), read("x:2a2"), call];
        let rows = [(1_000_000, "x t"), (600, "x y o t"), (0, "x y o t")];
        for (steps, expected) in rows {
            let mut budget = MatchBudget::of(steps);
            let needed = policy.required_within(&mut budget, &operations);
            assert_eq!(needed, Requirement::Scopes(scopes(expected)), "{steps}");
        }
    }

    #[test]
    fn headers_alone_name_only_what_is_certain() {
        let policy = AccessPolicy::scopes_by_default(scopes("o"))
            .method("tools/call", scopes("m"))
            .tool("t", scopes("t"))
            .tool("x", Requirement::Denied)
            .build()
            .unwrap();
        let rows = [
            (Operation::new("tools/call"), "m"),
            (Operation::new("tools/call").named("t"), "m t"),
            (Operation::new("tools/call").named("x"), ""),
            (Operation::new("resources/read"), ""),
            (Operation::new("completion/complete"), ""),
            (Operation::new("subscriptions/listen"), ""),
            (Operation::new("subscriptions/listen").named("t"), ""),
            (Operation::new("tools/list"), ""),
            (Operation::new("tasks/get"), "o"),
            (Operation::new("acme/do"), "o"),
        ];
        for (operation, expected) in rows {
            assert_eq!(policy.scopes_by_headers(&operation), scopes(expected), "{operation:?}");
        }
    }
}
