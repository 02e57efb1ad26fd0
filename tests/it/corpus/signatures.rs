//! Signatures that are forged, damaged, or of other content (RFC 8725 section 3.3).

use serde_json::json;

use super::entry::{Entry, INVALID_JWS, INVALID_SIGNATURE, TokenParams, rejected};
use super::jwt_builder::{JwtBuilder, base64url};
use super::keys::{attacker_key, instance_key, sha256};

const ALL_OPERATIONS: &str = "RFC 8725 section 3.3";
const LENGTH: &str = "RFC 8017 section 8.2.2";
const RANGE: &str = "RFC 8017 section 5.2.2";

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    [forged(params), damaged(params), of_other_content(params)].into_iter().flatten().collect()
}

fn forged(params: &TokenParams) -> Vec<Entry> {
    let entry = |name: &str, make: fn(&[u8]) -> Vec<u8>| {
        rejected(name, ALL_OPERATIONS, INVALID_SIGNATURE, params.jwt().sign_with(make))
    };
    vec![
        entry("a signature by another key under the instance's kid", |input| {
            attacker_key().rs256(input)
        }),
        entry("a signature of zeros", |_| vec![0; 256]),
        entry("a signature of ones", |_| vec![0xff; 256]),
        entry("a signature of the value one", |_| [vec![0; 255], vec![1]].concat()),
        entry("the modulus as signature", |_| instance_key().modulus.clone()),
        entry("the modulus minus one as signature", |_| {
            let mut modulus = instance_key().modulus.clone();
            *modulus.last_mut().unwrap() -= 1;
            modulus
        }),
        entry("the digest as signature", sha256),
        entry("the padded digest as signature, without exponentiation", |input| {
            // RFC 8017 section 9.2, with the DigestInfo of SHA-256.
            const DIGEST_INFO: [u8; 19] =
                [48, 49, 48, 13, 6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 1, 5, 0, 4, 32];
            [&[0, 1][..], &[0xff; 202], &[0], &DIGEST_INFO, &sha256(input)].concat()
        }),
    ]
}

fn damaged(params: &TokenParams) -> Vec<Entry> {
    let entry = |name: &str, rule, change: fn(Vec<u8>) -> Vec<u8>| {
        let token = params.jwt().sign_with(move |input| change(instance_key().rs256(input)));
        rejected(name, rule, INVALID_SIGNATURE, token)
    };
    vec![
        entry("a signature plus one", ALL_OPERATIONS, |signature| plus(&signature, &[1])),
        entry("a signature with its first bit flipped", ALL_OPERATIONS, |mut signature| {
            signature[0] ^= 0x80;
            signature
        }),
        entry("a reversed signature", ALL_OPERATIONS, |mut signature| {
            signature.reverse();
            signature
        }),
        entry("a signature without its last byte", LENGTH, |signature| signature[..255].to_vec()),
        entry("a signature without its first byte", LENGTH, |signature| signature[1..].to_vec()),
        entry("a signature followed by a zero byte", LENGTH, |signature| {
            [signature, vec![0]].concat()
        }),
        entry("a signature preceded by a zero byte", LENGTH, |signature| {
            [vec![0], signature].concat()
        }),
        entry("a repeated signature", LENGTH, |signature| signature.repeat(2)),
        entry("a signature of one byte", LENGTH, |signature| signature[..1].to_vec()),
        rejected("a signature plus the modulus", RANGE, INVALID_SIGNATURE, plus_modulus(params)),
        entry("a signature as an ASN.1 octet string", LENGTH, |signature| {
            [vec![4, 0x82, 1, 0], signature].concat()
        }),
    ]
}

/// A different number with the same residue and the same length, if one exists for the key.
fn plus_modulus(params: &TokenParams) -> JwtBuilder {
    let token = |n: u32| params.jwt().claim("jti", n);
    let raised = |input: &[u8]| plus(&instance_key().rs256(input), &instance_key().modulus);
    let fits = |n: &u32| {
        let text = token(*n).sign_with(raised).finish();
        text.rsplit('.').next().unwrap().len() == base64url([0; 256]).len()
    };
    token((0..32).find(fits).unwrap_or_default()).sign_with(raised)
}

/// The sum of two big-endian numbers; a carry adds a byte.
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

fn of_other_content(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
    let first = |input: &[u8]| input.split(|b| *b == b'.').next().unwrap().to_vec();
    let other = t().claim("sub", json!("user_other")).finish();
    let (others_claims, others_signature) =
        other.split_once('.').unwrap().1.split_once('.').unwrap();
    let (others_claims, others_signature) = (others_claims.to_owned(), others_signature.to_owned());
    let entry =
        |name: &str, token: JwtBuilder| rejected(name, ALL_OPERATIONS, INVALID_SIGNATURE, token);
    vec![
        entry(
            "the signature of another token",
            t().map_signature_base64(move |_| others_signature),
        ),
        entry(
            "the claims of another token",
            t().map_token(move |token| {
                let parts: Vec<&str> = token.split('.').collect();
                format!("{}.{others_claims}.{}", parts[0], parts[2])
            }),
        ),
        entry(
            "the signature of the header only",
            t().sign_with(move |input| instance_key().rs256(&first(input))),
        ),
        entry(
            "the signature of the signing input without its dot",
            t().sign_with(|input| {
                let joined: Vec<u8> = input.iter().copied().filter(|b| *b != b'.').collect();
                instance_key().rs256(&joined)
            }),
        ),
        entry(
            "the signature of the signing input and a dot",
            t().sign_with(|input| instance_key().rs256(&[input, b"."].concat())),
        ),
        entry(
            "the signature of the digest",
            t().sign_with(|input| instance_key().rs256(&sha256(input))),
        ),
        entry(
            "a header member added after signing",
            t().map_token(|token| {
                let rest = token.split_once('.').unwrap().1;
                let header = r#"{"alg":"RS256","typ":"at+jwt","kid":"ins_corpus","x":1}"#;
                format!("{}.{rest}", base64url(header))
            }),
        ),
        rejected(
            "the signature in hexadecimal",
            "RFC 7515 section 7.1",
            INVALID_SIGNATURE,
            t().map_signature_base64(|_| "0123456789abcdef".repeat(32)),
        ),
        rejected(
            "the signature encoded twice, with one character too many",
            "RFC 7515 section 7.1",
            INVALID_JWS,
            t().map_signature_base64(|signature| format!("{}A", base64url(signature))),
        ),
    ]
}
