//! Algorithm confusion: what decides is the key, never the token (RFC 8725 section 3.1).

use serde_json::json;

use super::draft::Draft;
use super::entry::{ALGORITHM, Entry, NO_FORMAT, NOT_THE_KEYS, SIGNATURE, Stage, Verdict};
use super::entry::{accepted, refused, usual};
use super::keys::{
    KEY_ID, KEY_ID_384, KEY_ID_512, KEY_ID_NO_ALG, ec_jwk, eddsa, es256, hs256, hs384, hs512, ours,
};

const VERIFY_ALGORITHM: &str = "RFC 8725 section 3.1";
const NONE: &str = "RFC 8725 section 3.2";
const RSA_PKCS1: &str = "RFC 7518 section 3.3";

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    [none(stage), symmetric(stage), other_families(stage), hash_sizes(stage)]
        .into_iter()
        .flatten()
        .collect()
}

fn none(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
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
    let unsigned = |alg| {
        refused(format!("alg {alg}, unsigned"), NONE, ALGORITHM, t().head("alg", alg).unsigned())
    };
    let mut entries: Vec<Entry> = spellings.into_iter().map(unsigned).collect();
    let without_last_dot = |token: String| token.trim_end_matches('.').to_owned();
    entries.extend([
        refused("alg none with a good signature", NONE, ALGORITHM, t().head("alg", r#""none""#)),
        refused(
            "alg missing, unsigned",
            "RFC 7515 section 4.1.1",
            ALGORITHM,
            t().no_head("alg").unsigned(),
        ),
        refused("alg missing, signed", "RFC 7515 section 4.1.1", ALGORITHM, t().no_head("alg")),
        refused(
            "alg none and no last dot",
            "RFC 7519 section 6",
            NO_FORMAT,
            t().head("alg", r#""none""#).unsigned().then(without_last_dot),
        ),
        refused(
            "alg RS256, its signature cut off",
            "RFC 8725 section 3.3",
            SIGNATURE,
            t().unsigned(),
        ),
        refused(
            "alg in another case beside it",
            "RFC 7515 section 4.1.1",
            ALGORITHM,
            t().no_head("alg").head("ALG", r#""RS256""#),
        ),
    ]);
    entries
}

/// The public key as the secret of an HMAC, in every form that a verifier could hold it in.
fn symmetric(stage: &Stage) -> Vec<Entry> {
    let pem = || ours().pem();
    let jwk = || ours().jwk(KEY_ID, Some("RS256"));
    let secrets: [(&str, Vec<u8>); 12] = [
        ("the PEM", pem().into_bytes()),
        ("the PEM without its last line end", pem().trim_end().as_bytes().to_vec()),
        ("the PEM with CR LF", pem().replace('\n', "\r\n").into_bytes()),
        ("the PEM with escaped line ends", pem().replace('\n', "\\n").into_bytes()),
        (
            "the PEM's base64",
            pem().lines().filter(|line| !line.starts_with('-')).collect::<String>().into(),
        ),
        ("the SPKI", ours().spki.clone()),
        ("the PKCS #1 DER", ours().pkcs1.clone()),
        ("the modulus", ours().modulus.clone()),
        ("the modulus as the JWK has it", jwk()["n"].as_str().unwrap().into()),
        ("the JWK", jwk().to_string().into_bytes()),
        ("the key id", KEY_ID.into()),
        ("nothing", Vec::new()),
    ];
    let mut entries = Vec::new();
    for (what, secret) in secrets {
        let token =
            stage.jwt().head("alg", json!("HS256")).signed(move |input| hs256(&secret, input));
        entries.push(refused(
            format!("HS256 keyed with {what}"),
            VERIFY_ALGORITHM,
            ALGORITHM,
            token,
        ));
    }
    let named = |alg: &str| stage.jwt().head("alg", json!(alg));
    entries.extend([
        refused(
            "HS384 keyed with the PEM",
            VERIFY_ALGORITHM,
            ALGORITHM,
            named("HS384").signed(|input| hs384(ours().pem().as_bytes(), input)),
        ),
        refused(
            "HS512 keyed with the PEM",
            VERIFY_ALGORITHM,
            ALGORITHM,
            named("HS512").signed(|input| hs512(ours().pem().as_bytes(), input)),
        ),
        refused(
            "RS256 over an HMAC keyed with the PEM",
            VERIFY_ALGORITHM,
            SIGNATURE,
            named("RS256").signed(|input| hs256(ours().pem().as_bytes(), input)),
        ),
        refused("HS256 over a good RSA signature", VERIFY_ALGORITHM, ALGORITHM, named("HS256")),
    ]);
    entries
}

fn other_families(stage: &Stage) -> Vec<Entry> {
    let named = |alg: &str| stage.jwt().head("alg", json!(alg));
    let over_rsa = |alg: &&str| {
        refused(
            format!("{alg:?} over a good RS256 signature"),
            VERIFY_ALGORITHM,
            ALGORITHM,
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
    // A verifier that derived a key here would hash for minutes.
    let slow = || named("PBES2-HS256+A128KW").head("p2c", 2_147_483_647).head("p2s", json!("AAAA"));
    let for_encryption = ["dir", "RSA-OAEP-256", "A256GCMKW"];
    let mut entries: Vec<Entry> =
        families.iter().chain(&misspelled).chain(&for_encryption).map(over_rsa).collect();
    entries.extend([
        refused("a password-based alg with many rounds", VERIFY_ALGORITHM, ALGORITHM, slow()),
        refused(
            "PS256, truly made with our key",
            VERIFY_ALGORITHM,
            ALGORITHM,
            named("PS256").signed(|input| ours().ps256(input)),
        ),
        refused(
            "RS256 over our PSS signature",
            RSA_PKCS1,
            SIGNATURE,
            stage.jwt().signed(|input| ours().ps256(input)),
        ),
        refused(
            "ES256, truly made, its key in the header",
            VERIFY_ALGORITHM,
            ALGORITHM,
            named("ES256").head("jwk", ec_jwk()).signed(es256),
        ),
        refused(
            "ES256 whose r and s are zero",
            "RFC 8725 section 3.4",
            ALGORITHM,
            named("ES256").signed(|_| vec![0; 64]),
        ),
        refused("EdDSA, truly made", VERIFY_ALGORITHM, ALGORITHM, named("EdDSA").signed(eddsa)),
    ]);
    entries
}

/// RS384 and RS512 count where the JWK says so, and only there.
fn hash_sizes(stage: &Stage) -> Vec<Entry> {
    let named =
        |alg: &str, key_id: &str| stage.jwt().head("alg", json!(alg)).head("kid", json!(key_id));
    let rs384 = |draft: Draft| draft.signed(|input| ours().rs384(input));
    let rs512 = |draft: Draft| draft.signed(|input| ours().rs512(input));
    let not_by_pem = || Verdict::Refused(NOT_THE_KEYS);
    vec![
        accepted("RS384 by a key for RS384", RSA_PKCS1, usual(), rs384(named("RS384", KEY_ID_384)))
            .by_pem(not_by_pem()),
        accepted("RS512 by a key for RS512", RSA_PKCS1, usual(), rs512(named("RS512", KEY_ID_512)))
            .by_pem(not_by_pem()),
        accepted(
            "RS256 by a key that names no alg",
            "RFC 7517 section 4.4",
            usual(),
            named("RS256", KEY_ID_NO_ALG),
        ),
        refused(
            "RS384 by a key for RS256",
            VERIFY_ALGORITHM,
            NOT_THE_KEYS,
            rs384(named("RS384", KEY_ID)),
        ),
        refused(
            "RS512 by a key for RS256",
            VERIFY_ALGORITHM,
            NOT_THE_KEYS,
            rs512(named("RS512", KEY_ID)),
        ),
        refused(
            "RS512 over an RS256 signature",
            VERIFY_ALGORITHM,
            NOT_THE_KEYS,
            named("RS512", KEY_ID),
        ),
        refused(
            "RS256 over an RS512 signature",
            RSA_PKCS1,
            SIGNATURE,
            rs512(named("RS256", KEY_ID)),
        ),
        refused(
            "RS256 by a key for RS512",
            VERIFY_ALGORITHM,
            NOT_THE_KEYS,
            named("RS256", KEY_ID_512),
        )
        .by_pem(Verdict::Accepted(usual())),
        refused(
            "RS512 by a key for RS384",
            VERIFY_ALGORITHM,
            NOT_THE_KEYS,
            rs512(named("RS512", KEY_ID_384)),
        ),
        refused(
            "RS512 over an RS256 signature by a key for RS512",
            RSA_PKCS1,
            SIGNATURE,
            named("RS512", KEY_ID_512),
        )
        .by_pem(not_by_pem()),
        refused(
            "RS384 by a key that names no alg",
            VERIFY_ALGORITHM,
            NOT_THE_KEYS,
            rs384(named("RS384", KEY_ID_NO_ALG)),
        ),
    ]
}
