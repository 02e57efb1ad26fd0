//! What cannot work, found before anything is built.

use crate::clerk::ClerkVerifier;
use crate::error::ConfigError;
use crate::mcp::AccessPolicy;
use crate::oauth::{OFFLINE_ACCESS, ResourceUrl, ScopeHierarchy, Scopes};

pub(super) fn check_resource(
    resource: &ResourceUrl,
    verifier: &ClerkVerifier,
) -> Result<(), ConfigError> {
    match verifier.resource() {
        Some(other) if other != resource => Err(ConfigError::conflict(
            "MCP_RESOURCE_URL",
            format!(
                "is {other} for the verifier and {resource} for the endpoint: use the same URL, or \
                 set only the endpoint's"
            ),
        )),
        _ => Ok(()),
    }
}

pub(super) fn check_metadata_path(
    resource: &ResourceUrl,
    root_metadata: bool,
) -> Result<(), ConfigError> {
    if root_metadata || !resource.path().trim_end_matches('/').is_empty() {
        return Ok(());
    }
    Err(ConfigError::conflict(
        "without_root_metadata",
        format!("leaves no path for the metadata of {resource}, which has no path of its own"),
    ))
}

pub(super) fn check_grantable(needed: &Scopes) -> Result<(), ConfigError> {
    if !needed.contains(OFFLINE_ACCESS) {
        return Ok(());
    }
    Err(ConfigError::invalid(
        "scopes",
        "cannot contain offline_access: it concerns client and authorization server only, and no \
         challenge may name it (MCP 2026-07-28, authorization)",
    ))
}

pub(super) fn check_restricted(restrict: bool, serves_metadata: bool) -> Result<(), ConfigError> {
    if !restrict || serves_metadata {
        return Ok(());
    }
    Err(ConfigError::conflict(
        "restrict_advertised_scopes",
        "concerns a document that without_authorization_server_metadata leaves out: set one of them",
    ))
}

pub(super) fn check_filter(filter_lists: bool, policy: &AccessPolicy) -> Result<(), ConfigError> {
    if !filter_lists || !policy.is_empty() {
        return Ok(());
    }
    Err(ConfigError::conflict(
        "filter_lists",
        "has no rules to filter by: set an access_policy, or leave it out",
    ))
}

/// Checks that a client which requests these scopes at its first sign-in gets every needed one.
pub(super) fn check_contains(
    setting: &'static str,
    requested: &Scopes,
    needed: &Scopes,
    hierarchy: &ScopeHierarchy,
) -> Result<(), ConfigError> {
    match needed.iter().find(|scope| !hierarchy.grants(requested, scope)) {
        Some(scope) => Err(ConfigError::conflict(
            setting,
            format!("does not have {scope}, which every request needs: add it"),
        )),
        None => Ok(()),
    }
}
