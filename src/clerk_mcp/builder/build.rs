//! Builds all parts of an endpoint from its settings, once they are checked.

use std::sync::Arc;

use super::ClerkMcpBuilder;
use super::checks::{
    check_contains, check_filter, check_grantable, check_metadata_path, check_resource,
    check_restricted,
};
use crate::access_policy::AccessPolicyLayer;
use crate::bearer_auth::{BearerAuthLayer, SessionKey};
use crate::clerk::{ClerkVerifier, ClerkVerifierBuilder};
use crate::clerk_mcp::organizations::check_members;
use crate::clerk_mcp::{AuthLayer, ClerkMcp, Inner};
use crate::error::ConfigError;
use crate::metadata::ProtectedResourceMetadata;
use crate::oauth::{ResourceUrl, Scopes};
use crate::services::{AuthorizationServerService, ProtectedResourceService};

impl ClerkMcpBuilder {
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
