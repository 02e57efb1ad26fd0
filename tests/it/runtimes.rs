//! One verifier used on several tokio runtimes, as in test suites and thread-per-core servers.

use clerk_mcp_tools::testing::{Fault, Route};
use tokio::runtime::Builder;

use crate::support::{Fixture, error_kind, spawn_verify};

#[test]
fn a_verifier_survives_the_end_of_a_runtime_that_it_was_used_on() {
    let first = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let second = Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = first.block_on(Fixture::new());
    let (verifier, jwt) = (fixture.verifier(), fixture.jwt());
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::Jwks, fault);
    second.block_on(async {
        assert_eq!(
            error_kind(&verifier, &fixture.opaque()).await,
            None,
            "leaves a pooled connection"
        );
        spawn_verify(&verifier, &jwt);
        gate.arrived(1).await;
    });
    drop(second);
    gate.open();
    first.block_on(async {
        assert_eq!(error_kind(&verifier, &jwt).await, None);
        assert_eq!(error_kind(&verifier, &fixture.opaque()).await, None);
    });
}
