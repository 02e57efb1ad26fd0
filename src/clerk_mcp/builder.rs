//! The settings of an endpoint, checked before anything is built from them.

use std::fmt;
use std::sync::Arc;

use super::organizations::check_members;
use super::token_exchange::ExchangeSettings;
use super::{AuthLayer, ClerkMcp, Inner};
use crate::access_policy::AccessPolicyLayer;
use crate::bearer_auth::{BearerAuthLayer, SessionKey};
use crate::clerk::env::Env;
use crate::clerk::{ClerkVerifier, ClerkVerifierBuilder};
use crate::error::ConfigError;
use crate::mcp::AccessPolicy;
use crate::metadata::{ProtectedResourceMetadata, ProtectedResourceMetadataBuilder};
use crate::oauth::{OFFLINE_ACCESS, ResourceUrl, ScopeHierarchy, Scopes};
use crate::response::{Decision, RejectionFormat};
use crate::services::{AuthorizationServerService, ProtectedResourceService};

type OnDecision = dyn Fn(&Decision<'_>) + Send + Sync;

type CustomizeMetadata =
    dyn Fn(ProtectedResourceMetadataBuilder) -> ProtectedResourceMetadataBuilder + Send + Sync;

/// A builder of a [`ClerkMcp`].
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
    /// [`ClerkMcp::auth_layer`] applies it.
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
    /// See [`AccessPolicyLayer::rejection_format`].
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
    /// as ChatGPT expects it; see [`AccessPolicyLayer::security_schemes_in_lists`]. Defaults to
    /// leaving lists as they are.
    pub fn security_schemes_in_lists(mut self) -> Self {
        self.security_schemes_in_lists = true;
        self
    }

    /// Leaves out of lists what the [access policy](Self::access_policy) does not allow the caller;
    /// see [`AccessPolicyLayer::filter_lists`]. Defaults to leaving lists as they are. It protects
    /// nothing.
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
    /// [`ClerkMcp::auth_layer`] always binds the sessions of the MCP service, so that a session id
    /// that leaks is of no use with another user's token. Several processes that share sessions
    /// need the same key.
    pub fn session_key(mut self, key: SessionKey) -> Self {
        self.session_key = Some(key);
        self
    }

    /// Answers browsers as every other client without a token; see
    /// [`BearerAuthLayer::without_browser_page`]. Defaults to a short page in HTML as the body of the
    /// 401.
    pub fn without_browser_page(mut self) -> Self {
        self.browser_page = false;
        self
    }

    /// Sets a function that is called with the decision about each request, such as for an audit
    /// log. Defaults to none.
    ///
    /// [`AuthLayer::on_decision`] says when it is called, and what it must not do. It is for the
    /// layers: [`ClerkMcp::authenticate`] and [`ClerkMcp::authorize`] tell their caller.
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

    /// Checks the settings and builds all parts.
    ///
    /// # Errors
    ///
    /// Returns an error if the resource or the verifier is missing, if the verifier is set up for
    /// another resource, if a setting has nothing to apply to, if the access policy has rules about
    /// members of an organization and there is no secret key, if a scope that every request needs
    /// is not advertised or not among the initial ones, or if a variable of the environment is
    /// invalid.
    pub fn build(mut self) -> Result<ClerkMcp, ConfigError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let resource = self.resource.take().ok_or_else(|| {
            ConfigError::missing(
                "MCP_RESOURCE_URL",
                "is not set: it is the public URL of the MCP endpoint",
            )
        })?;
        let env_verifier = self.env_verifier.take().map(|verifier| {
            let (scopes, hierarchy) = (self.scopes.clone(), self.hierarchy.clone());
            verifier.resource(resource.clone()).endpoint_scopes(scopes, hierarchy)
        });
        let verifier = build_verifier(self.verifier.take(), env_verifier)?;
        let initial = self.initial_scopes.take().unwrap_or_else(|| self.scopes.clone());
        let advertised = self.scopes_supported.take().unwrap_or_else(|| initial.clone());
        check_resource(&resource, &verifier)?;
        check_metadata_path(&resource, self.root_metadata)?;
        check_grantable(&self.scopes.union(&self.policy.scopes()).union(&initial))?;
        check_members(&self.policy, &verifier)?;
        check_filter(self.filter_lists, &self.policy)?;
        check_restricted(self.restrict_advertised_scopes, self.authorization_server_metadata)?;
        check_contains("initial_scopes", &initial, &self.scopes, &self.hierarchy)?;
        check_contains("scopes_supported", &advertised, &self.scopes, &self.hierarchy)?;
        let metadata = self.metadata(&resource, &verifier, &advertised)?;
        let exchange = std::mem::take(&mut self.exchange).build(&verifier)?;
        let auth_layer = self.auth_layer(&resource, &verifier, &initial)?;
        let restrict_to = self.restrict_advertised_scopes.then_some(advertised);
        Ok(ClerkMcp(Arc::new(Inner {
            protected_resource: ProtectedResourceService::new(&metadata),
            authorization_server: AuthorizationServerService::restricted(&verifier, restrict_to),
            resource,
            verifier,
            scopes: self.scopes,
            initial_scopes: initial,
            hierarchy: self.hierarchy,
            exchange,
            auth_layer,
            cors: self.cors,
            root_metadata: self.root_metadata,
            authorization_server_metadata: self.authorization_server_metadata,
            metadata,
        })))
    }

    fn auth_layer(
        &self,
        resource: &ResourceUrl,
        verifier: &ClerkVerifier,
        initial_scopes: &Scopes,
    ) -> Result<AuthLayer, ConfigError> {
        let bearer_auth = BearerAuthLayer::new(verifier.clone(), resource.clone())
            .required_scopes(self.scopes.clone())
            .initial_scopes(initial_scopes.clone())
            .scope_hierarchy(self.hierarchy.clone())
            .clock(verifier.clock())
            .bind_sessions(self.session_key_or_default(verifier)?);
        type BearerSetting = fn(BearerAuthLayer<ClerkVerifier>) -> BearerAuthLayer<ClerkVerifier>;
        let settings: [(bool, BearerSetting); 2] = [
            (self.optional, BearerAuthLayer::optional),
            (!self.browser_page, BearerAuthLayer::without_browser_page),
        ];
        let settings = settings.into_iter().filter(|(is_on, _)| *is_on);
        let bearer_auth = settings.fold(bearer_auth, |layer, (_, set)| set(layer));
        let access_policy = AccessPolicyLayer::new(self.policy.clone(), resource.clone())
            .clock(verifier.clock())
            .look_up_memberships(verifier.clone())
            .rejection_format(self.rejection_format)
            .required_scopes(self.scopes.clone())
            .initial_scopes(initial_scopes.clone())
            .scope_hierarchy(self.hierarchy.clone());
        type Setting = fn(AccessPolicyLayer) -> AccessPolicyLayer;
        let settings: [(bool, Setting); 3] = [
            (self.step_up_from_handlers, AccessPolicyLayer::step_up_from_handlers),
            (self.security_schemes_in_lists, AccessPolicyLayer::security_schemes_in_lists),
            (self.filter_lists, AccessPolicyLayer::filter_lists),
        ];
        let settings = settings.into_iter().filter(|(is_on, _)| *is_on);
        let access_policy = settings.fold(access_policy, |layer, (_, set)| set(layer));
        let layer = if self.cors {
            AuthLayer::new(bearer_auth, access_policy)
        } else {
            AuthLayer::new(bearer_auth.without_cors(), access_policy.without_cors())
        };
        Ok(match &self.on_decision {
            Some(hook) => {
                let hook = Arc::clone(hook);
                layer.on_decision(move |decision| hook(decision))
            }
            None => layer,
        })
    }

    fn session_key_or_default(&self, verifier: &ClerkVerifier) -> Result<SessionKey, ConfigError> {
        match (&self.session_key, verifier.client()) {
            (Some(key), _) => Ok(key.clone()),
            (None, Some(client)) => Ok(SessionKey::derive(client.secret_bytes())),
            (None, None) => SessionKey::random(),
        }
    }

    fn metadata(
        &self,
        resource: &ResourceUrl,
        verifier: &ClerkVerifier,
        advertised: &Scopes,
    ) -> Result<ProtectedResourceMetadata, ConfigError> {
        let instance = verifier.frontend_api();
        let builder =
            ProtectedResourceMetadata::for_clerk(instance, resource).scopes_supported(advertised);
        let mut metadata = match &self.customize_metadata {
            Some(customize) => customize(builder).build()?,
            None => builder.build()?,
        };
        // The document must describe what the layers enforce, whatever the closure did.
        resource.as_str().clone_into(&mut metadata.resource);
        metadata.authorization_servers = vec![instance.issuer().to_owned()];
        metadata.scopes_supported = advertised.advertisable().iter().map(str::to_owned).collect();
        Ok(metadata)
    }
}

