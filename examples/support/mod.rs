//! What the examples with Clerk share: its settings, or a stand-in where there are none.

use std::error::Error;

use clerk_mcp_tools::testing::FakeClerk;
use clerk_mcp_tools::{ClerkVerifier, ResourceUrl};

/// A variable that is set and not empty.
pub(crate) fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The verifier that the environment describes; with no Clerk key in it, that of a stand-in, which runs for as long as
/// it is kept.
pub(crate) async fn clerk(
    resource: ResourceUrl,
) -> Result<(ClerkVerifier, Option<FakeClerk>), Box<dyn Error>> {
    let builder = ClerkVerifier::builder().resource(resource);
    let keys = [
        "CLERK_PUBLISHABLE_KEY",
        "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY",
        "CLERK_FAPI",
        "CLERK_SECRET_KEY",
        "CLERK_JWT_KEY",
    ];
    if keys.into_iter().any(|name| var(name).is_some()) {
        return Ok((builder.env().build()?, None));
    }
    let stand_in = FakeClerk::start().await?;
    let settings = |name: &str| stand_in.env_var(name).or_else(|| var(name));
    Ok((builder.env_from(settings).build()?, Some(stand_in)))
}
