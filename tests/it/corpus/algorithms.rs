//! Algorithm confusion: the key determines the algorithm, never the token (RFC 8725 section 3.1).

use serde_json::json;

use super::entry::{
    Entry, INVALID_SIGNATURE, KEY_ALGORITHM_MISMATCH, TokenParams, UNKNOWN_FORMAT,
    UNSUPPORTED_ALGORITHM, Verdict,
};
use super::entry::{accepted, default_caller, rejected};
use super::jwt_builder::JwtBuilder;
use super::keys::{
    KEY_ID, KEY_ID_384, KEY_ID_512, KEY_ID_NO_ALG, ec_jwk, eddsa, es256, hs256, hs384, hs512,
    instance_key,
};

const VERIFY_ALGORITHM: &str = "RFC 8725 section 3.1";
const NONE: &str = "RFC 8725 section 3.2";
const RSA_PKCS1: &str = "RFC 7518 section 3.3";

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    [none(params), symmetric(params), other_families(params), hash_sizes(params)]
        .into_iter()
        .flatten()
        .collect()
}

fn none(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
    let spellings = [
        r#""none""#,
        r#""None""#,
        r#""NONE""#,
        r#""nOnE""#,
        r#""none ""#,
        r#""\u006eone""#,
        r#""""#,
        "null",
        "0",
        "true",
        r#"["RS256"]"#,
        r#"{"RS256":true}"#,
    ];
    let without_signature = |alg| {
        rejected(
            format!("alg {alg}, unsigned"),
            NONE,
            UNSUPPORTED_ALGORITHM,
            t().header("alg", alg).without_signature(),
        )
    };
    let mut entries: Vec<Entry> = spellings.into_iter().map(without_signature).collect();
    let without_last_dot = |token: String| token.trim_end_matches('.').to_owned();
    entries.extend([
        rejected(
            "alg none with a valid signature",
            NONE,
            UNSUPPORTED_ALGORITHM,
            t().header("alg", r#""none""#),
        ),
        rejected(
            "alg missing, unsigned",
            "RFC 7515 section 4.1.1",
            UNSUPPORTED_ALGORITHM,
            t().without_header("alg").without_signature(),
        ),
        rejected(
            "alg missing, signed",
            "RFC 7515 section 4.1.1",
            UNSUPPORTED_ALGORITHM,
            t().without_header("alg"),
        ),
        rejected(
            "alg none without the last dot",
            "RFC 7519 section 6",
            UNKNOWN_FORMAT,
            t().header("alg", r#""none""#).without_signature().map_token(without_last_dot),
        ),
        rejected(
            "alg RS256 with the signature removed",
            "RFC 8725 section 3.3",
            INVALID_SIGNATURE,
            t().without_signature(),
        ),
        rejected(
            "ALG in place of alg",
            "RFC 7515 section 4.1.1",
            UNSUPPORTED_ALGORITHM,
            t().without_header("alg").header("ALG", r#""RS256""#),
        ),
    ]);
    entries
}

/// The public key as an HMAC secret, in each encoding that a verifier may store.
fn symmetric(params: &TokenParams) -> Vec<Entry> {
    let pem = || instance_key().pem();
    let jwk = || instance_key().jwk(KEY_ID, Some("RS256"));
    let secrets: [(&str, Vec<u8>); 12] = [
        ("the PEM", pem().into_bytes()),
        ("the PEM without its last line break", pem().trim_end().as_bytes().to_vec()),
        ("the PEM with CRLF line breaks", pem().replace('\n', "\r\n").into_bytes()),
        ("the PEM with escaped line breaks", pem().replace('\n', "\\n").into_bytes()),
        (
            "the PEM's base64",
            pem().lines().filter(|line| !line.starts_with('-')).collect::<String>().into(),
        ),
        ("the SPKI", instance_key().spki.clone()),
        ("the PKCS #1 DER", instance_key().pkcs1.clone()),
        ("the modulus", instance_key().modulus.clone()),
        ("the JWK's encoding of the modulus", jwk()["n"].as_str().unwrap().into()),
        ("the JWK", jwk().to_string().into_bytes()),
        ("the kid", KEY_ID.into()),
        ("an empty secret", Vec::new()),
    ];
    let mut entries = Vec::new();
    for (encoding, secret) in secrets {
        let token = params
            .jwt()
            .header("alg", json!("HS256"))
            .sign_with(move |input| hs256(&secret, input));
        entries.push(rejected(
            format!("HS256 keyed with {encoding}"),
            VERIFY_ALGORITHM,
            UNSUPPORTED_ALGORITHM,
            token,
        ));
    }
    let named = |alg: &str| params.jwt().header("alg", json!(alg));
    entries.extend([
        rejected(
            "HS384 keyed with the PEM",
            VERIFY_ALGORITHM,
            UNSUPPORTED_ALGORITHM,
            named("HS384").sign_with(|input| hs384(instance_key().pem().as_bytes(), input)),
        ),
        rejected(
            "HS512 keyed with the PEM",
            VERIFY_ALGORITHM,
            UNSUPPORTED_ALGORITHM,
            named("HS512").sign_with(|input| hs512(instance_key().pem().as_bytes(), input)),
        ),
        rejected(
            "RS256 over an HMAC keyed with the PEM",
            VERIFY_ALGORITHM,
            INVALID_SIGNATURE,
            named("RS256").sign_with(|input| hs256(instance_key().pem().as_bytes(), input)),
        ),
        rejected(
            "HS256 over a valid RSA signature",
            VERIFY_ALGORITHM,
            UNSUPPORTED_ALGORITHM,
            named("HS256"),
        ),
    ]);
    entries
}

fn other_families(params: &TokenParams) -> Vec<Entry> {
    let named = |alg: &str| params.jwt().header("alg", json!(alg));
    let over_rsa = |alg: &&str| {
        rejected(
            format!("{alg:?} over a valid RS256 signature"),
            VERIFY_ALGORITHM,
            UNSUPPORTED_ALGORITHM,
            named(alg),
        )
    };
    let families = [
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "ES512",
        "ES256K",
        "EdDSA",
        "Ed25519",
        "ML-DSA-44",
    ];
    let misspelled =
        ["rs256", "RS256 ", "RS256\0", "RS1", "SHA256withRSA", "1.2.840.113549.1.1.11"];
    // A verifier that derived a key from this would hash for minutes.
    let slow =
        || named("PBES2-HS256+A128KW").header("p2c", 2_147_483_647).header("p2s", json!("AAAA"));
    let for_encryption = ["dir", "RSA-OAEP-256", "A256GCMKW"];
    let mut entries: Vec<Entry> =
        families.iter().chain(&misspelled).chain(&for_encryption).map(over_rsa).collect();
    entries.extend([
        rejected(
            "a password-based alg with many iterations",
            VERIFY_ALGORITHM,
            UNSUPPORTED_ALGORITHM,
            slow(),
        ),
        rejected(
            "PS256 with a valid signature by the instance's key",
            VERIFY_ALGORITHM,
            UNSUPPORTED_ALGORITHM,
            named("PS256").sign_with(|input| instance_key().ps256(input)),
        ),
        rejected(
            "RS256 over a PSS signature by the instance's key",
            RSA_PKCS1,
            INVALID_SIGNATURE,
            params.jwt().sign_with(|input| instance_key().ps256(input)),
        ),
        rejected(
            "ES256 with a valid signature by the key in its header",
            VERIFY_ALGORITHM,
            UNSUPPORTED_ALGORITHM,
            named("ES256").header("jwk", ec_jwk()).sign_with(es256),
        ),
        rejected(
            "ES256 whose r and s are zero",
            "RFC 8725 section 3.4",
            UNSUPPORTED_ALGORITHM,
            named("ES256").sign_with(|_| vec![0; 64]),
        ),
        rejected(
            "EdDSA with a valid signature",
            VERIFY_ALGORITHM,
            UNSUPPORTED_ALGORITHM,
            named("EdDSA").sign_with(eddsa),
        ),
    ]);
    entries
}

/// RS384 and RS512 are accepted only where the JWK names them.
fn hash_sizes(params: &TokenParams) -> Vec<Entry> {
    let named = |alg: &str, key_id: &str| {
        params.jwt().header("alg", json!(alg)).header("kid", json!(key_id))
    };
    let rs384 = |builder: JwtBuilder| builder.sign_with(|input| instance_key().rs384(input));
    let rs512 = |builder: JwtBuilder| builder.sign_with(|input| instance_key().rs512(input));
    let rejected_with_pem_key = || Verdict::Rejected(KEY_ALGORITHM_MISMATCH);
    vec![
        accepted(
            "RS384 by a key for RS384",
            RSA_PKCS1,
            default_caller(),
            rs384(named("RS384", KEY_ID_384)),
        )
        .with_pem_key(rejected_with_pem_key()),
        accepted(
            "RS512 by a key for RS512",
            RSA_PKCS1,
            default_caller(),
            rs512(named("RS512", KEY_ID_512)),
        )
        .with_pem_key(rejected_with_pem_key()),
        accepted(
            "RS256 by a key without alg",
            "RFC 7517 section 4.4",
            default_caller(),
            named("RS256", KEY_ID_NO_ALG),
        ),
        rejected(
            "RS384 by a key for RS256",
            VERIFY_ALGORITHM,
            KEY_ALGORITHM_MISMATCH,
            rs384(named("RS384", KEY_ID)),
        ),
        rejected(
            "RS512 by a key for RS256",
            VERIFY_ALGORITHM,
            KEY_ALGORITHM_MISMATCH,
            rs512(named("RS512", KEY_ID)),
        ),
        rejected(
            "RS512 over an RS256 signature",
            VERIFY_ALGORITHM,
            KEY_ALGORITHM_MISMATCH,
            named("RS512", KEY_ID),
        ),
        rejected(
            "RS256 over an RS512 signature",
            RSA_PKCS1,
            INVALID_SIGNATURE,
            rs512(named("RS256", KEY_ID)),
        ),
        rejected(
            "RS256 by a key for RS512",
            VERIFY_ALGORITHM,
            KEY_ALGORITHM_MISMATCH,
            named("RS256", KEY_ID_512),
        )
        .with_pem_key(Verdict::Accepted(default_caller())),
        rejected(
            "RS512 by a key for RS384",
            VERIFY_ALGORITHM,
            KEY_ALGORITHM_MISMATCH,
            rs512(named("RS512", KEY_ID_384)),
        ),
        rejected(
            "RS512 over an RS256 signature by a key for RS512",
            RSA_PKCS1,
            INVALID_SIGNATURE,
            named("RS512", KEY_ID_512),
        )
        .with_pem_key(rejected_with_pem_key()),
        rejected(
            "RS384 by a key without alg",
            VERIFY_ALGORITHM,
            KEY_ALGORITHM_MISMATCH,
            rs384(named("RS384", KEY_ID_NO_ALG)),
        ),
    ]
}
