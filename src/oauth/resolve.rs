//! The resource that a request is addressed to, for servers with several resources.

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;

use crate::error::ConfigError;
use crate::oauth::ResourceUrl;

/// A resolver of the resource that a request is addressed to, for a server with several resources.
///
/// [`ResourceUrl`] resolves every request to itself, and [`ResourcesByHost`] resolves by host. An
/// implementation must choose from a fixed list of resources: the resource decides which tokens are
/// accepted, and a client can write anything into `Host` and into forwarded headers.
///
/// # Example
///
/// ```
/// use axum::extract::OriginalUri;
/// use clerk_mcp_tools::bearer_auth::ResolveResource;
/// use clerk_mcp_tools::metadata::{PROTECTED_RESOURCE_WELL_KNOWN, well_known_paths};
/// use clerk_mcp_tools::ResourceUrl;
/// use http::request::Parts;
///
/// /// Several resources on one host, distinguished by the path.
/// struct ByPath(Vec<ResourceUrl>);
///
/// impl ResolveResource for ByPath {
///     fn resolve(&self, parts: &Parts) -> Option<ResourceUrl> {
///         // `Router::nest` removes its prefix from the URI, and keeps the original one here.
///         let original = parts.extensions.get::<OriginalUri>();
///         let path = original.map_or(parts.uri.path(), |OriginalUri(uri)| uri.path());
///         let mut resources = self.0.iter();
///         let found = resources.find(|resource| {
///             // The metadata service asks as well, with the well-known path of the resource.
///             path == resource.path()
///                 || well_known_paths(PROTECTED_RESOURCE_WELL_KNOWN, resource)
///                     .iter()
///                     .any(|well_known| path == well_known)
///         });
///         found.cloned()
///     }
/// }
///
/// let resource = ResourceUrl::parse("https://mcp.example.com/internal/mcp")?;
/// let resolver = ByPath(vec![resource.clone()]);
/// let resolved = |path| resolver.resolve(&http::Request::get(path).body(()).unwrap().into_parts().0);
/// assert_eq!(resolved("/internal/mcp"), Some(resource.clone()));
/// assert_eq!(
///     resolved("/.well-known/oauth-protected-resource/internal/mcp"),
///     Some(resource.clone()),
/// );
/// assert_eq!(resolved("/mcp"), None);
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
pub trait ResolveResource: Send + Sync + 'static {
    /// Returns the resource that the request is addressed to. `None` rejects the request with 421
    /// (Misdirected Request, RFC 9110 section 15.5.20).
    ///
    /// `parts` are those that the layer got: a router in front may have changed the URI, and
    /// leaves the original one in the extensions.
    fn resolve(&self, parts: &Parts) -> Option<ResourceUrl>;
}

impl ResolveResource for ResourceUrl {
    fn resolve(&self, _: &Parts) -> Option<ResourceUrl> {
        Some(self.clone())
    }
}

impl<R: ResolveResource + ?Sized> ResolveResource for Arc<R> {
    fn resolve(&self, parts: &Parts) -> Option<ResourceUrl> {
        (**self).resolve(parts)
    }
}

/// A [`ResolveResource`] that chooses from a fixed list by the host of the request.
///
/// The host is the authority of the request target (HTTP/2) or the `Host` header. A request that
/// has both is rejected if they differ. Forwarded headers are not read.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::bearer_auth::{ResolveResource, ResourcesByHost};
///
/// let resources =
///     ResourcesByHost::new(["https://a.example.com/mcp", "https://b.example.com/mcp"])?;
/// let request = http::Request::builder().header("host", "b.example.com").body(()).unwrap();
/// let resource = resources.resolve(&request.into_parts().0).unwrap();
/// assert_eq!(resource.as_str(), "https://b.example.com/mcp");
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResourcesByHost(Vec<ResourceUrl>);

impl ResourcesByHost {
    /// Creates a resolver for these resources.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is not a resource URL, if two have the same host, or if the
    /// list is empty.
    pub fn new<I>(resources: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut list: Vec<ResourceUrl> = Vec::new();
        for resource in resources {
            let resource = ResourceUrl::parse(resource.as_ref())?;
            if list.iter().any(|other| other.has_authority(resource.authority())) {
                let problem = format!("contains two URLs with the host {}", resource.authority());
                return Err(ConfigError::invalid("resources", problem));
            }
            list.push(resource);
        }
        if list.is_empty() {
            return Err(ConfigError::missing(
                "resources",
                "is empty: add the public URL of each MCP endpoint",
            ));
        }
        Ok(Self(list))
    }

    /// Returns an iterator over the resources, in the order they were given.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ResourceUrl> {
        self.0.iter()
    }
}

impl ResolveResource for ResourcesByHost {
    fn resolve(&self, parts: &Parts) -> Option<ResourceUrl> {
        let by_header = parts.headers.get_all(HOST).iter().map(|host| host.to_str().ok());
        let by_target = parts.uri.authority().map(|authority| Some(authority.as_str()));
        let mut hosts = by_target.into_iter().chain(by_header);
        let first = hosts.next()??;
        // Host confusion: the inner service may read another one of these values than we do.
        let resource = self.0.iter().find(|resource| resource.has_authority(first))?;
        hosts
            .all(|host| host.is_some_and(|host| resource.has_authority(host)))
            .then(|| resource.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_by_host_and_ignores_forwarded_headers() {
        let resources =
            ResourcesByHost::new(["https://a.example/mcp", "https://b.example:8443/mcp"]).unwrap();
        type Row = (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>);
        let rows: [Row; 13] = [
            ("/mcp", &[("host", "a.example")], Some("https://a.example/mcp")),
            ("/mcp", &[("host", "A.Example:443")], Some("https://a.example/mcp")),
            ("/mcp", &[("host", "b.example:8443")], Some("https://b.example:8443/mcp")),
            ("https://a.example/mcp", &[], Some("https://a.example/mcp")),
            ("/mcp", &[("host", "b.example")], None),
            ("/mcp", &[("host", "a.example.evil")], None),
            ("/mcp", &[("host", "a.example"), ("host", "b.example:8443")], None),
            (
                "/mcp",
                &[
                    ("host", "evil"),
                    ("x-forwarded-host", "a.example"),
                    ("forwarded", "host=a.example"),
                ],
                None,
            ),
            (
                "/mcp",
                &[("host", "a.example"), ("host", "a.example")],
                Some("https://a.example/mcp"),
            ),
            ("https://a.example/mcp", &[("host", "a.example")], Some("https://a.example/mcp")),
            ("https://a.example/mcp", &[("host", "b.example:8443")], None),
            ("https://evil.example/mcp", &[("host", "a.example")], None),
            ("/mcp", &[], None),
        ];
        for (target, headers, expected) in rows {
            let mut request = http::Request::builder().uri(target);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).unwrap();
            let resource = resources.resolve(&request.into_parts().0);
            assert_eq!(
                resource.as_ref().map(ResourceUrl::as_str),
                expected,
                "{target} {headers:?}"
            );
        }
    }

    #[test]
    fn rejects_empty_lists_duplicate_hosts_and_invalid_urls() {
        assert!(ResourcesByHost::new([""; 0]).is_err());
        assert!(ResourcesByHost::new(["https://a.example/x", "https://A.example:443/y"]).is_err());
        assert!(ResourcesByHost::new(["http://a.example/x"]).is_err());
    }
}
