//! Signatures that are not ours, not whole, or not of this token (RFC 8725 section 3.3).

use serde_json::json;

use super::draft::{Draft, base64url};
use super::entry::{Entry, NO_JWS, SIGNATURE, Stage, refused};
use super::keys::{foreign, ours, sha256};

const ALL_OPERATIONS: &str = "RFC 8725 section 3.3";
const LENGTH: &str = "RFC 8017 section 8.2.2";
const RANGE: &str = "RFC 8017 section 5.2.2";

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    [not_ours(stage), not_whole(stage), of_something_else(stage)].into_iter().flatten().collect()
}

fn not_ours(stage: &Stage) -> Vec<Entry> {
    let entry = |name: &str, make: fn(&[u8]) -> Vec<u8>| {
        refused(name, ALL_OPERATIONS, SIGNATURE, stage.jwt().signed(make))
    };
    vec![
        entry("a foreign key under our key id", |input| foreign().rs256(input)),
        entry("a signature of zeros", |_| vec![0; 256]),
        entry("a signature of ones", |_| vec![0xff; 256]),
        entry("a signature that is the number one", |_| [vec![0; 255], vec![1]].concat()),
        entry("the modulus as signature", |_| ours().modulus.clone()),
        entry("the modulus less one as signature", |_| {
            let mut modulus = ours().modulus.clone();
            *modulus.last_mut().unwrap() -= 1;
            modulus
        }),
        entry("the digest as signature", sha256),
        entry("the padded digest as signature, not raised to any power", |input| {
            // RFC 8017 section 9.2, with the DigestInfo of SHA-256.
            const DIGEST_INFO: [u8; 19] =
                [48, 49, 48, 13, 6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 1, 5, 0, 4, 32];
            [&[0, 1][..], &[0xff; 202], &[0], &DIGEST_INFO, &sha256(input)].concat()
        }),
    ]
}

fn not_whole(stage: &Stage) -> Vec<Entry> {
    let entry = |name: &str, rule, change: fn(Vec<u8>) -> Vec<u8>| {
        let token = stage.jwt().signed(move |input| change(ours().rs256(input)));
        refused(name, rule, SIGNATURE, token)
    };
    vec![
        entry("a signature plus one", ALL_OPERATIONS, |signature| plus(&signature, &[1])),
        entry("a signature with its first bit turned", ALL_OPERATIONS, |mut signature| {
            signature[0] ^= 0x80;
            signature
        }),
        entry("a signature read backwards", ALL_OPERATIONS, |mut signature| {
            signature.reverse();
            signature
        }),
        entry("a signature without its last byte", LENGTH, |signature| signature[..255].to_vec()),
        entry("a signature without its first byte", LENGTH, |signature| signature[1..].to_vec()),
        entry("a signature with a zero behind it", LENGTH, |signature| {
            [signature, vec![0]].concat()
        }),
        entry("a signature with a zero before it", LENGTH, |signature| {
            [vec![0], signature].concat()
        }),
        entry("a signature twice", LENGTH, |signature| signature.repeat(2)),
        entry("a signature of one byte", LENGTH, |signature| signature[..1].to_vec()),
        refused("a signature plus the modulus", RANGE, SIGNATURE, plus_modulus(stage)),
        entry("a signature as an ASN.1 octet string", LENGTH, |signature| {
            [vec![4, 0x82, 1, 0], signature].concat()
        }),
    ]
}

/// The same residue in another number of the same length, where the key and the token allow one.
fn plus_modulus(stage: &Stage) -> Draft {
    let token = |n: u32| stage.jwt().claim("jti", n);
    let raised = |input: &[u8]| plus(&ours().rs256(input), &ours().modulus);
    let fits = |n: &u32| {
        let text = token(*n).signed(raised).finish();
        text.rsplit('.').next().unwrap().len() == base64url([0; 256]).len()
    };
    token((0..32).find(fits).unwrap_or_default()).signed(raised)
}

/// The sum of two big-endian numbers, a byte longer where there is a carry.
fn plus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut sum = a.to_vec();
    let mut carry = 0;
    let addends = b.iter().rev().copied().chain(std::iter::repeat(0));
    for (digit, addend) in sum.iter_mut().rev().zip(addends) {
        let total = u16::from(*digit) + u16::from(addend) + carry;
        *digit = u8::try_from(total % 256).unwrap();
        carry = total / 256;
    }
    if carry > 0 {
        sum.insert(0, 1);
    }
    sum
}

fn of_something_else(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
    let first = |input: &[u8]| input.split(|b| *b == b'.').next().unwrap().to_vec();
    let other = t().claim("sub", json!("user_other")).finish();
    let (others_claims, others_signature) =
        other.split_once('.').unwrap().1.split_once('.').unwrap();
    let (others_claims, others_signature) = (others_claims.to_owned(), others_signature.to_owned());
    let entry = |name: &str, token: Draft| refused(name, ALL_OPERATIONS, SIGNATURE, token);
    vec![
        entry("the signature of another token", t().signature_spelled(move |_| others_signature)),
        entry(
            "the claims of another token",
            t().then(move |token| {
                let parts: Vec<&str> = token.split('.').collect();
                format!("{}.{others_claims}.{}", parts[0], parts[2])
            }),
        ),
        entry(
            "the signature of the header alone",
            t().signed(move |input| ours().rs256(&first(input))),
        ),
        entry(
            "the signature of the text without its dot",
            t().signed(|input| {
                let joined: Vec<u8> = input.iter().copied().filter(|b| *b != b'.').collect();
                ours().rs256(&joined)
            }),
        ),
        entry(
            "the signature of the text and one more dot",
            t().signed(|input| ours().rs256(&[input, b"."].concat())),
        ),
        entry("the signature of the digest", t().signed(|input| ours().rs256(&sha256(input)))),
        entry(
            "a member added to the header after it was signed",
            t().then(|token| {
                let rest = token.split_once('.').unwrap().1;
                let header = r#"{"alg":"RS256","typ":"at+jwt","kid":"ins_corpus","x":1}"#;
                format!("{}.{rest}", base64url(header))
            }),
        ),
        refused(
            "the signature in hexadecimal",
            "RFC 7515 section 7.1",
            SIGNATURE,
            t().signature_spelled(|_| "0123456789abcdef".repeat(32)),
        ),
        refused(
            "the signature in base64 of its base64url, and one character over",
            "RFC 7515 section 7.1",
            NO_JWS,
            t().signature_spelled(|signature| format!("{}A", base64url(signature))),
        ),
    ]
}
