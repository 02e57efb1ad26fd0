//! The records of connections: sealing and opening, apart from any store.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, RandomizedNonceKey};
use clerk_mcp_tools::client::{KeyId, RecordKey, SealingKeys};

use crate::support::measure::{Case, measure};
use crate::support::table::{print_head, print_row};

const RECORDS: usize = 2000;
const ROUNDS: usize = 15;

/// An access token, a refresh token, endpoints and scopes.
const BYTES: usize = 2048;

pub(crate) fn run() {
    let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &[2; 32]).unwrap();
    let keys = SealingKeys::new([1; 32], KeyId::parse("2026-11").unwrap(), [2; 32]).unwrap();
    let tag = "a".repeat(43);
    let place = RecordKey::parse(&format!("connection/{tag}/{tag}")).unwrap();
    let plaintext = vec![b'x'; BYTES];
    let record = keys.seal(&place, &plaintext).unwrap();
    let times = measure(
        ROUNDS,
        vec![
            Case::new(RECORDS, |_| {
                let mut sealed = plaintext.clone();
                black_box(key.seal_in_place_append_tag(Aad::empty(), &mut sealed)).unwrap();
            }),
            Case::new(RECORDS, |_| {
                black_box(keys.seal(&place, &plaintext)).unwrap();
            }),
            Case::new(RECORDS, |_| {
                black_box(keys.open(&place, &record)).unwrap();
            }),
        ],
    );
    let [baseline, seal, open] = times[..] else { unreachable!() };
    print_head(&format!(
        "Records of connections, {BYTES} bytes; the baseline, AES-256-GCM-SIV alone, took \
         {baseline:.0} ns"
    ));
    for (case, time) in [("seal", seal), ("open", open)] {
        let measured = format!("{time:.0} ns, {:.2} x", time / baseline);
        print_row(case, &measured, "at most 5 µs", time <= 5000.0);
    }
}
