//! From the URL of an MCP server to its authorization server (RFC 9728, RFC 8414).

use http::header::WWW_AUTHENTICATE;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::challenge::Challenge;
use super::error::{LoginError, LoginErrorKind};
use super::http::{Http, MAX_URL_BYTES};
use super::owner::ServerUrl;
use super::token_endpoint::MAX_SCOPE_BYTES;
use crate::metadata::{
    AUTHORIZATION_SERVER_WELL_KNOWN, AuthorizationServerMetadata, PROTECTED_RESOURCE_WELL_KNOWN,
    protected_resource_metadata_url,
};
use crate::oauth::{OFFLINE_ACCESS, ResourceUrl, Scopes, check_origin, parse_uri};

const OPENID_WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// MCP's transport: a server may respond with either.
const ACCEPT: &str = "application/json, text/event-stream";
/// How many of the authorization servers of a resource are considered.
const MAX_ISSUERS: usize = 10;

/// What a sign-in needs to know. It is pinned when the sign-in begins.
#[derive(Debug)]
pub(super) struct Discovered {
    /// The resource identifier, as the server writes it.
    pub(super) resource: String,
    /// The scopes of the challenge, otherwise those of the metadata.
    pub(super) scopes: Scopes,
    pub(super) server: AuthorizationServer,
}

/// What the metadata of an authorization server says.
#[derive(Debug)]
pub(super) struct AuthorizationServer {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) registration_endpoint: Option<String>,
    /// Whether its authorization responses name it (RFC 9207 section 3).
    pub(super) names_itself: bool,
    pub(super) has_offline_access: bool,
    pub(super) supports_client_documents: bool,
    /// `None` if the metadata does not say.
    pub(super) auth_methods: Option<Vec<String>>,
}

/// The members of RFC 9728 that are used. Unlike the type that servers build, it accepts `null`.
#[derive(Deserialize)]
struct ResourceMetadata {
    resource: String,
    authorization_servers: Option<Vec<String>>,
    scopes_supported: Option<Vec<String>>,
}

/// Finds out where users of this server sign in. Returns `None` if it requires no sign-in.
///
/// `is_client_of` says at which of several authorization servers the application has a client.
pub(super) async fn discover(
    http: &Http,
    server: &ServerUrl,
    challenge: Option<Challenge>,
    is_client_of: impl Fn(&str) -> bool,
) -> Result<Option<Discovered>, LoginError> {
    let probe = match challenge {
        Some(challenge) => Probe { status: StatusCode::UNAUTHORIZED, challenge },
        None => probe(http, server).await?,
    };
    let Some(metadata) = resource_metadata(http, server, &probe).await? else {
        return Ok(None);
    };
    check_resource(server, &metadata.resource)?;
    let issuers = metadata.authorization_servers.unwrap_or_default();
    let mut considered = issuers.iter().take(MAX_ISSUERS);
    let issuer = considered.clone().find(|issuer| is_client_of(issuer)).or(considered.next());
    let issuer = issuer.ok_or_else(|| {
        discovery("the server's metadata names no authorization server (RFC 9728 section 2)")
    })?;
    let server = authorization_server(http, issuer).await?;
    check_endpoints(http, &server)?;
    let listed = metadata.scopes_supported.unwrap_or_default();
    let scopes = probe.challenge.scopes.unwrap_or_else(|| listed_scopes(&listed));
    Ok(Some(Discovered { resource: metadata.resource, scopes, server }))
}

/// Returns whether two issuers are the same. A URL without a path equals the one with `/` (RFC 3986
/// section 6.2.3), which some libraries add when they write metadata.
pub(super) fn is_same_issuer(one: &str, other: &str) -> bool {
    let root = |issuer: &str| {
        let uri = parse_uri(issuer)?;
        let is_root = uri.path() == "/" && uri.query().is_none();
        is_root.then(|| issuer.trim_end_matches('/').to_owned())
    };
    one == other || root(one).is_some_and(|one| root(other).as_deref() == Some(&one))
}

/// What the server says to a request without a token.
struct Probe {
    status: StatusCode,
    challenge: Challenge,
}

/// Sends what every client sends first.
async fn probe(http: &Http, server: &ServerUrl) -> Result<Probe, LoginError> {
    let initialize = json!({
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "clerk-mcp-tools", "version": env!("CARGO_PKG_VERSION") },
        },
    });
    let head = http.post_json_for_head(server.as_str(), ACCEPT, initialize.to_string()).await;
    let head = head.map_err(|failure| LoginError::of_discovery("the MCP server", failure))?;
    if head.status.is_server_error() {
        let detail = format!("the MCP server responds with {}", head.status.as_u16());
        return Err(LoginError::new(LoginErrorKind::Unavailable, detail));
    }
    let challenge = Challenge::find(head.headers.get_all(WWW_AUTHENTICATE)).unwrap_or_default();
    Ok(Probe { status: head.status, challenge })
}

