//! Lists of tools, prompts and resources, as one caller gets to see them.
//!
//! Only what has to change is replaced in the text that the server wrote. A text in which something
//! is not as expected stays as it is.

mod json;

use std::ops::Range;

use super::{AccessPolicy, Message, Operation, Requirement};
use crate::oauth::{AuthInfo, Membership, ScopeHierarchy, Scopes};
use json::{elements, find, members, string};

/// What a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl ListKind {
    const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// Returns the kind if the message asks for a list, and for nothing else.
    pub(crate) fn of(message: &Message<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| message.is_single(kind.method()))
    }

    fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// Returns the member of the result that is the list.
    fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// Returns the member of each element by which the policy judges it.
    fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// Returns what a client asks for with an element.
    fn operation(self, key: &str) -> Operation<'_> {
        let method = match self {
            Self::Tools => "tools/call",
            Self::Prompts => "prompts/get",
            Self::Resources | Self::Templates => "resources/read",
        };
        Operation::new(method).named(key)
    }
}

/// How a list is changed for one caller.
#[derive(Clone, Debug)]
pub(crate) struct ListRewrite {
    pub(crate) kind: ListKind,
    pub(crate) policy: AccessPolicy,
    pub(crate) hierarchy: ScopeHierarchy,
    /// `None` without a token.
    pub(crate) caller: Option<AuthInfo>,
    /// What is known about the membership of the caller. What needs one stays while it is not
    /// known, since a list protects nothing.
    pub(crate) membership: Option<Membership>,
    /// Whether what the caller may not use is left out.
    pub(crate) filter: bool,
    /// Whether tools get `securitySchemes`, and how they are called without scopes of their own.
    pub(crate) schemes: Option<SecuritySchemes>,
}

/// What is declared of every tool.
#[derive(Clone, Debug)]
pub(crate) struct SecuritySchemes {
    /// The scopes that every request needs.
    pub(crate) baseline: Scopes,
    /// Whether requests without a token pass.
    pub(crate) optional: bool,
}

/// The replacement of a part of the text.
struct Edit {
    range: Range<usize>,
    text: String,
}

impl Edit {
    fn insert(at: usize, text: String) -> Self {
        Self { range: at..at, text }
    }

    fn remove(range: Range<usize>) -> Self {
        Self { range, text: String::new() }
    }
}

/// One element of the list.
struct Element {
    range: Range<usize>,
    /// What its use needs. `None` if that is not known.
    needed: Option<Requirement>,
    is_kept: bool,
}

impl ListRewrite {
    /// Returns whether the list depends on the caller.
    pub(crate) fn depends_on_caller(&self) -> bool {
        self.filter
    }

    /// Returns whether the list depends on the membership of the caller.
    pub(crate) fn depends_on_membership(&self) -> bool {
        self.filter && self.caller.is_some() && self.policy.member_requirements().next().is_some()
    }

    /// Returns the text of a response for this caller. `None` if it stays as it is.
    pub(crate) fn rewrite(&self, text: &str) -> Option<String> {
        let message = members(text, &(0..text.len()))?;
        let result_range = find(&message, "result")?;
        let result = members(text, result_range)?;
        let elements = self.judge(text, elements(text, find(&result, self.kind.member())?)?)?;

        let mut edits = Vec::new();
        if self.filter {
            edits.extend(removals(&elements));
            edits.extend(private_scope(text, &result, result_range));
        }
        if let Some(schemes) = self.schemes.as_ref().filter(|_| self.kind == ListKind::Tools) {
            for element in elements.iter().filter(|element| element.is_kept) {
                edits.extend(schemes.declare(text, element)?);
            }
        }
        apply(text, edits)
    }

