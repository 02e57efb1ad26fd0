//! Collects what the rules that apply to a message require.

use std::ptr;

use crate::mcp::Requirement;

/// The requirements of the rules that apply, each once.
///
/// A batch may ask for the same rule a hundred times, so scopes are united once, at the end.
#[derive(Debug, Default)]
pub(super) struct Needed<'a> {
    rules: Vec<&'a Requirement>,
}

impl<'a> Needed<'a> {
    pub(super) fn add(&mut self, rule: &'a Requirement) {
        if !self.rules.iter().any(|known| ptr::eq(*known, rule)) {
            self.rules.push(rule);
        }
    }

    /// Returns the number of rules so far.
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    /// Returns what all of the rules require together.
    pub(super) fn together(self) -> Requirement {
        match self.rules.as_slice() {
            [] => Requirement::baseline(),
            [first, others @ ..] => {
                others.iter().fold((*first).clone(), |needed, rule| needed.and(rule))
            }
        }
    }
}
