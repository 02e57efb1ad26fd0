//! Builds an access policy, and rejects rules that could never apply.

use std::sync::Arc;

use super::rules::{Rules, add};
use super::uri_pattern::UriPattern;
use super::{AccessPolicy, canonical};
use crate::error::ConfigError;
use crate::mcp::{MemberRequirement, REQUEST_METHODS, Requirement};

/// The notifications that clients send.
const NOTIFICATIONS: [&str; 4] = [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
];

/// A builder of an [`AccessPolicy`].
///
/// A rule takes [`Scopes`](crate::Scopes), or any other [`Requirement`], such as a
/// [permission](Requirement::permission) in the caller's organization.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::access_policy::Requirement;
/// use clerk_mcp_tools::{AccessPolicy, Scopes};
///
/// let files = Scopes::parse("files:read")?;
/// let policy = AccessPolicy::scopes_by_default(files)
///     .tool("format_disk", Requirement::Denied)
///     .build();
/// assert!(policy.is_ok());
///
/// // The method is `tools/call`: this rule would never apply.
/// let error = AccessPolicy::deny_by_default().method("tool/call", Scopes::none()).build();
/// assert!(error.unwrap_err().to_string().ends_with("write \"tools/call\""));
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AccessPolicyBuilder {
    rules: Rules,
    /// The first rule that could never apply; `build` reports it.
    problem: Option<ConfigError>,
}

impl AccessPolicyBuilder {
    pub(super) fn new(default: Requirement) -> Self {
        Self { rules: Rules::new(default), problem: None }
    }

    /// Adds what every use of a JSON-RPC method needs, such as `tools/list`, besides what its
    /// target needs. The method may be one that MCP does not define.
    ///
    /// For a method without a target, such as `logging/setLevel`, the rule replaces the default.
    pub fn method(
        mut self,
        method: impl Into<String>,
        requirement: impl Into<Requirement>,
    ) -> Self {
        let method = method.into();
        self.record(check_method(&method));
        add(&mut self.rules.methods, method, &requirement.into());
        self
    }

    /// Adds what a call of this tool needs.
    pub fn tool(mut self, name: impl Into<String>, requirement: impl Into<Requirement>) -> Self {
        let name = name.into();
        self.record(check_name("tool", &name, "the name that tools/list returns"));
        self.rules.tools.add(name, &requirement.into());
        self
    }

    /// Adds what getting this prompt needs, and completing its arguments.
    pub fn prompt(mut self, name: impl Into<String>, requirement: impl Into<Requirement>) -> Self {
        let name = name.into();
        self.record(check_name("prompt", &name, "the name that prompts/list returns"));
        self.rules.prompts.add(name, &requirement.into());
        self
    }

    /// Adds what any use of a resource needs: reading it or listing its directory, subscribing to its
    /// changes, completing its template, or getting it as a skill.
    ///
    /// `uri_pattern` is a URI, or a pattern of URIs: `*` matches any string, `{id}` a string
    /// without `/`, and any other expression of a URI template (RFC 6570), such as `{+path}` and
    /// `{?query}`, any string. So the `uriTemplate` of a server's resources can be used as it is. A
    /// rule for the exact URI takes precedence over every pattern, and a pattern with more literal
    /// bytes over one with fewer.
    ///
    /// Servers read URIs in different ways, so every reading counts:
    ///
    /// - A URI that is not canonical may mean any resource to some server, and needs what all
    ///   resources need together: those with a rule, and those without one unless `*` has a rule.
    ///   Canonical is one that RFC 3986 section 6.2.2, the WHATWG URL standard and a second decoding
    ///   all leave as it is: not `file:///a/../b`, `file://localhost/b`, `file:///%62`,
    ///   `https://H.example/` or `https://h.example:443/`, and nothing longer than 2 KiB.
    /// - A server may ignore a query and a last slash. A URI needs what the rules for it without them
    ///   require as well. So a rule for `file:///a/*` also covers the directory `file:///a`.
    /// - Where `{id}` may or may not match, as with a `?` in a segment, both readings count.
    /// - The comparisons of one request are limited, to about 10 ms. Beyond that, which takes a batch
    ///   of long URIs and many patterns with several wildcards, a URI may mean any resource.
    ///
    /// `uri_pattern` itself must be canonical, with its authority in lower case.
    pub fn resource(
        mut self,
        uri_pattern: impl Into<String>,
        requirement: impl Into<Requirement>,
    ) -> Self {
        let (uri, requirement) = (uri_pattern.into(), requirement.into());
        self.record(check_name("resource", &uri, "a URI, or * for every resource"));
        match UriPattern::parse(&uri) {
            Ok(Some(pattern)) => {
                self.record(check_uri(&uri, &pattern.sample()));
                self.rules.resources.add_pattern(uri, pattern, requirement);
            }
            Ok(None) => {
                self.record(check_uri(&uri, &uri));
                self.rules.resources.add_uri(uri, &requirement);
            }
            Err(problem) => {
                let problem = format!("has a rule for the resource {uri:?}, {problem}");
                self.record(Err(invalid(problem)));
            }
        }
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    ///
    /// Returns an error if a rule could never apply: if a name, method or URI is empty or contains
    /// a control character, if a method contains white space or is a misspelled method of MCP
    /// (`tool/call`, `Tools/Call`), if a URI pattern has a `{` that is not closed or an empty `{}`,
    /// or if a URI or a pattern is not canonical. So does a role or a permission that no member can
    /// have: one that is empty or contains white space, and one of no roles.
    pub fn build(mut self) -> Result<AccessPolicy, ConfigError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.check_members()?;
        self.rules.finish();
        Ok(AccessPolicy(Arc::new(self.rules)))
    }

