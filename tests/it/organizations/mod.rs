//! Organizations: memberships, rules about them, and tokens for other services.

mod example_server;
mod exchange;
mod invalid_responses;
mod load;
#[path = "../../../benches/load/members.rs"]
mod members;
mod memberships;
mod rules;
mod step_up;

use clerk_mcp_tools::testing::{FakeOrganization, Route};
use clerk_mcp_tools::{AuthInfo, ClerkVerifier, ClerkVerifierBuilder, Scopes, verify_clerk_token};

use crate::support::{Fixture, RESOURCE};

const EDITOR: &str = "org:editor";
const WRITE: &str = "org:files:write";

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

/// An organization of which the default user is an editor.
fn acme(fixture: &Fixture) -> FakeOrganization {
    let acme = fixture.clerk.create_organization("Acme");
    acme.set_member(fixture.clerk.default_user_id(), EDITOR, [WRITE]);
    acme
}

/// A token of the default user that names this organization.
fn token(fixture: &Fixture, organization: &FakeOrganization) -> String {
    let mint = fixture.clerk.mint().audience(RESOURCE).organization(organization.id());
    mint.scopes(["profile", "email", "user:org:read"]).jwt()
}

/// The caller of that token.
async fn caller(
    fixture: &Fixture,
    verifier: &ClerkVerifier,
    organization: &FakeOrganization,
) -> AuthInfo {
    verify_clerk_token(verifier, &token(fixture, organization)).await.unwrap()
}

fn calls(fixture: &Fixture) -> usize {
    fixture.clerk.calls(Route::OrganizationMemberships)
}

/// Sets a verifier that serves members for ten minutes of an outage.
fn with_stale(builder: ClerkVerifierBuilder) -> ClerkVerifierBuilder {
    builder.membership_stale_ttl(std::time::Duration::from_secs(600))
}
