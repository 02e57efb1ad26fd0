//! Unusable and unusual keys in a key set.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use clerk_mcp_tools::testing::Fault;
use clerk_mcp_tools::{ClerkErrorKind, VerifyErrorKind};
use http::Response;
use serde_json::{Value, json};

use super::upstream::{Server, Upstream};
use super::{FAILURE_IS_RECENT, Failure, ProxiedFixture};
use crate::responses::assert_invalid_token;
use crate::support::RESOURCE;

const KEY_UPSTREAMS: [Upstream; 2] = [Upstream::PublicKeys, Upstream::BackendKeys];
const TWO_HOURS: u64 = 2 * 60 * 60;

impl ProxiedFixture {
    fn valid_key(&self) -> Value {
        self.clerk.jwks()["keys"][0].clone()
    }

    async fn serve_keys(&self, upstream: Upstream, keys: &[Value]) {
        let body = Bytes::from(json!({ "keys": keys }).to_string());
        self.fail(upstream, &Failure::Response(Fault::Answer(Response::new(body)))).await;
    }
}

fn with(jwk: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value.into();
    jwk
}

/// A modulus with this number of bits.
fn modulus(bits: usize) -> String {
    let mut bytes = vec![0xa5; bits.div_ceil(8)];
    bytes[0] = 0xff >> (bytes.len() * 8 - bits);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Keys that must not be used, derived from a valid one.
fn unusable(valid: &Value) -> Vec<(&'static str, Value)> {
    let n = URL_SAFE_NO_PAD.decode(valid["n"].as_str().unwrap()).unwrap();
    let mut even = n.clone();
    *even.last_mut().unwrap() &= 0xfe;
    let with_leading_zero = |bytes: &[u8]| URL_SAFE_NO_PAD.encode([&[0], bytes].concat());
    let mut rows = vec![
        ("not an object", json!("not an object")),
        ("an empty object", json!({})),
        ("an EC key", json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "alg": "ES256"})),
        ("an EdDSA key", json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "alg": "EdDSA"})),
        ("a symmetric key", json!({"kty": "oct", "k": "AA", "alg": "HS256"})),
        ("an unknown key type", json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": "AA"})),
        ("a key type in lower case", with(valid, "kty", "rsa")),
        ("a kid that is not a string", with(valid, "kid", 5)),
        (
            "a modulus in standard base64",
            with(valid, "n", STANDARD.encode([&n[..255], &[0xff]].concat())),
        ),
        ("a padded modulus", with(valid, "n", URL_SAFE.encode(&n))),
        ("a modulus with a leading zero", with(valid, "n", with_leading_zero(&n))),
        ("an even modulus", with(valid, "n", URL_SAFE_NO_PAD.encode(even))),
        ("an exponent with a leading zero", with(valid, "e", with_leading_zero(&[1, 0, 1]))),
        ("key_ops without verify", with(valid, "key_ops", json!(["sign", "encrypt", "wrapKey"]))),
        ("an empty key_ops", with(valid, "key_ops", json!([]))),
    ];
    let moduli = ["", "!", "AQAB"].map(str::to_owned).into_iter();
    let moduli = moduli.chain([512, 1024, 2047, 8193, 16_384, 65_536].map(modulus));
    rows.extend(
        moduli
            .map(|n| ("a modulus that is invalid or of an unsupported size", with(valid, "n", n))),
    );
    // 0, 1, 2, 3, 17, 65535, 65536, 2^33 + 1, 2^64 + 1
    for e in ["", "AA", "AQ", "Ag", "Aw", "EQ", "__8", "AQAA", "AgAAAAE", "AQAAAAAAAAAB"] {
        rows.push(("an exponent that is too small, too large or even", with(valid, "e", e)));
    }
    for alg in ["none", "HS256", "ES256", "PS256", "EdDSA", "RSA-OAEP", "RSA1_5", "rs256", ""] {
        rows.push(("an unsupported alg", with(valid, "alg", alg)));
    }
    for usage in ["enc", "SIG", ""] {
        rows.push(("a use other than sig", with(valid, "use", usage)));
    }
    // A published private key allows anyone to sign.
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        rows.push(("a private key", with(valid, private, "AQAB")));
    }
    rows
}