    fn judge(&self, text: &str, ranges: Vec<Range<usize>>) -> Option<Vec<Element>> {
        let mut keys = Vec::with_capacity(ranges.len());
        for range in &ranges {
            keys.push(self.key(text, range)?);
        }
        let operations = keys.iter().map(|key| key.as_ref().map(|key| self.kind.operation(key)));
        let needed = self.policy.required_by_each(operations);
        let elements = ranges.into_iter().zip(&keys).zip(needed);
        let elements = elements.map(|((range, key), needed)| Element {
            range,
            is_kept: !self.filter || self.may_use(key.as_deref(), needed.as_ref()),
            needed,
        });
        Some(elements.collect())
    }

    /// Returns the key of an element, if it is an object with one. `None` if the text stays as it
    /// is.
    fn key(&self, text: &str, range: &Range<usize>) -> Option<Option<String>> {
        if !text.get(range.clone())?.starts_with('{') {
            return Some(None);
        }
        let members = members(text, range)?;
        Some(find(&members, self.kind.key()).and_then(|value| string(text, value)))
    }

    fn may_use(&self, key: Option<&str>, needed: Option<&Requirement>) -> bool {
        let is_granted = |requirement: &Requirement| match requirement
            .check(self.caller.as_ref(), &self.hierarchy)
        {
            Err(_) => false,
            Ok(None) => true,
            Ok(Some((member, _))) => {
                self.membership.as_ref().is_none_or(|known| member.check(known).is_ok())
            }
        };
        match (key, self.kind) {
            (Some(template), ListKind::Templates) => {
                self.policy.may_use_template(template, is_granted)
            }
            _ => needed.is_none_or(is_granted),
        }
    }
}

impl SecuritySchemes {
    /// Returns the edits that declare what a tool needs, on the tool and under `_meta`, for SDKs
    /// that drop unknown members of a tool (OpenAI Apps SDK, "Authentication"). `None` if the text
    /// stays as it is.
    fn declare(&self, text: &str, tool: &Element) -> Option<Vec<Edit>> {
        let Some(needed) = tool.needed.as_ref().and_then(Requirement::scopes) else {
            return Some(Vec::new());
        };
        let declaration = format!("\"securitySchemes\":{}", self.schemes(needed));
        let tool_members = members(text, &tool.range)?;
        let end = tool.range.end.checked_sub(1)?;
        let mut edits = Vec::new();
        if find(&tool_members, "securitySchemes").is_none() {
            edits.push(Edit::insert(end, format!(",{declaration}")));
        }
        match find(&tool_members, "_meta") {
            None => edits.push(Edit::insert(end, format!(",\"_meta\":{{{declaration}}}"))),
            Some(range) if text.get(range.clone())?.starts_with('{') => {
                let meta = members(text, range)?;
                if find(&meta, "securitySchemes").is_none() {
                    let comma = if meta.is_empty() { "" } else { "," };
                    edits.push(Edit::insert(range.start + 1, format!("{declaration}{comma}")));
                }
            }
            Some(_) => {}
        }
        Some(edits)
    }

    fn schemes(&self, needed: &Scopes) -> String {
        let scopes = self.baseline.union(needed).advertisable();
        let oauth = serde_json::json!({"type": "oauth2", "scopes": scopes});
        if self.optional && needed.is_empty() {
            format!("[{{\"type\":\"noauth\"}},{oauth}]")
        } else {
            format!("[{oauth}]")
        }
    }
}

/// Returns the edits that remove elements, each with one comma.
fn removals(elements: &[Element]) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut has_kept = false;
    let mut rest = elements.iter().peekable();
    let mut previous_end = 0;
    while let Some(element) = rest.next() {
        let (start, end) = (element.range.start, element.range.end);
        if element.is_kept {
            has_kept = true;
        } else if has_kept {
            edits.push(Edit::remove(previous_end..end));
        } else {
            let next = rest.peek().map_or(end, |next| next.range.start);
            edits.push(Edit::remove(start..next));
        }
        previous_end = end;
    }
    edits
}