/// Reads the metadata that the challenge names, or else that at the well-known paths of the server,
/// with and without its own path (RFC 9728 section 3.1, MCP 2025-11-25).
async fn resource_metadata(
    http: &Http,
    server: &ServerUrl,
    probe: &Probe,
) -> Result<Option<ResourceMetadata>, LoginError> {
    if let Some(url) = &probe.challenge.resource_metadata {
        let missing = || discovery("the metadata that the server's challenge names is missing");
        return fetch(http, url, "the server's metadata").await?.ok_or_else(missing).map(Some);
    }
    let own = protected_resource_metadata_url(server.resource());
    let root = format!("{}{PROTECTED_RESOURCE_WELL_KNOWN}", server.resource().origin());
    let urls = if own == root { vec![own] } else { vec![own, root] };
    match first(http, &urls, "the server's metadata").await {
        Ok(None) => {}
        // Some hosts have a page for every path.
        Err(error) if error.kind() == LoginErrorKind::Discovery && probe.status.is_success() => {}
        found => return found,
    }
    match probe.status {
        StatusCode::UNAUTHORIZED => {
            Err(discovery("the server requires a sign-in and does not say where (RFC 9728)"))
        }
        status if status.is_success() => Ok(None),
        status => {
            let detail = format!("the response has the status {}", status.as_u16());
            Err(LoginError::new(LoginErrorKind::NotAnMcpServer, detail))
        }
    }
}

