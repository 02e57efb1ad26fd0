//! The settings that all HTTP clients of the crate share.

use std::time::Duration;

use reqwest::{ClientBuilder, redirect, tls};

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const USER_AGENT: &str = concat!("clerk-mcp-tools/", env!("CARGO_PKG_VERSION"));

/// Returns a builder of clients. Which connections are kept, whether http: URLs may be called, and
/// proxies are left to the caller.
pub(crate) fn http_client() -> ClientBuilder {
    ClientBuilder::new()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect could send a key, a code or a token to another host, and a request to an
        // address that may not be called.
        .redirect(redirect::Policy::none())
        .referer(false)
        // Some requests must not be sent twice. Who knows that one may be repeats it.
        .retry(reqwest::retry::never())
        // Another crate may enable these features of the HTTP client for the whole process. With
        // HTTP/2 all calls would share one connection, and one that no longer responds would stop
        // them all.
        .http1_only()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .no_hickory_dns()
        .tls_backend_rustls()
        .tls_version_min(tls::Version::TLS_1_2)
}
