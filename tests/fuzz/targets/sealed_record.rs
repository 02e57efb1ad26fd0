//! Fuzzes what is read from a store of connections: the key of a record and its sealed bytes. Only what
//! was sealed opens, and only under the key that it was sealed for.

#![no_main]

use clerk_mcp_tools::client::{KeyId, Record, RecordKey, Revision, SealingKeys};
use libfuzzer_sys::fuzz_target;

/// A record that was sealed with the keys below, its key before it.
const GENUINE: &[u8] = include_bytes!("../corpus/sealed_record/genuine");
const PLAINTEXT: &[u8] = b"known";

fuzz_target!(|input: &[u8]| {
    let Some(line) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (key, sealed) = (&input[..line], &input[line + 1..]);
    let Ok(key) = RecordKey::parse(&String::from_utf8_lossy(key)) else { return };
    assert!(key.as_str().len() <= 200);
    assert!(key.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b)));
    assert_eq!(RecordKey::parse(key.as_str()).unwrap(), key);
    if let Some(owner) = key.owner() {
        assert!(key.as_str().starts_with(&format!("connection/{owner}/")));
    }

    let keys = SealingKeys::new([1; 32], KeyId::parse("k").unwrap(), [2; 32]).unwrap();
    let record = Record::new(Revision::from_bytes([0; 16]), sealed.to_vec());
    if let Some(id) = SealingKeys::key_of(&record) {
        assert!((1..=16).contains(&id.as_str().len()));
    }
    match keys.open(&key, &record) {
        Ok(plaintext) => assert_eq!((input, &plaintext[..]), (GENUINE, PLAINTEXT)),
        Err(_) => assert_ne!(input, GENUINE),
    }
});