/// Checks that the metadata is that of this server: its resource is the server, or a parent of it on
/// the same origin, which is what the official clients accept.
fn check_resource(server: &ServerUrl, resource: &str) -> Result<(), LoginError> {
    if server.resource().matches(resource) {
        return Ok(());
    }
    let valid = ResourceUrl::parse(resource).ok().and_then(|_| Url::parse(resource).ok());
    let own = Url::parse(server.as_str()).ok();
    let is_parent = valid.zip(own).is_some_and(|(resource, own)| {
        let parent = resource.path().trim_end_matches('/');
        let rest = own.path().strip_prefix(parent);
        resource.origin() == own.origin()
            && resource.query().is_none()
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if is_parent {
        return Ok(());
    }
    Err(discovery("the server's metadata is about another resource (RFC 9728 section 3.3)"))
}

/// Refuses what will not be called later, before the user is sent anywhere.
fn check_endpoints(http: &Http, server: &AuthorizationServer) -> Result<(), LoginError> {
    for url in [&server.authorization_endpoint, &server.token_endpoint] {
        let subject = "an endpoint of the authorization server";
        http.check(url).map_err(|failure| LoginError::of_discovery(subject, failure))?;
    }
    Ok(())
}

async fn authorization_server(
    http: &Http,
    issuer: &str,
) -> Result<AuthorizationServer, LoginError> {
    let urls = metadata_urls(issuer)?;
    let found = first(http, &urls, "the authorization server's metadata").await?;
    let missing = || discovery("the authorization server has no metadata (RFC 8414)");
    check_server(found.ok_or_else(missing)?, issuer)
}

/// RFC 8414 section 3.1, and OpenID Connect Discovery with and without the path inserted.
fn metadata_urls(issuer: &str) -> Result<Vec<String>, LoginError> {
    let invalid = || discovery("the server's metadata names an issuer that is not an https URL");
    let uri = parse_uri(issuer).ok_or_else(invalid)?;
    if check_origin(&uri).is_err() || uri.query().is_some() || issuer.contains('#') {
        return Err(invalid());
    }
    let path = uri.path().trim_end_matches('/');
    let scheme = uri.scheme_str().unwrap_or("https");
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let origin = format!("{scheme}://{authority}");
    let mut urls = vec![
        format!("{origin}{AUTHORIZATION_SERVER_WELL_KNOWN}{path}"),
        format!("{origin}{OPENID_WELL_KNOWN}{path}"),
    ];
    if !path.is_empty() {
        urls.push(format!("{origin}{path}{OPENID_WELL_KNOWN}"));
    }
    Ok(urls)
}

fn check_server(
    metadata: AuthorizationServerMetadata,
    issuer: &str,
) -> Result<AuthorizationServer, LoginError> {
    if !is_same_issuer(&metadata.issuer, issuer) {
        return Err(discovery(
            "the authorization server's metadata names another issuer (RFC 8414 section 3.3)",
        ));
    }
    let own = metadata.issuer.clone();
    metadata
        .check(&own)
        .map_err(|_| discovery("an endpoint of the authorization server is not an https URL"))?;
    // RFC 6749 section 3.1. A query that is appended to one would not be sent.
    if metadata.authorization_endpoint.as_ref().is_some_and(|url| url.contains('#')) {
        return Err(discovery("the authorization endpoint has a fragment"));
    }
    let lists = |list: &Option<Vec<String>>, value: &str| {
        list.as_ref().is_some_and(|list| list.iter().any(|one| one == value))
    };
    if !lists(&metadata.code_challenge_methods_supported, "S256") {
        let detail = "its metadata does not list S256 in code_challenge_methods_supported";
        return Err(LoginError::new(LoginErrorKind::NoPkce, detail));
    }
    if metadata.response_types_supported.is_some()
        && !lists(&metadata.response_types_supported, "code")
    {
        return Err(discovery("the authorization server does not support the response type code"));
    }
    let missing = || discovery("the authorization server's metadata lacks an endpoint");
    let names_itself = metadata.extra.get("authorization_response_iss_parameter_supported");
    Ok(AuthorizationServer {
        authorization_endpoint: metadata.authorization_endpoint.ok_or_else(missing)?,
        token_endpoint: metadata.token_endpoint.ok_or_else(missing)?,
        // It is not called before the sign-in, whose record it must not make too long.
        revocation_endpoint: metadata.revocation_endpoint.filter(|url| url.len() <= MAX_URL_BYTES),
        registration_endpoint: metadata.registration_endpoint,
        names_itself: names_itself == Some(&Value::Bool(true)),
        has_offline_access: lists(&metadata.scopes_supported, OFFLINE_ACCESS),
        supports_client_documents: metadata.client_id_metadata_document_supported == Some(true),
        auth_methods: metadata.token_endpoint_auth_methods_supported,
        issuer: metadata.issuer,
    })
}

/// Returns the first document at one of these URLs. What is there and is no document, such as a page
/// for every path, is passed over.
async fn first<T: for<'de> Deserialize<'de>>(
    http: &Http,
    urls: &[String],
    subject: &str,
) -> Result<Option<T>, LoginError> {
    let mut unusable = None;
    for url in urls {
        match fetch(http, url, subject).await {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) if error.kind() == LoginErrorKind::Discovery => {
                unusable.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    unusable.map_or(Ok(None), Err)
}

/// Returns the document at a URL. `None` if the server has no such document (4xx).
async fn fetch<T: for<'de> Deserialize<'de>>(
    http: &Http,
    url: &str,
    subject: &str,
) -> Result<Option<T>, LoginError> {
    let of_failure = |failure| LoginError::of_discovery(subject, failure);
    let response = http.get_json(url).await.map_err(of_failure)?;
    let is_missing =
        response.status.is_client_error() && response.status != StatusCode::TOO_MANY_REQUESTS;
    if is_missing {
        return Ok(None);
    }
    response.json().map(Some).map_err(of_failure)
}

/// Returns the scopes of a list, none of one that is too long to be asked for.
fn listed_scopes(list: &[String]) -> Scopes {
    let bytes = list.iter().fold(0_usize, |sum, scope| sum.saturating_add(scope.len()));
    let scopes = (bytes <= MAX_SCOPE_BYTES).then(|| list.iter().map(String::as_str));
    scopes.and_then(Scopes::granted).unwrap_or_default()
}

fn discovery(detail: &'static str) -> LoginError {
    LoginError::new(LoginErrorKind::Discovery, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_the_server_or_a_parent_of_it() {
        let rows = [
            ("https://h.example/mcp", "https://h.example/mcp", true),
            ("https://h.example/mcp", "HTTPS://H.example:443/mcp", true),
            ("https://h.example/a/mcp", "https://h.example", true),
            ("https://h.example/a/mcp", "https://h.example/", true),
            ("https://h.example/a/mcp", "https://h.example/a", true),
            ("https://h.example/a/mcp", "https://h.example/a/", true),
            ("https://h.example/mcp?t=1", "https://h.example/mcp", true),
            ("https://h.example/mcp?t=1", "https://h.example/mcp?t=1", true),
            ("https://h.example/mcp?t=1", "https://h.example/mcp?t=2", false),
            ("https://h.example/mcp", "https://h.example/mcp?t=2", false),
            ("https://h.example/mcp", "https://h.example/mc", false),
            ("https://h.example/mcp", "https://h.example/mcp/other", false),
            ("https://h.example/mcp", "https://h.example/other", false),
            ("https://h.example/mcp", "https://evil.example/mcp", false),
            ("https://h.example/mcp", "https://h.example.evil.example/", false),
            ("https://h.example/mcp", "https://h.example:8443/mcp", false),
            ("https://h.example/mcp", "http://h.example/mcp", false),
            ("https://h.example/mcp", "https://u@h.example/mcp", false),
            ("https://h.example/mcp", "https://h.example/#", false),
            ("https://h.example/mcp", "", false),
        ];
        for (server, resource, expected) in rows {
            let server = ServerUrl::parse(server).unwrap();
            assert_eq!(check_resource(&server, resource).is_ok(), expected, "{server} {resource}");
        }
    }

    #[test]
    fn a_list_of_scopes_that_is_too_long_is_not_asked_for() {
        let list = |scope: &str, count| vec![scope.to_owned(); count];
        assert_eq!(listed_scopes(&["a".to_owned(), "b c".to_owned()]).to_string(), "a");
        let longest = "a".repeat(MAX_SCOPE_BYTES);
        assert_eq!(listed_scopes(&list(&longest, 1)).to_string(), longest);
        assert_eq!(listed_scopes(&list(&longest, 2)), Scopes::none());
        assert_eq!(listed_scopes(&list("a", 201)), Scopes::none());
    }

    #[test]
    fn metadata_is_looked_for_where_the_standards_say() {
        let rows: [(&str, &[&str]); 4] = [
            (
                "https://as.example",
                &[
                    "https://as.example/.well-known/oauth-authorization-server",
                    "https://as.example/.well-known/openid-configuration",
                ],
            ),
            (
                "https://as.example/",
                &[
                    "https://as.example/.well-known/oauth-authorization-server",
                    "https://as.example/.well-known/openid-configuration",
                ],
            ),
            (
                "https://as.example/tenant/1",
                &[
                    "https://as.example/.well-known/oauth-authorization-server/tenant/1",
                    "https://as.example/.well-known/openid-configuration/tenant/1",
                    "https://as.example/tenant/1/.well-known/openid-configuration",
                ],
            ),
            (
                "http://127.0.0.1:80/t/",
                &[
                    "http://127.0.0.1:80/.well-known/oauth-authorization-server/t",
                    "http://127.0.0.1:80/.well-known/openid-configuration/t",
                    "http://127.0.0.1:80/t/.well-known/openid-configuration",
                ],
            ),
        ];
        for (issuer, expected) in rows {
            assert_eq!(metadata_urls(issuer).unwrap(), expected, "{issuer}");
        }
        for issuer in [
            "",
            "as.example",
            "http://as.example",
            "https://as.example?x",
            "https://as.example#x",
            "https://u@as.example",
            "javascript:alert(1)",
        ] {
            assert!(metadata_urls(issuer).is_err(), "{issuer}");
        }
    }

    #[test]
    fn issuers_are_compared_as_text_but_for_the_slash_of_a_root() {
        let rows = [
            ("https://as.example", "https://as.example", true),
            ("https://as.example/", "https://as.example", true),
            ("https://as.example", "https://as.example/", true),
            ("https://as.example/t", "https://as.example/t/", false),
            ("https://as.example/t", "https://as.example/T", false),
            ("https://as.example", "https://AS.example", false),
            ("https://as.example", "https://as.example//", false),
            ("https://as.example", "https://evil.example", false),
            ("https://as.example", "https://as.example?", false),
        ];
        for (one, other, expected) in rows {
            assert_eq!(is_same_issuer(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn the_metadata_of_the_authorization_server_is_checked() {
        let good = json!({
            "issuer": "https://as.example",
            "authorization_endpoint": "https://as.example/authorize",
            "token_endpoint": "https://as.example/token",
            "code_challenge_methods_supported": ["plain", "S256"],
            "authorization_response_iss_parameter_supported": true,
            "scopes_supported": ["offline_access"],
        });
        let check = |change: Value| {
            let mut document = good.clone();
            document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            check_server(serde_json::from_value(document).unwrap(), "https://as.example/")
        };
        let server = check(json!({})).unwrap();
        assert!(server.names_itself && server.has_offline_access);
        assert!(!server.supports_client_documents);
        assert_eq!(server.issuer, "https://as.example");
        let plain = check(json!({ "authorization_response_iss_parameter_supported": "true" }));
        assert!(!plain.unwrap().names_itself);
        use LoginErrorKind::{Discovery, NoPkce};
        for (change, kind) in [
            (json!({ "issuer": "https://evil.example" }), Discovery),
            (json!({ "token_endpoint": null }), Discovery),
            (json!({ "authorization_endpoint": null }), Discovery),
            (json!({ "token_endpoint": "http://as.example/token" }), Discovery),
            (json!({ "authorization_endpoint": "javascript:alert(1)" }), Discovery),
            (json!({ "authorization_endpoint": "https://as.example/a#b" }), Discovery),
            (json!({ "response_types_supported": ["token"] }), Discovery),
            (json!({ "code_challenge_methods_supported": null }), NoPkce),
            (json!({ "code_challenge_methods_supported": ["plain"] }), NoPkce),
        ] {
            assert_eq!(check(change.clone()).unwrap_err().kind(), kind, "{change}");
        }
    }
}