fn build_verifier(
    verifier: Option<ClerkVerifier>,
    env_verifier: Option<ClerkVerifierBuilder>,
) -> Result<ClerkVerifier, ConfigError> {
    match (verifier, env_verifier) {
        (Some(verifier), _) => Ok(verifier),
        (None, Some(builder)) => builder.build(),
        (None, None) => Err(ConfigError::missing(
            "verifier",
            "is not set: pass a ClerkVerifier, or read Clerk's settings from the environment with env()",
        )),
    }
}

fn check_resource(resource: &ResourceUrl, verifier: &ClerkVerifier) -> Result<(), ConfigError> {
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

fn check_metadata_path(resource: &ResourceUrl, root_metadata: bool) -> Result<(), ConfigError> {
    if root_metadata || !resource.path().trim_end_matches('/').is_empty() {
        return Ok(());
    }
    Err(ConfigError::conflict(
        "without_root_metadata",
        format!("leaves no path for the metadata of {resource}, which has no path of its own"),
    ))
}

fn check_grantable(needed: &Scopes) -> Result<(), ConfigError> {
    if !needed.contains(OFFLINE_ACCESS) {
        return Ok(());
    }
    Err(ConfigError::invalid(
        "scopes",
        "cannot contain offline_access: it concerns client and authorization server only, and no \
         challenge may name it (MCP 2026-07-28, authorization)",
    ))
}

fn check_restricted(restrict: bool, serves_metadata: bool) -> Result<(), ConfigError> {
    if !restrict || serves_metadata {
        return Ok(());
    }
    Err(ConfigError::conflict(
        "restrict_advertised_scopes",
        "concerns a document that without_authorization_server_metadata leaves out: set one of them",
    ))
}

fn check_filter(filter_lists: bool, policy: &AccessPolicy) -> Result<(), ConfigError> {
    if !filter_lists || !policy.is_empty() {
        return Ok(());
    }
    Err(ConfigError::conflict(
        "filter_lists",
        "has no rules to filter by: set an access_policy, or leave it out",
    ))
}

/// Checks that a client which requests these scopes at its first sign-in gets every needed one.
fn check_contains(
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

impl fmt::Debug for ClerkMcpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClerkMcpBuilder")
            .field("resource", &self.resource)
            .field("verifier", &self.verifier)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
