//! API keys, machine tokens and session tokens: which are accepted, and as whom.

mod environment;
mod machinery;
mod machines;
mod table;

use std::sync::Arc;

use clerk_mcp_tools::clerk::{ApiKeys, MachineTokens, SessionTokens};
use clerk_mcp_tools::instance::{MachineId, MachineSecretKey};
use clerk_mcp_tools::testing::{FakeMachine, Route, TokenBuilder};
use clerk_mcp_tools::{ClerkVerifier, ClerkVerifierBuilder, Scopes, TokenType};

use crate::support::{Fixture, NOW};

const FRONTEND: &str = "https://app.example.com";

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

/// An instance with a machine for the server, and one that may call it.
struct Instance {
    fixture: Fixture,
    server: FakeMachine,
    caller: FakeMachine,
    /// May call another machine only.
    stranger: FakeMachine,
}

impl Instance {
    async fn new() -> Arc<Self> {
        let fixture = Fixture::new().await;
        let server = fixture.clerk.create_machine("server");
        let other = fixture.clerk.create_machine("other");
        let caller = fixture.clerk.create_machine("caller");
        let stranger = fixture.clerk.create_machine("stranger");
        caller.allow_calls_to(&server);
        stranger.allow_calls_to(&other);
        fixture.clerk.set_server_machine(&server);
        Arc::new(Self { fixture, server, caller, stranger })
    }

    fn machine_key(&self) -> MachineSecretKey {
        MachineSecretKey::parse(self.server.secret_key()).unwrap()
    }

    fn machine_id(&self) -> MachineId {
        MachineId::parse(self.server.id()).unwrap()
    }

    fn api_keys() -> ApiKeys {
        ApiKeys::requiring_scopes(scopes("mcp")).unwrap()
    }

    fn machine_tokens(&self) -> MachineTokens {
        MachineTokens::with_secret_key(self.machine_key())
            .machine_id(self.machine_id())
            .granting(scopes("mcp"))
    }

    fn session_tokens() -> SessionTokens {
        SessionTokens::from_authorized_parties([FRONTEND]).unwrap().granting(scopes("mcp"))
    }

    /// A builder of a verifier that accepts these types and no others.
    fn builder(&self, accepted: &[TokenType]) -> ClerkVerifierBuilder {
        let mut builder = self.fixture.verifier_builder();
        if !accepted.contains(&TokenType::OAuthToken) {
            builder = builder.reject_oauth_tokens();
        }
        if accepted.contains(&TokenType::ApiKey) {
            builder = builder.accept_api_keys(Self::api_keys());
        }
        if accepted.contains(&TokenType::M2mToken) {
            builder = builder.accept_machine_tokens(self.machine_tokens());
        }
        if accepted.contains(&TokenType::SessionToken) {
            builder = builder.accept_session_tokens(Self::session_tokens());
        }
        builder
    }

    fn verifier(&self, accepted: &[TokenType]) -> ClerkVerifier {
        self.builder(accepted).build().unwrap()
    }

    /// A session token of the frontend, issued long before the key set was fetched: no newer key can
    /// have signed it.
    fn session(&self) -> TokenBuilder {
        earlier(self.fixture.clerk.mint_session_token(FRONTEND))
    }

    /// A token by which the caller calls the server.
    fn machine_token(&self) -> TokenBuilder {
        earlier(self.caller.mint())
    }

    fn api_key(&self) -> String {
        self.fixture.clerk.create_api_key().scopes(["mcp"]).secret()
    }

    /// The number of calls about opaque tokens.
    fn calls(&self) -> usize {
        let routes = [Route::VerifyAccessToken, Route::VerifyApiKey, Route::VerifyMachineToken];
        routes.into_iter().map(|route| self.fixture.clerk.calls(route)).sum()
    }
}

fn earlier(token: TokenBuilder) -> TokenBuilder {
    token.issued_at(NOW - 3600).not_before(NOW - 3600).expires_at(NOW + 60)
}