#[tokio::test]
async fn a_key_set_of_unusable_keys_is_rejected() {
    let fixture = ProxiedFixture::new().await;
    let valid = fixture.valid_key();
    for upstream in KEY_UPSTREAMS {
        let old = Server::new(&fixture, upstream);
        old.assert_works("at the start").await;
        for (case, unusable) in unusable(&valid) {
            let case = format!("{case}: {unusable:.300}");
            // A set without a usable key is an invalid response.
            fixture.serve_keys(upstream, std::slice::from_ref(&unusable)).await;
            let new = old.another();
            let response = new.response(&new.token()).await;
            new.assert_rejection(&response, ClerkErrorKind::InvalidResponse, None, &case);
            fixture.advance(TWO_HOURS);
            old.assert_works(&case).await;
            fixture.heal();
            fixture.advance(FAILURE_IS_RECENT);
            old.assert_works(&case).await;
            new.assert_works(&case).await;
        }
    }
}

#[tokio::test]
async fn unusable_keys_are_skipped() {
    let fixture = ProxiedFixture::new().await;
    let valid = fixture.valid_key();
    let other_id = unusable(&valid).into_iter().map(|(_, key)| match key["kid"].is_string() {
        true => with(&key, "kid", "ins_unusable"),
        false => key,
    });
    let same_id = unusable(&valid).into_iter().map(|(_, key)| key);
    let keys: Vec<_> = other_id.chain(same_id).chain([valid.clone()]).collect();
    for upstream in KEY_UPSTREAMS {
        fixture.serve_keys(upstream, &keys).await;
        let server = Server::new(&fixture, upstream);
        server.assert_works("among unusable keys").await;
        let token = fixture.clerk.mint().audience(RESOURCE).header("kid", "ins_unusable").jwt();
        assert_invalid_token(
            &server.response(&token).await,
            VerifyErrorKind::UnknownKey,
            "signed by an unusable key",
        );
    }
}

#[tokio::test]
async fn irrelevant_members_of_a_key_are_ignored() {
    let fixture = ProxiedFixture::new().await;
    let valid = fixture.valid_key();
    let elsewhere = fixture.elsewhere.origin();
    let without = |name: &str| {
        let mut jwk = valid.clone();
        jwk.as_object_mut().unwrap().remove(name);
        jwk
    };
    let rows = [
        without("use"),
        without("alg"),
        with(&valid, "key_ops", json!(["verify", "sign"])),
        with(&valid, "x5u", elsewhere.clone()),
        with(&valid, "jku", elsewhere),
        with(&valid, "x5c", json!(["AQAB", "!"])),
        with(&valid, "x5t", "AQAB"),
        with(&valid, "something_new", json!({"a": [1, null]})),
    ];
    for upstream in KEY_UPSTREAMS {
        for key in &rows {
            fixture.serve_keys(upstream, std::slice::from_ref(key)).await;
            Server::new(&fixture, upstream).assert_works(&key.to_string()).await;
        }
    }
    assert_eq!(fixture.elsewhere.requests(), 0);
}

/// Each row says whether tokens can be verified with the last key of the set.
#[tokio::test]
async fn the_size_of_a_key_set_is_bounded() {
    let fixture = ProxiedFixture::new().await;
    let valid = fixture.valid_key();
    let others = |count: usize| (0..count).map(|n| with(&valid, "kid", format!("ins_{n}")));
    let unusable = std::iter::repeat_n(json!({"kty": "oct", "k": "AA"}), 10_000);
    let rows = [
        ("no keys", Vec::new(), false),
        ("10,000 unusable keys", unusable.chain([valid.clone()]).collect(), true),
        ("10,000 keys", others(10_000).chain([valid.clone()]).collect(), false),
        ("1,000 keys", others(1_000).chain([valid.clone()]).collect(), false),
        ("20 keys", others(19).chain([valid.clone()]).collect(), true),
        ("20 keys with the same kid", vec![valid.clone(); 20], true),
    ];
    for upstream in KEY_UPSTREAMS {
        let old = Server::new(&fixture, upstream);
        old.assert_works("at the start").await;
        let cached = old.token();
        for (case, keys, is_accepted) in &rows {
            old.assert_accepts(&cached, case).await;
            fixture.serve_keys(upstream, keys).await;
            let new = old.another();
            if *is_accepted {
                new.assert_works(case).await;
            } else {
                let response = new.response(&new.token()).await;
                new.assert_rejection(&response, ClerkErrorKind::InvalidResponse, None, case);
            }
            fixture.advance(TWO_HOURS);
            old.assert_works(case).await;
            old.assert_accepts(&cached, case).await;
            fixture.heal();
            fixture.advance(FAILURE_IS_RECENT);
            old.assert_works(case).await;
            new.assert_works(case).await;
        }
    }
}
