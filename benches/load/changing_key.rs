//! A key that changes during the load test, under the key id of the instance, as Clerk's keys do.

use std::sync::{Arc, Mutex};

use clerk_mcp_tools::testing::FakeClerk;

use crate::requests::Token;
use crate::support::fixture::RESOURCE;

/// The tokens of each key.
const TOKENS: usize = 32;
/// Each change adds a key with the same id to the key set, and an invalid token is checked with all
/// of them.
const MAX_CHANGES: usize = 20;

/// Tokens of the newest key. Keys of earlier tokens stay in the key set.
pub(crate) struct ChangingKey {
    key_id: String,
    newest: Mutex<Newest>,
}

struct Newest {
    changes: usize,
    tokens: Arc<Vec<Token>>,
}

impl ChangingKey {
    pub(crate) fn new(clerk: &FakeClerk) -> Self {
        let key_id = clerk.key_id();
        // The first key stays in the key set, with all tokens that it signed.
        clerk.publish_jwk(clerk.jwks()["keys"][0].clone());
        let tokens = Arc::new(mint(clerk, &key_id, 0));
        Self { key_id, newest: Mutex::new(Newest { changes: 0, tokens }) }
    }

    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Publishes a new key, then signs tokens with it.
    pub(crate) fn change(&self, clerk: &FakeClerk) {
        let changes = self.newest.lock().unwrap().changes + 1;
        if changes > MAX_CHANGES {
            return;
        }
        clerk.rotate_keys().unwrap();
        let mut key = clerk.jwks()["keys"].as_array().unwrap().last().unwrap().clone();
        key["kid"] = self.key_id.as_str().into();
        clerk.publish_jwk(key);
        let tokens = Arc::new(mint(clerk, &self.key_id, changes));
        *self.newest.lock().unwrap() = Newest { changes, tokens };
    }

    pub(crate) fn changes(&self) -> usize {
        self.newest.lock().unwrap().changes
    }

    pub(crate) fn tokens(&self) -> Arc<Vec<Token>> {
        Arc::clone(&self.newest.lock().unwrap().tokens)
    }
}

fn mint(clerk: &FakeClerk, key_id: &str, change: usize) -> Vec<Token> {
    let users = (0..TOKENS).map(|n| format!("user_{change}_{n}"));
    let token = |user: String| {
        let token = clerk.mint().audience(RESOURCE).subject(&user).header("kid", key_id);
        Token { text: token.jwt(), user }
    };
    users.map(token).collect()
}
