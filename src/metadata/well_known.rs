//! The well-known paths of the documents (RFC 8615; RFC 9728 section 3.1; RFC 8414 section 3.1).

use crate::oauth::ResourceUrl;

/// The well-known path of protected resource metadata (RFC 9728 section 3).
pub const PROTECTED_RESOURCE_WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The well-known path of authorization server metadata (RFC 8414 section 3).
pub const AUTHORIZATION_SERVER_WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// Returns the URL of a resource's metadata: the well-known path is inserted between host and path,
/// and a query is kept (RFC 9728 section 3.1).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::metadata::protected_resource_metadata_url;
/// use clerk_mcp_tools::ResourceUrl;
///
/// let resource = ResourceUrl::parse("https://mcp.example.com/a/mcp")?;
/// assert_eq!(
///     protected_resource_metadata_url(&resource),
///     "https://mcp.example.com/.well-known/oauth-protected-resource/a/mcp",
/// );
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[must_use]
pub fn protected_resource_metadata_url(resource: &ResourceUrl) -> String {
    // RFC 9728 section 3.1: a path of a single slash is removed first.
    let path = if resource.path() == "/" { "" } else { resource.path() };
    format!("{}{PROTECTED_RESOURCE_WELL_KNOWN}{path}{}", resource.origin(), resource.query())
}

/// Returns every path at which a client may request a document of this resource: with and without
/// the resource's path after the well-known one, and with and without a trailing slash.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::metadata::{PROTECTED_RESOURCE_WELL_KNOWN, well_known_paths};
/// use clerk_mcp_tools::ResourceUrl;
///
/// let resource = ResourceUrl::parse("https://mcp.example.com/mcp")?;
/// assert_eq!(
///     well_known_paths(PROTECTED_RESOURCE_WELL_KNOWN, &resource),
///     [
///         "/.well-known/oauth-protected-resource",
///         "/.well-known/oauth-protected-resource/",
///         "/.well-known/oauth-protected-resource/mcp",
///         "/.well-known/oauth-protected-resource/mcp/",
///     ],
/// );
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[must_use]
pub fn well_known_paths(well_known: &str, resource: &ResourceUrl) -> Vec<String> {
    let path = resource.path().strip_suffix('/').unwrap_or(resource.path());
    let mut paths = vec![well_known.to_owned(), format!("{well_known}/")];
    if !path.is_empty() {
        paths.extend([format!("{well_known}{path}"), format!("{well_known}{path}/")]);
    }
    // A path of slashes alone has some of them twice.
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserts_the_well_known_path_between_host_and_path() {
        let rows = [
            ("https://h.example", "https://h.example/.well-known/oauth-protected-resource"),
            ("https://h.example/", "https://h.example/.well-known/oauth-protected-resource"),
            (
                "https://h.example:8443/mcp",
                "https://h.example:8443/.well-known/oauth-protected-resource/mcp",
            ),
            (
                "https://h.example/a/mcp/",
                "https://h.example/.well-known/oauth-protected-resource/a/mcp/",
            ),
            (
                "https://h.example/mcp?k=v",
                "https://h.example/.well-known/oauth-protected-resource/mcp?k=v",
            ),
            ("https://h.example?k=v", "https://h.example/.well-known/oauth-protected-resource?k=v"),
        ];
        for (resource, url) in rows {
            assert_eq!(
                protected_resource_metadata_url(&ResourceUrl::parse(resource).unwrap()),
                url
            );
        }
    }

    #[test]
    fn the_paths_contain_the_url_of_the_challenge_for_every_resource() {
        for resource in ["", "/", "//", "/mcp", "/mcp/", "/mcp//", "/a/mcp"] {
            let resource = ResourceUrl::parse(&format!("https://h.example{resource}")).unwrap();
            let url = protected_resource_metadata_url(&resource);
            let path = url.strip_prefix("https://h.example").unwrap().to_owned();
            let paths = well_known_paths(PROTECTED_RESOURCE_WELL_KNOWN, &resource);
            assert!(paths.contains(&path), "{path} is not among {paths:?}");
        }
    }

    #[test]
    fn a_resource_at_the_root_has_only_the_root_paths() {
        for resource in ["https://h.example", "https://h.example/", "https://h.example?k=v"] {
            let resource = ResourceUrl::parse(resource).unwrap();
            assert_eq!(well_known_paths("/w", &resource), ["/w", "/w/"]);
        }
        let resource = ResourceUrl::parse("https://h.example/a/mcp/").unwrap();
        assert_eq!(well_known_paths("/w", &resource), ["/w", "/w/", "/w/a/mcp", "/w/a/mcp/"]);
    }
}
