//! The resources of an instance, which decide the audience of its tokens.

use crate::oauth::ResourceUrl;

/// The resources that are registered with the instance, and whether tokens name their audience.
pub(crate) struct Resources {
    registered: Vec<String>,
    pub(crate) include_audience: bool,
}

impl Resources {
    pub(crate) fn new(registered: Vec<String>, include_audience: bool) -> Self {
        Self { registered, include_audience }
    }

    pub(crate) fn register(&mut self, resource: String) {
        self.registered.push(resource);
    }

    /// Returns those of the requested resources that a new grant has as its audience.
    pub(crate) fn audience(&self, requested: &[String]) -> Vec<String> {
        let named = |resource: &&String| self.include_audience && self.is_registered(resource);
        requested.iter().filter(named).cloned().collect()
    }

    /// Compares byte for byte. Before the first resource is registered, every URL that an MCP
    /// server can have counts as registered: https, or http on a loopback host.
    pub(crate) fn is_registered(&self, resource: &String) -> bool {
        if self.registered.is_empty() {
            return ResourceUrl::parse(resource).is_ok();
        }
        self.registered.contains(resource)
    }
}
