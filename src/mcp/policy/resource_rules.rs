//! The rules for resources, and which of them apply to a URI.

use std::collections::BTreeMap;

use super::budget::{BudgetSpent, MatchBudget};
use super::canonical;
use super::needed::Needed;
use super::rules::add;
use super::uri_pattern::{TemplateRule, UriPattern};
use crate::mcp::Requirement;

/// In bytes. A longer URI is not compared with patterns: it may mean any resource.
const MAX_URI: usize = 2 * 1024;

/// The steps for each byte of a URI that make its variants and check whether it is canonical.
const STEPS_PER_BYTE: usize = 4;

/// What an operation does with a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UriUsage {
    /// It is that of a resource, such as one to read.
    Resource,
    /// It is that of a directory to list.
    Directory,
    /// It may be the template of URIs.
    Template,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResourceRules {
    by_uri: BTreeMap<String, Requirement>,
    /// The same rules by the [stem](canonical::stem) of their URIs.
    by_stem: BTreeMap<String, Requirement>,
    patterns: Vec<(UriPattern, Requirement)>,
    /// The same rules by the string of their patterns.
    by_template: BTreeMap<String, Requirement>,
    /// What resources without a rule need.
    default: Requirement,
    /// What all resources need together, for a URI that may mean any of them.
    any: Requirement,
}

impl ResourceRules {
    pub(super) fn new(default: Requirement) -> Self {
        Self {
            by_uri: BTreeMap::new(),
            by_stem: BTreeMap::new(),
            patterns: Vec::new(),
            by_template: BTreeMap::new(),
            default,
            any: Requirement::baseline(),
        }
    }

    pub(super) fn add_uri(&mut self, uri: String, requirement: &Requirement) {
        self.any = self.any.and(requirement);
        add(&mut self.by_stem, canonical::stem(&uri).to_owned(), requirement);
        add(&mut self.by_uri, uri, requirement);
    }

    pub(super) fn add_pattern(
        &mut self,
        text: String,
        pattern: UriPattern,
        requirement: Requirement,
    ) {
        self.any = self.any.and(&requirement);
        add(&mut self.by_template, text, &requirement);
        self.patterns.push((pattern, requirement));
    }

    /// Completes the rules once all of them were added.
    pub(super) fn finish(&mut self) {
        let is_default_used = !self.patterns.iter().any(|(pattern, _)| pattern.matches_every_uri());
        if is_default_used {
            self.any = self.any.and(&self.default);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_uri.is_empty() && self.patterns.is_empty()
    }

    pub(super) fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        let patterns = self.patterns.iter().map(|(_, requirement)| requirement);
        self.by_uri.values().chain(patterns)
    }

    /// Returns what a resource needs if it is not known which one it is.
    pub(super) fn any(&self) -> &Requirement {
        &self.any
    }