    fn check_members(&self) -> Result<(), ConfigError> {
        let mut members = self.rules.requirements().filter_map(Requirement::member_requirement);
        members.find_map(MemberRequirement::problem).map_or(Ok(()), |problem| Err(invalid(problem)))
    }

    fn record(&mut self, checked: Result<(), ConfigError>) {
        if let Err(problem) = checked {
            self.problem.get_or_insert(problem);
        }
    }
}

fn check_method(method: &str) -> Result<(), ConfigError> {
    let rule = format!("has a rule for the method {method:?}");
    if method.contains(char::is_whitespace) {
        return Err(invalid(format!("{rule}, which contains white space: write it without")));
    }
    check_name("method", method, "one that clients send, such as tools/list")?;
    match methods().find(|known| fold(known) == fold(method)) {
        Some(known) if *known != method => {
            Err(invalid(format!("{rule}, which no client sends: write {known:?}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Maps a method and its misspellings to the same string: case, and singular or plural of the
/// namespace.
fn fold(method: &str) -> String {
    let method = method.to_lowercase();
    match method.split_once('/') {
        Some((namespace, rest)) => {
            format!("{}/{rest}", namespace.strip_suffix('s').unwrap_or(namespace))
        }
        None => method,
    }
}

fn check_name(target: &str, name: &str, instead: &str) -> Result<(), ConfigError> {
    if name.is_empty() {
        return Err(invalid(format!("has a rule for a {target} without a name: write {instead}")));
    }
    if name.contains(char::is_control) {
        let problem = "which contains a control character: write";
        return Err(invalid(format!("has a rule for the {target} {name:?}, {problem} {instead}")));
    }
    Ok(())
}

/// `sample` is the URI, or one that the pattern matches.
fn check_uri(uri: &str, sample: &str) -> Result<(), ConfigError> {
    canonical::check_pattern(sample).map_err(|problem| {
        invalid(format!(
            "has a rule for the resource {uri:?}, which is not canonical: it {problem}"
        ))
    })
}

fn invalid(problem: String) -> ConfigError {
    ConfigError::invalid("access_policy", problem)
}

fn methods() -> impl Iterator<Item = &'static &'static str> {
    REQUEST_METHODS.iter().chain(&NOTIFICATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ConfigErrorKind;
    use crate::oauth::Scopes;

    #[test]
    fn rejects_rules_that_could_never_apply() {
        type Rule = fn(AccessPolicyBuilder, &str, Scopes) -> AccessPolicyBuilder;
        const TOOL: Rule = |policy, name, scopes| policy.tool(name, scopes);
        const PROMPT: Rule = |policy, name, scopes| policy.prompt(name, scopes);
        const METHOD: Rule = |policy, name, scopes| policy.method(name, scopes);
        const RESOURCE: Rule = |policy, name, scopes| policy.resource(name, scopes);
        let rows = [
            (TOOL, "", "a tool without a name: write the name that tools/list returns"),
            (PROMPT, "", "a prompt without a name: write the name that prompts/list returns"),
            (METHOD, "", "a method without a name: write one that clients send"),
            (RESOURCE, "", "a resource without a name: write a URI, or * for every resource"),
            (TOOL, "a\nb", r#"tool "a\nb", which contains a control character: write the name"#),
            (PROMPT, "\u{7f}", r#"prompt "\u{7f}", which contains a control character"#),
            (METHOD, "a/\0", r#"method "a/\0", which contains a control character"#),
            (RESOURCE, "a:\u{1b}", r#"resource "a:\u{1b}", which contains a control character"#),
            (RESOURCE, "a:*\t", r#"resource "a:*\t", which contains a control character"#),
            (METHOD, "tools call", r#""tools call", which contains white space: write it without"#),
            (METHOD, "tools/call ", r#""tools/call ", which contains white space"#),
            (METHOD, "acme/\u{a0}do", "which contains white space"),
            (METHOD, "\n", "which contains white space"),
            (METHOD, "Tools/Call", r#""Tools/Call", which no client sends: write "tools/call""#),
            (METHOD, "PING", r#"write "ping""#),
            (METHOD, "logging/setlevel", r#"write "logging/setLevel""#),
            (METHOD, "tool/call", r#"write "tools/call""#),
            (METHOD, "Tool/List", r#"write "tools/list""#),
            (METHOD, "resource/read", r#"write "resources/read""#),
            (METHOD, "resource/templates/list", r#"write "resources/templates/list""#),
            (METHOD, "prompt/get", r#"write "prompts/get""#),
            (METHOD, "task/cancel", r#"write "tasks/cancel""#),
            (METHOD, "skill/get", r#"write "skills/get""#),
            (METHOD, "resource/directory/read", r#"write "resources/directory/read""#),
            (METHOD, "completions/complete", r#"write "completion/complete""#),
            (METHOD, "subscription/listen", r#"write "subscriptions/listen""#),
            (METHOD, "notification/initialized", r#"write "notifications/initialized""#),
            (RESOURCE, "a:{id", r#"resource "a:{id", in which a "{" is not closed: write "#),
            (RESOURCE, "a:{b{c}", r#"in which a "{" is not closed"#),
            (RESOURCE, "a:{b}/{", r#"in which a "{" is not closed"#),
            (RESOURCE, "a:{}", r#"resource "a:{}", in which "{}" names no variable: write {id}"#),
            (RESOURCE, "a:{b}{}", r#"in which "{}" names no variable"#),
            (RESOURCE, "a b:*", r#"resource "a b:*", which is not canonical: it has a character"#),
            (RESOURCE, "FILE:///*", "not canonical: it has a scheme in upper case"),
            (RESOURCE, "file:///\u{e4}/*", "not canonical: it has a character that is not ASCII"),
            (RESOURCE, "file:///a/../b", "not canonical: it has a . or .. segment"),
            (RESOURCE, "https://H.example/*", "not canonical: it has a host in upper case"),
            (RESOURCE, "gh://Owner/*", "not canonical: it has upper case between //"),
            (RESOURCE, "https://h.example", "not canonical: it has no slash after its host"),
        ];
        for (rule, name, expected) in rows {
            let error =
                rule(AccessPolicy::deny_by_default(), name, Scopes::none()).build().unwrap_err();
            assert_eq!(
                (error.kind(), error.setting()),
                (ConfigErrorKind::Invalid, "access_policy")
            );
            assert!(error.to_string().contains(expected), "{name:?}: {error}");
        }
    }

    #[test]
    fn accepts_rules_that_may_apply() {
        let policy = methods().fold(AccessPolicy::deny_by_default(), |policy, method| {
            policy.method(*method, Scopes::none())
        });
        let policy = ["acme/do", "Acme/Do", "acmes/do", "tools/delete", "tools", "tasks/gets"]
            .into_iter()
            .fold(policy, |policy, method| policy.method(method, Scopes::none()));
        let policy = policy
            .tool("Delete file", Scopes::none())
            .tool("tool/call", Scopes::none())
            .prompt("\u{e4}", Scopes::none())
            .resource("*", Scopes::none())
            .resource("a:{c}/d{?e}", Scopes::none())
            .resource("https://{host}/a", Scopes::none())
            .resource("{+uri}", Scopes::none());
        assert!(policy.build().is_ok());
    }

    #[test]
    fn rejects_roles_and_permissions_that_no_member_can_have() {
        let none: [&str; 0] = [];
        let rows = [
            (Requirement::permission(""), "requires the permission \"\": write it as in Clerk"),
            (Requirement::permission("org:a b:c"), "requires the permission \"org:a b:c\""),
            (Requirement::role(" org:admin"), "requires the role \" org:admin\": write it as in"),
            (Requirement::any_role(["org:a", "b\n"]), "requires the role \"b\\n\""),
            (Requirement::any_role(none), "requires one of no roles"),
        ];
        for (requirement, expected) in rows {
            for policy in [
                AccessPolicy::deny_by_default().tool("a", requirement.clone()),
                AccessPolicy::deny_by_default().resource("a:*", requirement.clone()),
                AccessPolicy::deny_by_default().method("ping", requirement),
            ] {
                let error = policy.build().unwrap_err();
                assert!(error.to_string().contains(expected), "{error}");
            }
        }
        let policy = AccessPolicy::deny_by_default().tool("a", Requirement::permission("a:b"));
        assert!(policy.prompt("a", Requirement::role("r")).build().is_ok());
    }

    #[test]
    fn reports_the_first_problem() {
        let policy =
            AccessPolicy::deny_by_default().tool("", Scopes::none()).method("", Scopes::none());
        let error = policy.resource("a:{", Scopes::none()).build().unwrap_err();
        assert!(error.to_string().contains("a tool without a name"), "{error}");
    }
}
