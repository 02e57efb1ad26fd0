//! The rules of a policy, and which of them an operation meets.

use std::collections::BTreeMap;

use super::budget::MatchBudget;
use super::needed::Needed;
use super::resource_rules::{ResourceRules, UriUsage};
use crate::mcp::{Operation, OperationTarget, Requirement};

/// The methods that need only the baseline unless a rule for the method says otherwise: those
/// without which no client gets as far as a call, and those that list what there is. The same holds
/// for everything below [`NOTIFICATIONS`], and for a client's responses, which have no method.
const BASELINE_METHODS: [&str; 9] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "skills/list",
    "tasks/list",
];

const NOTIFICATIONS: &str = "notifications/";

/// All rules of a policy, and its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) methods: BTreeMap<String, Requirement>,
    pub(super) tools: NameRules,
    pub(super) prompts: NameRules,
    pub(super) resources: ResourceRules,
    /// What everything without a rule needs.
    default: Requirement,
    /// Whether no operation needs more than the baseline. Stored, since several steps of each request
    /// ask.
    pub(super) is_empty: bool,
}

/// The rules for the names of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameRules {
    by_name: BTreeMap<String, Requirement>,
    /// What all names need together, for a request that names none.
    any: Requirement,
}

impl Rules {
    pub(super) fn new(default: Requirement) -> Self {
        Self {
            methods: BTreeMap::new(),
            tools: NameRules::new(),
            prompts: NameRules::new(),
            resources: ResourceRules::new(default.clone()),
            is_empty: default == Requirement::baseline(),
            default,
        }
    }

    /// Completes the rules once all of them were added.
    pub(super) fn finish(&mut self) {
        self.tools.finish(&self.default);
        self.prompts.finish(&self.default);
        self.resources.finish();
        self.is_empty = self.methods.is_empty()
            && self.tools.by_name.is_empty()
            && self.prompts.by_name.is_empty()
            && self.resources.is_empty()
            && self.default == Requirement::baseline();
    }

    pub(super) fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        let by_name = [&self.methods, &self.tools.by_name, &self.prompts.by_name].into_iter();
        by_name
            .flat_map(BTreeMap::values)
            .chain(self.resources.requirements())
            .chain([&self.default])
    }

    pub(super) fn add_needed_by<'a>(
        &'a self,
        operation: &Operation<'_>,
        needed: &mut Needed<'a>,
        budget: &mut MatchBudget,
    ) {
        match self.methods.get(operation.method()) {
            Some(rule) => needed.add(rule),
            None if default_applies(operation) => needed.add(&self.default),
            None => {}
        }
        match (operation.target(), operation.name()) {
            (OperationTarget::Tool, Some(name)) => {
                needed.add(self.tools.by_name.get(name).unwrap_or(&self.default));
            }
            (OperationTarget::Tool, None) => needed.add(&self.tools.any),
            (OperationTarget::Prompt, Some(name)) => {
                needed.add(self.prompts.by_name.get(name).unwrap_or(&self.default));
            }
            (OperationTarget::Prompt, None) => needed.add(&self.prompts.any),
            (OperationTarget::Resource, Some(uri)) => {
                self.resources.add_needed_by(uri, usage_of(operation.method()), needed, budget);
            }
            (OperationTarget::Resource, None) => needed.add(self.resources.any()),
            (OperationTarget::Reference, _) => {
                needed.add(&self.tools.any);
                needed.add(&self.prompts.any);
                needed.add(self.resources.any());
            }
            (OperationTarget::Subscriptions | OperationTarget::Task | OperationTarget::None, _) => {
            }
        }
    }
}

impl NameRules {
    fn new() -> Self {
        Self { by_name: BTreeMap::new(), any: Requirement::baseline() }
    }

    pub(super) fn add(&mut self, name: String, requirement: &Requirement) {
        self.any = self.any.and(requirement);
        add(&mut self.by_name, name, requirement);
    }

    fn finish(&mut self, default: &Requirement) {
        self.any = self.any.and(default);
    }
}

pub(super) fn add(
    rules: &mut BTreeMap<String, Requirement>,
    key: String,
    requirement: &Requirement,
) {
    let rule = rules.entry(key).or_insert_with(Requirement::baseline);
    *rule = rule.and(requirement);
}

/// Returns whether the default applies to the method itself. Where the method always has a target,
/// the default applies to the target.
fn default_applies(operation: &Operation<'_>) -> bool {
    let method = operation.method();
    match operation.target_of_method() {
        OperationTarget::Tool
        | OperationTarget::Prompt
        | OperationTarget::Resource
        | OperationTarget::Reference => false,
        OperationTarget::Subscriptions | OperationTarget::Task | OperationTarget::None => {
            !BASELINE_METHODS.contains(&method) && !method.starts_with(NOTIFICATIONS)
        }
    }
}

/// Returns what a method does with the URI of its target.
fn usage_of(method: &str) -> UriUsage {
    match method {
        "completion/complete" => UriUsage::Template,
        "resources/directory/read" => UriUsage::Directory,
        _ => UriUsage::Resource,
    }
}
