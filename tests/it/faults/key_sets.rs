//! Key sets that are JSON and odd all the same.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use clerk_mcp_tools::testing::Fault;
use clerk_mcp_tools::{ClerkErrorKind, VerifyErrorKind};
use http::Response;
use serde_json::{Value, json};

use super::ways::{Server, Way};
use super::{Site, Trouble};
use crate::answers::assert_invalid;
use crate::support::RESOURCE;

const BOTH: [Way; 2] = [Way::PublicKeys, Way::BackendKeys];
const TWO_HOURS: u64 = 2 * 60 * 60;

impl Site {
    fn good_key(&self) -> Value {
        self.clerk().jwks()["keys"][0].clone()
    }

    async fn serve_keys(&self, way: Way, keys: &[Value]) {
        let body = Bytes::from(json!({ "keys": keys }).to_string());
        self.trouble(way, &Trouble::AtClerk(Fault::Answer(Response::new(body)))).await;
    }
}

fn with(jwk: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value.into();
    jwk
}

/// A modulus of this many bits.
fn modulus(bits: usize) -> String {
    let mut bytes = vec![0xa5; bits.div_ceil(8)];
    bytes[0] = 0xff >> (bytes.len() * 8 - bits);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Keys that no token may be verified with, made from a good one.
fn unusable(good: &Value) -> Vec<(&'static str, Value)> {
    let n = URL_SAFE_NO_PAD.decode(good["n"].as_str().unwrap()).unwrap();
    let mut even = n.clone();
    *even.last_mut().unwrap() &= 0xfe;
    let behind_zero = |bytes: &[u8]| URL_SAFE_NO_PAD.encode([&[0], bytes].concat());
    let mut rows = vec![
        ("no object", json!("no object")),
        ("no members", json!({})),
        ("a curve", json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "alg": "ES256"})),
        ("an Edwards curve", json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "alg": "EdDSA"})),
        ("a shared secret", json!({"kty": "oct", "k": "AA", "alg": "HS256"})),
        ("a kind of tomorrow", json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": "AA"})),
        ("a kind in other case", with(good, "kty", "rsa")),
        ("an id that is no text", with(good, "kid", 5)),
        ("a modulus in base64", with(good, "n", STANDARD.encode([&n[..255], &[0xff]].concat()))),
        ("a padded modulus", with(good, "n", URL_SAFE.encode(&n))),
        ("a modulus behind a zero", with(good, "n", behind_zero(&n))),
        ("an even modulus", with(good, "n", URL_SAFE_NO_PAD.encode(even))),
        ("an exponent behind a zero", with(good, "e", behind_zero(&[1, 0, 1]))),
        ("operations without verify", with(good, "key_ops", json!(["sign", "encrypt", "wrapKey"]))),
        ("no operations", with(good, "key_ops", json!([]))),
    ];
    let moduli = ["", "!", "AQAB"].map(str::to_owned).into_iter();
    let moduli = moduli.chain([512, 1024, 2047, 8193, 16_384, 65_536].map(modulus));
    rows.extend(moduli.map(|n| ("a modulus that is none or of another size", with(good, "n", n))));
    // 0, 1, 2, 3, 17, 65535, 65536, 2^33 + 1, 2^64 + 1
    for e in ["", "AA", "AQ", "Ag", "Aw", "EQ", "__8", "AQAA", "AgAAAAE", "AQAAAAAAAAAB"] {
        rows.push(("an exponent that is too small, too large or even", with(good, "e", e)));
    }
    for alg in ["none", "HS256", "ES256", "PS256", "EdDSA", "RSA-OAEP", "RSA1_5", "rs256", ""] {
        rows.push(("an algorithm for something else", with(good, "alg", alg)));
    }
    for usage in ["enc", "SIG", ""] {
        rows.push(("not for signatures", with(good, "use", usage)));
    }
    // Whoever can read a private key can sign with it.
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        rows.push(("private", with(good, private, "AQAB")));
    }
    rows
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_no_key() {
    let site = Site::new().await;
    let good = site.good_key();
    for way in BOTH {
        let old = Server::new(&site, way);
        old.assert_works("at first").await;
        for (what, odd) in unusable(&good) {
            let what = format!("{what}: {odd:.300}");
            // Alone, it makes no key set.
            site.serve_keys(way, std::slice::from_ref(&odd)).await;
            let new = old.another();
            let answer = new.answer(&new.token()).await;
            new.assert_refused(&answer, ClerkErrorKind::InvalidResponse, None, &what);
            site.fixture.advance(TWO_HOURS);
            old.assert_works(&what).await;
            site.heal();
            site.fixture.advance(30);
            new.assert_works(&what).await;
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_used_spoils_no_other() {
    let site = Site::new().await;
    let good = site.good_key();
    let odd = unusable(&good).into_iter().map(|(_, key)| match key["kid"].is_string() {
        true => with(&key, "kid", "ins_odd"),
        false => key,
    });
    let same_id = unusable(&good).into_iter().map(|(_, key)| key);
    let keys: Vec<_> = odd.chain(same_id).chain([good.clone()]).collect();
    for way in BOTH {
        site.serve_keys(way, &keys).await;
        let server = Server::new(&site, way);
        server.assert_works("among keys that cannot be used").await;
        let odd = site.clerk().mint().audience(RESOURCE).header("kid", "ins_odd").jwt();
        assert_invalid(
            &server.answer(&odd).await,
            VerifyErrorKind::UnknownKey,
            "of a key that cannot be used",
        );
    }
}

#[tokio::test]
async fn what_does_not_concern_the_key_spoils_nothing() {
    let site = Site::new().await;
    let good = site.good_key();
    let elsewhere = site.elsewhere.origin();
    let without = |name: &str| {
        let mut jwk = good.clone();
        jwk.as_object_mut().unwrap().remove(name);
        jwk
    };
    let rows = [
        without("use"),
        without("alg"),
        with(&good, "key_ops", json!(["verify", "sign"])),
        with(&good, "x5u", elsewhere.clone()),
        with(&good, "jku", elsewhere),
        with(&good, "x5c", json!(["AQAB", "!"])),
        with(&good, "x5t", "AQAB"),
        with(&good, "something_new", json!({"a": [1, null]})),
    ];
    for way in BOTH {
        for key in &rows {
            site.serve_keys(way, std::slice::from_ref(key)).await;
            Server::new(&site, way).assert_works(&key.to_string()).await;
        }
    }
    assert_eq!(site.elsewhere.requests(), 0);
}

/// How many keys, and whether tokens can be verified with the last of them.
#[tokio::test]
async fn many_keys() {
    let site = Site::new().await;
    let good = site.good_key();
    let others = |count: usize| (0..count).map(|n| with(&good, "kid", format!("ins_{n}")));
    let unusable = std::iter::repeat_n(json!({"kty": "oct", "k": "AA"}), 10_000);
    let rows = [
        ("no keys", Vec::new(), false),
        ("10,000 keys that cannot be used", unusable.chain([good.clone()]).collect(), true),
        ("10,000 keys", others(10_000).chain([good.clone()]).collect(), false),
        ("1,000 keys", others(1_000).chain([good.clone()]).collect(), false),
        ("20 keys", others(19).chain([good.clone()]).collect(), true),
        ("20 keys of one id", vec![good.clone(); 20], true),
    ];
    for way in BOTH {
        let old = Server::new(&site, way);
        old.assert_works("at first").await;
        let known = old.token();
        for (what, keys, is_taken) in &rows {
            old.assert_accepts(&known, what).await;
            site.serve_keys(way, keys).await;
            let new = old.another();
            if *is_taken {
                new.assert_works(what).await;
            } else {
                let answer = new.answer(&new.token()).await;
                new.assert_refused(&answer, ClerkErrorKind::InvalidResponse, None, what);
            }
            site.fixture.advance(TWO_HOURS);
            old.assert_works(what).await;
            old.assert_accepts(&known, what).await;
            site.heal();
            site.fixture.advance(30);
            new.assert_works(what).await;
        }
    }
}
