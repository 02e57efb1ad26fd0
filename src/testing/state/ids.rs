//! Random identifiers and secrets.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Generates identifiers and secrets: one seed from the system, then SHA-256 over a counter, so
/// that only the start of an instance can fail.
pub(crate) struct Ids {
    seed: [u8; 32],
    drawn: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> io::Result<Self> {
        let mut seed = [0; 32];
        rand::fill(&mut seed)
            .map_err(|_| io::Error::other("failed to get random bytes from the system"))?;
        Ok(Self { seed, drawn: AtomicU64::new(0) })
    }

    /// Returns an identifier in Clerk's format: the prefix and 27 letters and digits.
    pub(crate) fn id(&self, prefix: &str) -> String {
        let draw = self.draw();
        let letters = draw.as_ref().iter().take(27).map(|byte| base62(*byte));
        prefix.chars().chain(letters).collect()
    }

    /// Returns an identifier in the format of API keys: the prefix and 32 hexadecimal digits.
    pub(crate) fn hex_id(&self, prefix: &str) -> String {
        let draw = self.draw();
        let digits = draw.as_ref().iter().take(16).map(|byte| format!("{byte:02x}"));
        prefix.to_owned() + &digits.collect::<String>()
    }

    /// Returns 256 bits as 43 characters of base64url.
    pub(crate) fn secret(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.draw())
    }

    fn draw(&self) -> digest::Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.seed);
        context.update(&self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        context.finish()
    }
}

fn base62(byte: u8) -> char {
    let letter = BASE62.get(usize::from(byte) % BASE62.len());
    char::from(letter.copied().unwrap_or(b'0'))
}
