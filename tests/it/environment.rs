//! Variables of the environment that the HTTP client would read by itself.

use std::env;
use std::net::TcpListener;
use std::process::Command;

use clerk_mcp_tools::verify_clerk_token;

use crate::support::Fixture;

/// Set in the process that is started with the variables: they are those of a whole process.
const CHILD: &str = "CLERK_MCP_TOOLS_TEST_CHILD";
const TEST: &str = "environment::a_proxy_sees_no_calls_to_this_machine";

/// They are plain HTTP, with the secret key and tokens in them.
#[test]
fn a_proxy_sees_no_calls_to_this_machine() {
    if env::var_os(CHILD).is_some() {
        return call_clerk();
    }
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let origin = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", TEST, "--nocapture"]).env(CHILD, "1");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, &origin).env(name.to_lowercase(), &origin);
    }
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(name);
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
    assert!(proxy.accept().is_err(), "the proxy was called");
}

#[tokio::main(flavor = "current_thread")]
async fn call_clerk() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    for token in [fixture.jwt(), fixture.opaque()] {
        verify_clerk_token(&verifier, &token).await.unwrap();
    }
    let client = verifier.client().unwrap();
    client.get_user(fixture.clerk.default_user_id()).await.unwrap();
}