    /// Adds what the URI needs in every way that a server may read it.
    pub(super) fn add_needed_by<'a>(
        &'a self,
        uri: &str,
        usage: UriUsage,
        needed: &mut Needed<'a>,
        budget: &mut MatchBudget,
    ) {
        // Any other template may mean any resource, since no canonical URI has braces.
        let template = (usage == UriUsage::Template).then(|| self.by_template.get(uri)).flatten();
        if let Some(rule) = template {
            needed.add(rule);
        } else if budget.is_spent() || self.add_readings(uri, usage, needed, budget).is_err() {
            needed.add(&self.any);
        }
    }

    /// Returns whether a caller may read some resource whose URI has this template.
    ///
    /// What the template needs is decided by the rule with exactly this pattern, or by the closest
    /// one that matches whatever it expands to, or by the default. A more specific rule, or one of
    /// which that is not known, may allow some of the resources.
    pub(super) fn may_use_template(
        &self,
        template: &str,
        is_granted: impl Fn(&Requirement) -> bool,
    ) -> bool {
        let start = literal_start(template);
        let covers =
            |text: &str| covered_start(text).is_some_and(|prefix| start.starts_with(prefix));
        let closest = self.by_template.iter().filter(|(text, _)| covers(text));
        let closest = closest.max_by_key(|(text, _)| text.len()).map(|(_, rule)| rule);
        let whole = self.by_template.get(template).or(closest).unwrap_or(&self.default);
        let fits = |text: &str| {
            let other = literal_start(text);
            other.starts_with(start) || start.starts_with(other)
        };
        let rules = self.by_uri.iter().chain(&self.by_template);
        let mut parts = rules.filter(|(text, _)| *text != template && fits(text) && !covers(text));
        is_granted(whole) || parts.any(|(_, rule)| is_granted(rule))
    }

    fn add_readings<'a>(
        &'a self,
        uri: &str,
        usage: UriUsage,
        needed: &mut Needed<'a>,
        budget: &mut MatchBudget,
    ) -> Result<(), MayBeAny> {
        if uri.len() > MAX_URI {
            return Err(MayBeAny);
        }
        budget.spend(needed.len() + STEPS_PER_BYTE * (uri.len() + 64))?;
        canonical::check(uri).map_err(|_| MayBeAny)?;
        if let Some(exact) = self.by_uri.get(uri) {
            needed.add(exact);
            return Ok(());
        }
        let mut others = canonical::variants(uri);
        let stems = others.iter().map(|variant| canonical::stem(variant));
        stems.filter_map(|stem| self.by_stem.get(stem)).for_each(|rule| needed.add(rule));
        others.retain(|variant| variant != uri);
        for template_rule in [TemplateRule::Rfc6570, TemplateRule::Lenient] {
            let as_written = self.matching(uri, template_rule, budget)?;
            if !self.add_closest(&as_written, needed)
                && !self.covers_directory(uri, usage, template_rule, budget)?
            {
                needed.add(&self.default);
            }
            for variant in &others {
                let mut matching = self.matching(variant, template_rule, budget)?;
                // A pattern that matches the URI itself may have given way to a closer one.
                matching.retain(|index| as_written.binary_search(index).is_err());
                self.add_closest(&matching, needed);
            }
        }
        Ok(())
    }

    /// Returns whether a directory has a rule by the spelling with a slash at its end, which for a
    /// directory is no other resource.
    fn covers_directory(
        &self,
        uri: &str,
        usage: UriUsage,
        rule: TemplateRule,
        budget: &mut MatchBudget,
    ) -> Result<bool, BudgetSpent> {
        if usage != UriUsage::Directory {
            return Ok(false);
        }
        let directory = format!("{}/", canonical::stem(uri));
        Ok(!self.matching(&directory, rule, budget)?.is_empty())
    }

    /// Returns the patterns that match, by their indices, in order.
    fn matching(
        &self,
        uri: &str,
        rule: TemplateRule,
        budget: &mut MatchBudget,
    ) -> Result<Vec<usize>, BudgetSpent> {
        let mut matching = Vec::new();
        for (index, (pattern, _)) in self.patterns.iter().enumerate() {
            if pattern.matches(uri, rule, budget)? {
                matching.push(index);
            }
        }
        // `Needed` compares each with those that it has.
        budget.spend(matching.len() * self.patterns.len() / 4)?;
        Ok(matching)
    }

    /// Adds what the patterns with the most literal bytes require. Returns `false` without any.
    fn add_closest<'a>(&'a self, matching: &[usize], needed: &mut Needed<'a>) -> bool {
        let matching = || matching.iter().filter_map(|index| self.patterns.get(*index));
        let Some(closest) = matching().map(|(pattern, _)| pattern.literal_bytes()).max() else {
            return false;
        };
        let rules = matching().filter(|(pattern, _)| pattern.literal_bytes() == closest);
        rules.for_each(|(_, rule)| needed.add(rule));
        true
    }
}

/// Returns what every URI of a pattern starts with.
fn literal_start(pattern: &str) -> &str {
    pattern.split(['*', '{']).next().unwrap_or_default()
}

/// Returns what a URI has to start with to match a pattern, if nothing else is needed.
fn covered_start(pattern: &str) -> Option<&str> {
    let start = literal_start(pattern);
    match pattern.strip_prefix(start)? {
        "*" => Some(start),
        rest if rest.starts_with("{+") && rest.find('}') == Some(rest.len() - 1) => Some(start),
        _ => None,
    }
}

/// The URI may mean any resource to some server.
struct MayBeAny;

impl From<BudgetSpent> for MayBeAny {
    fn from(_: BudgetSpent) -> Self {
        Self
    }
}
