//! The settings of an endpoint.

mod build;
mod checks;

use std::fmt;
use std::sync::Arc;

use super::token_exchange::ExchangeSettings;
use crate::bearer_auth::SessionKey;
use crate::clerk::env::Env;
use crate::clerk::{ClerkVerifier, ClerkVerifierBuilder};
use crate::error::ConfigError;
use crate::mcp::AccessPolicy;
use crate::metadata::ProtectedResourceMetadataBuilder;
use crate::oauth::{ResourceUrl, ScopeHierarchy, Scopes};
use crate::response::{Decision, RejectionFormat};

type OnDecision = dyn Fn(&Decision<'_>) + Send + Sync;

type CustomizeMetadata =
    dyn Fn(ProtectedResourceMetadataBuilder) -> ProtectedResourceMetadataBuilder + Send + Sync;

/// A builder of a [`ClerkMcp`](crate::ClerkMcp).
#[derive(Clone)]
#[must_use]
pub struct ClerkMcpBuilder {
    resource: Option<ResourceUrl>,
    verifier: Option<ClerkVerifier>,
    /// What the environment says about the verifier; used if no verifier is set.
    env_verifier: Option<Box<ClerkVerifierBuilder>>,
    scopes: Scopes,
    scopes_supported: Option<Scopes>,
    initial_scopes: Option<Scopes>,
    rejection_format: RejectionFormat,
    step_up_from_handlers: bool,
    security_schemes_in_lists: bool,
    filter_lists: bool,
    hierarchy: ScopeHierarchy,
    policy: AccessPolicy,
    pub(super) exchange: ExchangeSettings,
    optional: bool,
    cors: bool,
    session_key: Option<SessionKey>,
    browser_page: bool,
    on_decision: Option<Arc<OnDecision>>,
    root_metadata: bool,
    authorization_server_metadata: bool,
    restrict_advertised_scopes: bool,
    customize_metadata: Option<Arc<CustomizeMetadata>>,
    /// The first invalid variable of the environment; `build` reports it.
    problem: Option<ConfigError>,
}

impl ClerkMcpBuilder {
    pub(super) fn new() -> Self {
        Self {
            resource: None,
            verifier: None,
            env_verifier: None,
            scopes: Scopes::none(),
            scopes_supported: None,
            initial_scopes: None,
            rejection_format: RejectionFormat::HttpStatus,
            step_up_from_handlers: false,
            security_schemes_in_lists: false,
            filter_lists: false,
            hierarchy: ScopeHierarchy::new(),
            policy: AccessPolicy::empty(),
            exchange: ExchangeSettings::default(),
            optional: false,
            cors: true,
            session_key: None,
            browser_page: true,
            on_decision: None,
            root_metadata: true,
            authorization_server_metadata: true,
            restrict_advertised_scopes: false,
            customize_metadata: None,
            problem: None,
        }
    }

    /// Reads the settings from the environment.
    ///
    /// | variable | setting |
    /// | --- | --- |
    /// | `MCP_RESOURCE_URL` | [`resource`](Self::resource) |
    /// | `MCP_SCOPES`, separated by spaces | [`scopes`](Self::scopes) |
    /// | `CLERK_OAUTH_CLIENT_ID`, `CLERK_OAUTH_CLIENT_SECRET` | [`token_exchange`](Self::token_exchange): both or none |
    /// | those of [`ClerkVerifierBuilder::env`](crate::ClerkVerifierBuilder::env) | the verifier, unless [`verifier`](Self::verifier) sets one |
    ///
    /// With `MCP_ACCEPTS`, API keys need the [`scopes`](Self::scopes) of the endpoint, and machines
    /// and sessions are granted them.
    ///
    /// A variable that is empty counts as not set. [`build`](Self::build) reports an invalid value.
    pub fn env(self) -> Self {
        self.env_from(|name| std::env::var(name).ok())
    }

    /// Reads the variables of [`env`](Self::env) from `var`, such as a file or a test's own list.
    pub fn env_from(mut self, var: impl Fn(&str) -> Option<String>) -> Self {
        if let Err(problem) = self.read_env(&Env::new(&var)) {
            self.problem.get_or_insert(problem);
        }
        let verifier =
            self.env_verifier.take().map_or_else(ClerkVerifier::builder, |builder| *builder);
        self.env_verifier = Some(Box::new(verifier.env_from(var)));
        self
    }

    fn read_env(&mut self, env: &Env<'_>) -> Result<(), ConfigError> {
        self.resource = env.resource()?.or(self.resource.take());
        self.exchange.read_env(env)?;
        if let Some(scopes) = env.scopes()? {
            self.scopes = scopes;
        }
        Ok(())
    }

    /// Sets the public URL of the MCP endpoint, such as `https://mcp.example.com/mcp`.
    /// Required.
    pub fn resource(mut self, resource: ResourceUrl) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets the verifier of the tokens, which takes precedence over [`env`](Self::env). Defaults to
    /// the one that `env` describes, and is required without it.
    pub fn verifier(mut self, verifier: ClerkVerifier) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// Sets the scopes that every request needs (the baseline). Defaults to none.
    ///
    /// Every challenge names them, and so does the metadata unless
    /// [`scopes_supported`](Self::scopes_supported) sets others.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Sets what single tools, prompts, resources and methods need besides the baseline. Defaults
    /// to nothing.
    ///
    /// [`ClerkMcp::auth_layer`](crate::ClerkMcp::auth_layer) applies it.
    pub fn access_policy(mut self, policy: AccessPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the scopes that a client asks for at its first sign-in. Defaults to
    /// [`scopes`](Self::scopes).
    ///
    /// For clients that never ask for more later: name the scopes of the [access
    /// policy](Self::access_policy) here as well. No request needs them. They have to contain those
    /// of every request. The challenge of a 401 names them, unless the token has merely expired,
    /// and so does the metadata unless [`scopes_supported`](Self::scopes_supported) sets others:
    /// some clients read the one, some the other. The price is that every user is asked for all of
    /// them.
    ///
    /// ```
    /// use clerk_mcp_tools::{ClerkMcp, Scopes};
    ///
    /// let builder = ClerkMcp::builder()
    ///     .env()
    ///     .scopes(Scopes::parse("profile")?)
    ///     .initial_scopes(Scopes::parse("profile files:write")?);
    /// # let _ = builder;
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    pub fn initial_scopes(mut self, scopes: Scopes) -> Self {
        self.initial_scopes = Some(scopes);
        self
    }

    /// Sets the scopes that the metadata names, which some clients request at their first sign-in
    /// (Claude, Inspector, mcpc). Defaults to [`initial_scopes`](Self::initial_scopes).
    ///
    /// Most clients take them from the challenge instead, which this does not change.
    pub fn scopes_supported(mut self, scopes: Scopes) -> Self {
        self.scopes_supported = Some(scopes);
        self
    }

    /// Sets how rejected tool calls are answered. Defaults to
    /// [`HttpStatus`](RejectionFormat::HttpStatus), which ChatGPT does not react to.
    ///
    /// See [`rejection_format`](crate::access_policy::AccessPolicyLayer::rejection_format) of the
    /// layer.
    pub fn rejection_format(mut self, format: RejectionFormat) -> Self {
        self.rejection_format = format;
        self
    }

    /// Lets tools ask for further scopes while they run, where only the arguments say what a call
    /// needs; see [`StepUp`](crate::access_policy::StepUp). Defaults to not doing so.
    pub fn step_up_from_handlers(mut self) -> Self {
        self.step_up_from_handlers = true;
        self
    }

    /// Writes into `tools/list` what each tool needs by the [access policy](Self::access_policy),
    /// as ChatGPT expects it; see the setting of
    /// [the layer](crate::access_policy::AccessPolicyLayer::security_schemes_in_lists). Defaults to
    /// leaving lists as they are.
    pub fn security_schemes_in_lists(mut self) -> Self {
        self.security_schemes_in_lists = true;
        self
    }

    /// Leaves out of lists what the [access policy](Self::access_policy) does not allow the caller;
    /// see [`filter_lists`](crate::access_policy::AccessPolicyLayer::filter_lists) of the layer.
    /// Defaults to leaving lists as they are. It protects nothing.
    pub fn filter_lists(mut self) -> Self {
        self.filter_lists = true;
        self
    }

    /// Sets which scopes imply others. Defaults to none.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// Passes requests without a token; see
    /// [`BearerAuthLayer::optional`](crate::bearer_auth::BearerAuthLayer::optional). Defaults to
    /// rejecting them.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Leaves CORS to a layer of your own; see
    /// [`BearerAuthLayer::without_cors`](crate::bearer_auth::BearerAuthLayer::without_cors).
    /// Defaults to responses that pages of every origin may read.
    pub fn without_cors(mut self) -> Self {
        self.cors = false;
        self
    }

    /// Sets the key that binds session ids to their callers. Defaults to one that is derived from
    /// Clerk's secret key, or to a random one without a secret key.
    ///
    /// [`ClerkMcp::auth_layer`](crate::ClerkMcp::auth_layer) always binds the sessions of the MCP
    /// service, so that a session id that leaks is of no use with another user's token. Several
    /// processes that share sessions need the same key.
    pub fn session_key(mut self, key: SessionKey) -> Self {
        self.session_key = Some(key);
        self
    }

    /// Answers browsers as every other client without a token; see
    /// [`without_browser_page`](crate::bearer_auth::BearerAuthLayer::without_browser_page) of the
    /// layer. Defaults to a short page in HTML as the body of the 401.
    pub fn without_browser_page(mut self) -> Self {
        self.browser_page = false;
        self
    }

    /// Sets a function that is called with the decision about each request, such as for an audit
    /// log. Defaults to none.
    ///
    /// [`AuthLayer::on_decision`](crate::AuthLayer::on_decision) says when it is called, and what
    /// it must not do. It is for the layers:
    /// [`ClerkMcp::authenticate`](crate::ClerkMcp::authenticate) and
    /// [`ClerkMcp::authorize`](crate::ClerkMcp::authorize) tell their caller.
    pub fn on_decision(mut self, hook: impl Fn(&Decision<'_>) + Send + Sync + 'static) -> Self {
        self.on_decision = Some(Arc::new(hook));
        self
    }

    /// Serves the metadata only at the well-known paths that contain the path of the resource, and
    /// leaves those without it to another endpoint of the same host. Defaults to serving both.
    ///
    /// Clients find the document by the challenge. Only those that do not read challenges try the
    /// host's root.
    pub fn without_root_metadata(mut self) -> Self {
        self.root_metadata = false;
        self
    }

    /// Leaves out the copy of Clerk's authorization server metadata. Defaults to serving it.
    ///
    /// Clients of MCP 2025-03-26 look for it at this server, such as the TypeScript SDK up to 1.11,
    /// and so does mcpc to refresh a token. Later clients find Clerk's own document by the
    /// protected resource metadata; one of them (rust-mcp-sdk 2.0) gives up on the copy, since its
    /// issuer is not this server (RFC 8414 section 3.3).
    pub fn without_authorization_server_metadata(mut self) -> Self {
        self.authorization_server_metadata = false;
        self
    }

    /// Restricts `scopes_supported` in the copy of the authorization server metadata to those of
    /// this server. Defaults to Clerk's list.
    ///
    /// It helps clients that request every scope they find there, which Clerk rejects
    /// (`invalid_scope`), if they read this copy: those of MCP 2025-03-26. Of the clients that were
    /// tried, only Gemini CLI requests every scope, and it reads Clerk's own document, which no
    /// setting of this crate changes.
    pub fn restrict_advertised_scopes(mut self) -> Self {
        self.restrict_advertised_scopes = true;
        self
    }

    /// Adds to the protected resource metadata, such as a name to show to users. The resource, its
    /// authorization server and its scopes cannot be changed here. Defaults to no additions.
    ///
    /// ```
    /// # use clerk_mcp_tools::ClerkMcp;
    /// let builder = ClerkMcp::builder().customize_metadata(|metadata| {
    ///     metadata.resource_name("Example").resource_tos_uri("https://example.com/tos")
    /// });
    /// # let _ = builder;
    /// ```
    pub fn customize_metadata<F>(mut self, customize: F) -> Self
    where
        F: Fn(ProtectedResourceMetadataBuilder) -> ProtectedResourceMetadataBuilder
            + Send
            + Sync
            + 'static,
    {
        self.customize_metadata = Some(Arc::new(customize));
        self
    }
}

impl fmt::Debug for ClerkMcpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClerkMcpBuilder")
            .field("resource", &self.resource)
            .field("verifier", &self.verifier)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
