//! A fake Clerk with a runtime, and verifiers and tokens for it.

use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::{FakeClerk, FakeClerkBuilder};
use clerk_mcp_tools::{ClerkVerifier, ClerkVerifierBuilder, ResourceUrl, SecretKey};

pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";

pub(crate) struct Fixture {
    pub(crate) clerk: FakeClerk,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|clerk| clerk)
    }

    pub(crate) fn with(configure: impl FnOnce(FakeClerkBuilder) -> FakeClerkBuilder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let clerk = runtime.block_on(configure(FakeClerk::builder()).start()).unwrap();
        Self { clerk, runtime }
    }

    pub(crate) fn builder(&self) -> ClerkVerifierBuilder {
        ClerkVerifier::builder()
            .frontend_api(FrontendApi::parse(self.clerk.frontend_api_url()).unwrap())
            .secret_key(SecretKey::parse(self.clerk.secret_key()).unwrap())
            .backend_api(self.clerk.backend_api_url().parse().unwrap())
            .resource(resource())
            .max_calls_per_ten_seconds(1_000_000)
    }

    /// A verifier that has fetched its keys.
    pub(crate) fn warm_verifier(&self) -> ClerkVerifier {
        self.warm_up(self.builder())
    }

    /// Builds a verifier, and fetches its keys.
    pub(crate) fn warm_up(&self, builder: ClerkVerifierBuilder) -> ClerkVerifier {
        let verifier = builder.build().unwrap();
        self.runtime.block_on(verifier.warm_up()).unwrap();
        verifier
    }

    /// A valid JWT for [`RESOURCE`].
    pub(crate) fn jwt(&self) -> String {
        self.clerk.mint().audience(RESOURCE).jwt()
    }
}

pub(crate) fn resource() -> ResourceUrl {
    ResourceUrl::parse(RESOURCE).unwrap()
}
