//! No token and no key in anything that can be logged or read.

mod finder;
mod settings;
mod types;

use std::io;
use std::sync::{Arc, Mutex};

use clerk_mcp_tools::testing::Fault;
use clerk_mcp_tools::{AuthInfo, BearerAuthLayer, SecretKey, TokenRequest, verify_clerk_token};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{RESOURCE, World, call, guarded, resource};

const MARK: &str = "MARKED";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_log_no_error_and_no_answer_shows_a_token_or_a_key() {
    let log = Captured::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(log.clone()).finish();
    // For this thread, on which every task of the test runs: those that fetch beside the requests, too.
    let capturing = tracing::subscriber::set_default(subscriber);
    let (seen, secrets) = drive_everything().await;
    drop(capturing);
    let log = log.text();
    assert!(
        log.contains("the key set of the Clerk instance could not be fetched"),
        "tasks are captured: {log}"
    );
    assert!(log.contains("an access token was refused"), "the log is captured: {log}");
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log: {log}");
        assert!(!seen.contains(&secret), "{secret} is in {seen}");
    }
}

/// Every path that a token or a key takes; all that they leave behind in one text, and what must not be in it.
async fn drive_everything() -> (String, Vec<String>) {
    let world = World::with(|clerk| clerk.secret_key(&format!("sk_test_{MARK}"))).await;
    let mut seen = String::new();
    let mint = || world.clerk.mint().audience(RESOURCE).header(MARK, MARK).claim("jti", "1");
    let tokens = [
        world.jwt(),
        world.opaque(),
        mint().signature(MARK.as_bytes().repeat(40)).jwt(),
        mint().expires_at(1).jwt(),
        world.clerk.mint().audience("https://o.example").jwt(),
        format!("oat_{MARK}"),
        format!("mt_{MARK}"),
        format!("{MARK}.{MARK}.{MARK}"),
        format!("{MARK} {MARK}"),
        MARK.to_owned(),
    ];
    let mut secrets = vec![MARK.to_owned()];
    // Of a JWT, no part may show either.
    secrets.extend(
        tokens.iter().flat_map(|token| token.split('.')).filter(|part| part.len() > 16).map(str::to_owned),
    );
    let wrong_key = SecretKey::parse(&format!("sk_test_wrong{MARK}")).unwrap();
    let verifiers = [
        world.verifier(),
        world.verifier_builder().keys_from_backend_api().build().unwrap(),
        world.public_verifier_builder().build().unwrap(),
        world.public_verifier_builder().secret_key(wrong_key.clone()).build().unwrap(),
    ];
    seen += &format!("{wrong_key:?} {:?} {:?}", world.verifier_builder(), world.clerk);
    for fault in [None, Some(Fault::Status { status: 500, retry_after: None }), Some(Fault::Down)] {
        if let Some(fault) = fault {
            world.clerk.fault_all(fault);
            // Long enough for the keys to be fetched anew.
            world.advance(2 * 60 * 60);
        }
        for verifier in &verifiers {
            seen += &format!("{verifier:?} {:?}", verifier.client());
            let layer = BearerAuthLayer::new(verifier.clone(), resource());
            seen += &format!("{layer:?}");
            let service = guarded(layer);
            for token in &tokens {
                seen += &format!("{:?}", TokenRequest::new(token));
                match verify_clerk_token(verifier, token).await {
                    Ok(caller) => seen += &described(&caller),
                    Err(error) => seen += &chain(&error),
                }
                let answer = call(&service, token).await;
                seen += &format!("{:?} {} {:?}", answer.headers, answer.body, answer.extensions);
            }
        }
    }
    (seen, secrets)
}

fn described(caller: &AuthInfo) -> String {
    format!("{caller:?} {:?} {:?}", caller.token(), caller.claims())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error:?}");
    let mut next = Some(error);
    while let Some(error) = next {
        text += &error.to_string();
        next = error.source();
    }
    text
}
