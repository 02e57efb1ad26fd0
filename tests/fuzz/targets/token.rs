//! Fuzzes token verification with a fixed key and without a network. The private key is not
//! available, so an accepted token must be byte for byte one of the recorded genuine tokens.

#![no_main]

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::{ClerkVerifier, ResourceUrl, VerifyErrorKind, verify_clerk_token};
use libfuzzer_sys::fuzz_target;

const GENUINE: &str = include_str!("../data/genuine_tokens.txt");

static VERIFIER: LazyLock<ClerkVerifier> = LazyLock::new(|| {
    ClerkVerifier::builder()
        .frontend_api(FrontendApi::parse("https://clerk.example.com").unwrap())
        .jwt_key(include_str!("../data/jwt_key.pem").parse().unwrap())
        .resource(ResourceUrl::parse("https://mcp.example.com/mcp").unwrap())
        .build()
        .unwrap()
});

fuzz_target!(|token: &str| {
    let verified =
        pin!(verify_clerk_token(&VERIFIER, token)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(verified) = verified else {
        panic!("the result is not ready");
    };
    match verified {
        Ok(caller) => {
            assert!(GENUINE.lines().any(|genuine| genuine == token), "a forged token was accepted");
            let found = (caller.token_for_this_server().expose(), caller.user_id());
            assert_eq!(found, (token, Some("user_1")));
        }
        // An opaque token, which cannot be verified without a secret key.
        Err(error) if error.kind() == VerifyErrorKind::Misconfigured => {
            assert!(token.starts_with("oat_"))
        }
        Err(error) => assert!(error.kind().is_invalid_token(), "{error:?}"),
    }
});