/// Returns the edit by which a client or a gateway does not keep the list for another caller (MCP
/// 2026-07-28, caching). Earlier versions do not have the member.
fn private_scope(text: &str, result: &[json::Member], range: &Range<usize>) -> Option<Edit> {
    let has_cache_scopes = ["resultType", "ttlMs", "cacheScope"];
    if !has_cache_scopes.into_iter().any(|name| find(result, name).is_some()) {
        return None;
    }
    match find(result, "cacheScope") {
        Some(value) if string(text, value).as_deref() == Some("private") => None,
        Some(value) => Some(Edit { range: value.clone(), text: "\"private\"".to_owned() }),
        None => Some(Edit::insert(range.start + 1, "\"cacheScope\":\"private\",".to_owned())),
    }
}

/// Returns the text with the edits applied, or `None` without any edit.
fn apply(text: &str, mut edits: Vec<Edit>) -> Option<String> {
    if edits.is_empty() {
        return None;
    }
    // Stable: two insertions at the same place keep their order.
    edits.sort_by_key(|edit| edit.range.start);
    let mut edited =
        String::with_capacity(text.len() + edits.iter().map(|e| e.text.len()).sum::<usize>());
    let mut at = 0;
    for edit in edits {
        edited.push_str(text.get(at..edit.range.start)?);
        edited.push_str(&edit.text);
        at = edit.range.end;
    }
    edited.push_str(text.get(at..)?);
    Some(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(list: &str) -> Scopes {
        Scopes::parse(list).unwrap()
    }

    fn policy() -> AccessPolicy {
        AccessPolicy::baseline_by_default()
            .tool("write", scopes("files:write"))
            .tool("never", Requirement::Denied)
            .prompt("salary", scopes("hr"))
            .resource("file:///vault/*", scopes("vault"))
            .resource("file:///vault/open", Scopes::none())
            .resource("users://{id}", scopes("users"))
            .resource("users://me", Scopes::none())
            .resource("notes://{id}", scopes("notes"))
            .resource("mem://a", scopes("mem"))
            .build()
            .unwrap()
    }

    fn rewrite(kind: ListKind, granted: Option<&str>) -> ListRewrite {
        ListRewrite {
            kind,
            policy: policy(),
            hierarchy: ScopeHierarchy::new().implies("all", ["files:write"]).unwrap(),
            caller: granted.map(|list| {
                AuthInfo::for_user("user_1", "token".into()).scopes(scopes(list)).build()
            }),
            membership: None,
            filter: true,
            schemes: None,
        }
    }

    fn declaring(optional: bool) -> ListRewrite {
        let schemes = SecuritySchemes { baseline: scopes("profile offline_access"), optional };
        ListRewrite { filter: false, schemes: Some(schemes), ..rewrite(ListKind::Tools, None) }
    }

    #[track_caller]
    fn assert_rewritten(list: &ListRewrite, text: &str, expected: &str) {
        let rewritten = list.rewrite(text);
        assert_eq!(rewritten.as_deref().unwrap_or(text), expected, "{text}");
        assert_eq!(rewritten.is_some(), text != expected, "{text}");
    }

    #[test]
    fn leaves_out_what_the_caller_may_not_use_and_nothing_else() {
        let message = |tools: &str| {
            format!(
                " {{\"jsonrpc\" : \"2.0\",\"result\":{{ \"tools\":[{tools}],\"x\":1.50}} ,\"id\":1}}\n"
            )
        };
        let [a, w, n, z] = [
            r#"{"name":"a","inputSchema":{ "type":"object", "x":1e2 }}"#,
            r#"{ "description":"\u00e4 }","name":"write" }"#,
            r#"{"name":"n\u0065ver"}"#,
            r#"{"name":"z"}"#,
        ];
        let rows = [
            ("", ""),
            (a, a),
            (w, ""),
            (&format!("{a},{w}"), a),
            (&format!("{a} , {w} , {z}"), &format!("{a} , {z}")),
            (&format!("{w} , {a} , {w},{z}"), &format!("{a},{z}")),
            (&format!("{n},{w} ,\n{a}"), a),
            (&format!("{w},{n},{w}"), ""),
            (&format!("{a},{w},{n}"), a),
            // What is no tool stays.
            ("1, null ,{},{\"name\":1},\"write\",[]", "1, null ,{},{\"name\":1},\"write\",[]"),
        ];
        for granted in [None, Some(""), Some("x")] {
            for (tools, expected) in &rows {
                let list = rewrite(ListKind::Tools, granted);
                assert_rewritten(&list, &message(tools), &message(expected));
            }
        }
        for granted in ["files:write", "all"] {
            let list = rewrite(ListKind::Tools, Some(granted));
            assert_rewritten(&list, &message(&format!("{w},{n}")), &message(w));
        }
    }

    #[test]
    fn judges_each_kind_by_its_rules() {
        use ListKind::{Prompts, Resources, Templates};
        let rows = [
            (Prompts, "prompts", "name", "salary", "hr"),
            (Resources, "resources", "uri", "file:///vault/x", "vault"),
            (Resources, "resources", "uri", "users://7", "users"),
            (Templates, "resourceTemplates", "uriTemplate", "file:///vault/{+path}", "-"),
            (Templates, "resourceTemplates", "uriTemplate", "file:///vault/x/{+path}", "vault"),
            (Templates, "resourceTemplates", "uriTemplate", "users://{id}", "-"),
            (Templates, "resourceTemplates", "uriTemplate", "notes://{id}", "notes"),
            (Templates, "resourceTemplates", "uriTemplate", "mem://{id}", "-"),
            (Templates, "resourceTemplates", "uriTemplate", "other://{id}", "-"),
            (Prompts, "prompts", "name", "other", "-"),
            (Resources, "resources", "uri", "file:///vault/open", "-"),
        ];
        for (kind, member, key, value, needed) in rows {
            let text = format!(r#"{{"result":{{"{member}":[{{"{key}":"{value}"}}]}}}}"#);
            let without = format!(r#"{{"result":{{"{member}":[]}}}}"#);
            let expected = if needed == "-" { &text } else { &without };
            assert_rewritten(&rewrite(kind, Some("profile")), &text, expected);
            assert_rewritten(&rewrite(kind, Some(needed)), &text, &text);
        }
    }

    #[test]
    fn a_filtered_list_is_for_its_caller_only() {
        let rows = [
            (r#"{"tools":[]}"#, r#"{"tools":[]}"#),
            (
                r#"{"tools":[],"ttlMs":5,"cacheScope" : "public"}"#,
                r#"{"tools":[],"ttlMs":5,"cacheScope" : "private"}"#,
            ),
            (r#"{"tools":[],"cacheScope":"private"}"#, r#"{"tools":[],"cacheScope":"private"}"#),
            (r#"{"tools":[],"cacheScope":7}"#, r#"{"tools":[],"cacheScope":"private"}"#),
            // Where it is missing, it is public.
            (
                r#"{ "tools":[],"resultType":"complete"}"#,
                r#"{"cacheScope":"private", "tools":[],"resultType":"complete"}"#,
            ),
        ];
        for (result, expected) in rows {
            let [text, expected] = [result, expected].map(|r| format!("{{\"result\":{r}}}"));
            assert_rewritten(&rewrite(ListKind::Tools, None), &text, &expected);
            assert_rewritten(&declaring(false), &text, &text);
        }
    }

    #[test]
    fn declares_what_each_tool_needs() {
        let plain = r#"[{"scopes":["profile"],"type":"oauth2"}]"#;
        let write = r#"[{"scopes":["profile","files:write"],"type":"oauth2"}]"#;
        let anonymous = r#"[{"type":"noauth"},{"scopes":["profile"],"type":"oauth2"}]"#;
        let with = |tool: &str, schemes: &str| {
            format!(
                r#"{tool},"securitySchemes":{schemes},"_meta":{{"securitySchemes":{schemes}}}}}"#
            )
        };
        let rows = [
            (false, r#"{"name":"a"}"#.to_owned(), with(r#"{"name":"a""#, plain)),
            (true, r#"{"name":"a"}"#.to_owned(), with(r#"{"name":"a""#, anonymous)),
            (false, r#"{ "name":"write" }"#.to_owned(), with(r#"{ "name":"write" "#, write)),
            (true, r#"{"name":"write"}"#.to_owned(), with(r#"{"name":"write""#, write)),
            (false, r#"{"name":"never"}"#.to_owned(), r#"{"name":"never"}"#.to_owned()),
            (
                false,
                r#"{"name":"a","_meta":{}}"#.to_owned(),
                format!(
                    r#"{{"name":"a","_meta":{{"securitySchemes":{plain}}},"securitySchemes":{plain}}}"#
                ),
            ),
            (
                false,
                r#"{"_meta":{ "x":1 },"name":"a"}"#.to_owned(),
                format!(
                    r#"{{"_meta":{{"securitySchemes":{plain}, "x":1 }},"name":"a","securitySchemes":{plain}}}"#
                ),
            ),
            // What the server wrote itself stays.
            (
                false,
                r#"{"name":"a","securitySchemes":[],"_meta":{"securitySchemes":1}}"#.to_owned(),
                r#"{"name":"a","securitySchemes":[],"_meta":{"securitySchemes":1}}"#.to_owned(),
            ),
            (
                false,
                r#"{"name":"a","_meta":null,"securitySchemes":1}"#.to_owned(),
                r#"{"name":"a","_meta":null,"securitySchemes":1}"#.to_owned(),
            ),
            (false, r#"{"title":"a"}"#.to_owned(), r#"{"title":"a"}"#.to_owned()),
        ];
        for (optional, tool, expected) in rows {
            let [text, expected] = [tool, expected].map(|tool| {
                format!(r#"{{"result":{{"tools":[1,{tool} ,{{}}],"nextCursor":"c"}}}}"#)
            });
            assert_rewritten(&declaring(optional), &text, &expected);
            let read: serde_json::Value = serde_json::from_str(&expected).unwrap();
            assert!(read["result"]["tools"][1].is_object());
        }
    }

    #[test]
    fn both_can_be_done_at_once() {
        let list = ListRewrite { filter: true, ..declaring(false) };
        let text =
            r#"{"result":{"tools":[{"name":"write"},{"name":"a"},{"name":"never"}],"ttlMs":1}}"#;
        let schemes = r#"[{"scopes":["profile"],"type":"oauth2"}]"#;
        let expected = format!(
            r#"{{"result":{{"cacheScope":"private","tools":[{{"name":"a","securitySchemes":{schemes},"_meta":{{"securitySchemes":{schemes}}}}}],"ttlMs":1}}}}"#
        );
        assert_rewritten(&list, text, &expected);
    }

    #[test]
    fn odd_texts_stay_as_they_are() {
        let texts = [
            "",
            "null",
            "[]",
            "{",
            r#"{"error":{"code":1}}"#,
            r#"{"result":[]}"#,
            r#"{"result":{}}"#,
            r#"{"result":{"tools":{}}}"#,
            r#"{"result":{"tools":[{"name":"write"}]}"#,
            r#"{"result":{"tools":[{"name":"write"}]}} x"#,
            r#"{"result":{"tools":[{"name":"write"},]}}"#,
            r#"[{"result":{"tools":[{"name":"write"}]}}]"#,
            r#"{"result":{"tools":[{"name":"write"}],"tools":[]}}"#,
            r#"{"result":{"tools":[{"name":"write"}]},"result":{}}"#,
            r#"{"result":{"tools":[{"name":"write","name":"a"}]}}"#,
            r#"{"Result":{"tools":[{"name":"write"}]}}"#,
            "\u{feff}{\"result\":{\"tools\":[{\"name\":\"write\"}]}}",
        ];
        let lists = [
            rewrite(ListKind::Tools, None),
            declaring(true),
            ListRewrite { filter: true, ..declaring(false) },
        ];
        for list in lists {
            for text in texts {
                assert_eq!(list.rewrite(text), None, "{text}");
            }
        }
        let meta = r#"{"result":{"tools":[{"name":"a","_meta":{"a":1,"a":2}}]}}"#;
        assert_eq!(declaring(false).rewrite(meta), None);
        let prompts = r#"{"result":{"prompts":[{"name":"salary"}]}}"#;
        assert_eq!(rewrite(ListKind::Tools, None).rewrite(prompts), None);
    }

    #[test]
    fn the_work_of_a_list_is_bounded() {
        let rules = (0..100).fold(AccessPolicy::deny_by_default(), |policy, index| {
            policy.resource(format!("file:///*a{index}*b*c*d*e"), Scopes::none())
        });
        let uri = format!("{{\"uri\":\"file:///{}\"}}", "abcd".repeat(400));
        let list = vec![uri.as_str(); 1000].join(",");
        let text = format!(r#"{{"result":{{"resources":[{list}]}}}}"#);
        let list = rewrite(ListKind::Resources, Some(""));
        let list = ListRewrite { policy: rules.build().unwrap(), ..list };
        // The first ones are judged, and left out. The others stay.
        let rewritten = list.rewrite(&text).unwrap();
        let left = rewritten.matches("uri").count();
        assert!(left > 0 && left < 1000, "{left}");
    }

    #[test]
    fn tools_for_members_follow_the_membership_as_far_as_it_is_known() {
        let policy = AccessPolicy::baseline_by_default()
            .tool("read", Requirement::permission("org:x:read"))
            .tool("admin", Requirement::role("org:admin").and(&scopes("w").into()))
            .resource("file:///{id}", Requirement::member())
            .build()
            .unwrap();
        let user = |list: &str| AuthInfo::for_user("user_1", "t".into()).scopes(scopes(list));
        let member = |role: &str| {
            let organization = crate::oauth::Organization::new("org_1").with_role(role);
            Membership::Member(organization.with_permissions(["org:x:read"]))
        };
        let rows = [
            (None, None, "open", ""),
            (Some(user("w")), None, "open", ""),
            // No token of theirs could name an organization.
            (Some(user("w user:org:read")), Some(Membership::NoOrganization), "open", ""),
            (Some(user("w").org_id("org_1")), Some(Membership::NotMember), "open", ""),
            (Some(user("w").org_id("org_1")), Some(member("org:a")), "open read", "f"),
            (Some(user("w").org_id("org_1")), Some(member("org:admin")), "open read admin", "f"),
            (Some(user("").org_id("org_1")), Some(member("org:admin")), "open read", "f"),
            // Clerk cannot be asked.
            (Some(user("w").org_id("org_1")), None, "open read admin", "f"),
        ];
        let list = |kind, names: &[&str]| {
            let (member, key) = match kind {
                ListKind::Tools => ("tools", "name"),
                _ => ("resourceTemplates", "uriTemplate"),
            };
            let elements: Vec<_> =
                names.iter().map(|name| format!(r#"{{"{key}":"{name}"}}"#)).collect();
            format!(r#"{{"result":{{"{member}":[{}]}}}}"#, elements.join(","))
        };
        for (caller, membership, tools, template) in rows {
            let caller = caller.map(crate::oauth::AuthInfoBuilder::build);
            let rewrite = |kind| ListRewrite {
                policy: policy.clone(),
                caller: caller.clone(),
                membership: membership.clone(),
                ..rewrite(kind, None)
            };
            let all = list(ListKind::Tools, &["open", "read", "admin"]);
            let expected: Vec<_> = tools.split(' ').collect();
            assert_rewritten(&rewrite(ListKind::Tools), &all, &list(ListKind::Tools, &expected));
            let all = list(ListKind::Templates, &["file:///{id}"]);
            let expected: &[&str] = if template.is_empty() { &[] } else { &["file:///{id}"] };
            assert_rewritten(
                &rewrite(ListKind::Templates),
                &all,
                &list(ListKind::Templates, expected),
            );
        }
    }
}
