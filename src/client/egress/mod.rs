//! Which servers may be called: users type the URL of an MCP server, and everything that it names
//! (its metadata, its authorization server, that one's endpoints) is its operator's choice.
//!
//! A name is resolved once for each connection, and only the addresses that pass are connected to,
//! so a name that resolves to something else the next time gains nothing.

mod address;
mod resolver;

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::Resolve;

use self::address::{Network, is_loopback, is_public};
use self::resolver::FilteringResolver;
pub(super) use self::resolver::ForbiddenAddress;
use crate::error::ConfigError;

/// Which servers [`Connections`](super::Connections) may call.
///
/// Defaults to [`public`](Self::public). The rules hold for every request that this crate makes: for
/// a sign-in, for tokens, and with an [`HttpClient`](super::HttpClient). Those that the application
/// sends to the MCP server by another client have to keep them as well, for which there is
/// [`allows`](Self::allows).
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::client::Egress;
///
/// // MCP servers on the Internet, and those in the company's own network.
/// let egress = Egress::public().allow_network("10.20.0.0/16")?;
/// # let _ = egress;
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Egress {
    networks: Vec<Network>,
    loopback: bool,
    proxy: bool,
}

impl Egress {
    /// Allows https URLs whose host has a public address. Every other address is refused after the
    /// name was resolved, and before a connection is made: loopback, private, link-local (with the
    /// metadata services of cloud providers), multicast and reserved ones, and IPv6 addresses that
    /// stand for one of these.
    ///
    /// Proxies that environment variables name are not used.
    pub fn public() -> Self {
        Self { networks: Vec::new(), loopback: false, proxy: false }
    }

    /// Allows the addresses of this network as well, such as `10.20.0.0/16` or `fd00:1::/32`.
    ///
    /// # Errors
    ///
    /// Returns an error if the string is neither an address nor a range of addresses.
    pub fn allow_network(mut self, network: &str) -> Result<Self, ConfigError> {
        self.networks.push(Network::parse(network)?);
        Ok(self)
    }

    /// Allows this machine as well, and http: to it. For development and tests: in production it
    /// lets users reach whatever else listens on the machine.
    pub fn allow_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Sends requests through the proxies that the environment names (`HTTPS_PROXY`, `ALL_PROXY`,
    /// `NO_PROXY`). The proxy resolves names, so it has to refuse addresses that are not public;
    /// this crate then checks only URLs with an address in place of a name.
    pub fn through_proxy(mut self) -> Self {
        self.proxy = true;
        self
    }

    /// Returns whether an address may be connected to: for the resolver or the proxy of an HTTP
    /// client of the application. It has to be asked about every address that a name resolves to,
    /// before the connection is made; redirects must not be followed.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        is_public(address)
            || self.loopback && is_loopback(address)
            || self.networks.iter().any(|network| network.contains_embedded(address))
    }

    pub(super) fn allows_http(&self) -> bool {
        self.loopback
    }

    pub(super) fn uses_proxy(&self) -> bool {
        self.proxy
    }

    /// Checks a URL before it is called. What the URL's host resolves to is checked by the
    /// [resolver](Self::resolver).
    pub(super) fn check_url(&self, url: &Url) -> Result<(), &'static str> {
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it has no host")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it has a user name");
        }
        let address = literal(host);
        match url.scheme() {
            "https" => {}
            "http" if self.loopback && is_this_machine(host, address) => {}
            _ => return Err("it is not an https URL"),
        }
        if address.is_some_and(|address| !self.allows(address)) {
            return Err("its address is not public");
        }
        Ok(())
    }

    /// Returns the resolver that drops the addresses which are not allowed.
    pub(super) fn resolver(&self) -> Arc<dyn Resolve> {
        Arc::new(FilteringResolver::new(self.clone()))
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::public()
    }
}

/// Returns the address if the host is one. `Url` has written it in its usual form: `2130706433` and
/// `0x7f.1` are `127.0.0.1` by now.
fn literal(host: &str) -> Option<IpAddr> {
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    in_brackets.unwrap_or(host).parse().ok()
}

fn is_this_machine(host: &str, address: Option<IpAddr>) -> bool {
    address.map_or(host == "localhost", is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(egress: &Egress, url: &str) -> Result<(), &'static str> {
        egress.check_url(&Url::parse(url).unwrap())
    }

    #[test]
    fn urls_with_an_address_are_checked_in_every_notation() {
        let not_public = Err("its address is not public");
        let rows = [
            ("https://mcp.example/mcp", Ok(())),
            ("https://1.1.1.1/", Ok(())),
            ("https://[2606:4700::1111]/", Ok(())),
            // What a name resolves to is checked by the resolver.
            ("https://localhost/", Ok(())),
            ("https://127.0.0.1/", not_public),
            ("https://127.1/", not_public),
            ("https://2130706433/", not_public),
            ("https://0x7f000001/", not_public),
            ("https://0177.0.0.1/", not_public),
            ("https://0/", not_public),
            ("https://0.0.0.0/", not_public),
            ("https://127.0.0.1./", not_public),
            ("https://\u{ff11}27.0.0.1/", not_public),
            ("https://10.0.0.1:8443/", not_public),
            ("https://169.254.169.254/latest/meta-data", not_public),
            ("https://[::1]/", not_public),
            ("https://[::]/", not_public),
            ("https://[::ffff:127.0.0.1]/", not_public),
            ("https://[::ffff:7f00:1]/", not_public),
            ("https://[64:ff9b::7f00:1]/", not_public),
            ("https://[fd00:ec2::254]/", not_public),
            ("https://user@mcp.example/", Err("it has a user name")),
            ("https://:password@mcp.example/", Err("it has a user name")),
            ("http://mcp.example/", Err("it is not an https URL")),
            ("http://127.0.0.1/", Err("it is not an https URL")),
            ("ftp://mcp.example/", Err("it is not an https URL")),
            ("data:text/plain,x", Err("it has no host")),
        ];
        for (url, expected) in rows {
            assert_eq!(check(&Egress::public(), url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_allowed_besides_is_this_machine_or_a_network() {
        let loopback = Egress::public().allow_loopback();
        let network = Egress::public().allow_network("10.1.0.0/16").unwrap();
        let rows = [
            (&loopback, "http://127.0.0.1:3000/mcp", true),
            (&loopback, "http://[::1]:3000/mcp", true),
            (&loopback, "http://localhost:3000/mcp", true),
            (&loopback, "https://127.0.0.1/", true),
            (&loopback, "http://localhost.evil.example/", false),
            (&loopback, "http://0.0.0.0:3000/", false),
            (&loopback, "https://10.1.0.1/", false),
            (&loopback, "http://mcp.example/", false),
            (&network, "https://10.1.0.1/", true),
            (&network, "https://[::ffff:10.1.0.1]/", true),
            (&network, "http://10.1.0.1/", false),
            (&network, "https://10.2.0.1/", false),
            (&network, "https://127.0.0.1/", false),
        ];
        for (egress, url, expected) in rows {
            assert_eq!(check(egress, url).is_ok(), expected, "{egress:?} {url}");
        }
    }
}
