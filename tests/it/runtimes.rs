//! One verifier on several runtimes, as a test suite or a server with a runtime for each thread has it.

use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{ClerkVerifier, VerifyErrorKind as Kind, verify_clerk_token};
use tokio::runtime::Builder;

use crate::support::Fixture;

async fn kind(verifier: &ClerkVerifier, token: &str) -> Option<Kind> {
    verify_clerk_token(verifier, token).await.err().map(|error| error.kind())
}

#[test]
fn a_runtime_that_is_gone_takes_neither_a_fetch_nor_a_connection_with_it() {
    let lasting = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let gone = Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = lasting.block_on(Fixture::new());
    let (verifier, jwt) = (fixture.verifier(), fixture.jwt());
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    gone.block_on(async {
        assert_eq!(kind(&verifier, &fixture.opaque()).await, None, "its connection stays open");
        let (verifier, jwt) = (verifier.clone(), jwt.clone());
        tokio::spawn(async move { kind(&verifier, &jwt).await });
        gate.arrived(1).await;
    });
    drop(gone);
    gate.open();
    lasting.block_on(async {
        assert_eq!(kind(&verifier, &jwt).await, None);
        assert_eq!(kind(&verifier, &fixture.opaque()).await, None);
    });
}
