//! Builds JWTs byte by byte, valid or not: the JSON text, the base64url encoding, the signature.

use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::entry::ISSUED;
use super::keys::{KEY_ID, instance_key};
use crate::support::{NOW, RESOURCE};

type MapJson = Box<dyn FnOnce(String) -> Vec<u8>>;
type MapString = Box<dyn FnOnce(String) -> String>;
type Sign = Box<dyn FnOnce(&[u8]) -> Vec<u8>>;

/// Starts as a valid token; each method changes one thing. Values are written as they are, so that
/// they need not be valid JSON.
pub(super) struct JwtBuilder {
    header: Part,
    claims: Part,
    sign: Sign,
    map_signature: Option<MapString>,
    map_whole: Option<MapString>,
}

/// A JSON object, which may have duplicate members, and how it is serialized.
struct Part {
    members: Vec<(String, String)>,
    map_json: Option<MapJson>,
    map_base64: Option<MapString>,
}

impl JwtBuilder {
    /// A token that this issuer signed for [`RESOURCE`].
    pub(super) fn valid(issuer: &str) -> Self {
        let header = [("alg", json!("RS256")), ("typ", json!("at+jwt")), ("kid", json!(KEY_ID))];
        let claims = [
            ("iss", json!(issuer)),
            ("sub", json!("user_corpus")),
            ("client_id", json!("client_corpus")),
            ("scope", json!("profile email")),
            ("aud", json!(RESOURCE)),
            ("iat", json!(ISSUED)),
            ("nbf", json!(NOW)),
            ("exp", json!(NOW + 3600)),
            ("jti", json!("oat_corpus")),
        ];
        Self {
            header: Part::new(&header),
            claims: Part::new(&claims),
            sign: Box::new(|input| instance_key().rs256(input)),
            map_signature: None,
            map_whole: None,
        }
    }

    /// Sets a member of the header, replacing one of the same name.
    pub(super) fn header(mut self, name: &str, json: impl Display) -> Self {
        self.header.set(name, json);
        self
    }

    pub(super) fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Appends a member to the header, even if there is one of the same name.
    pub(super) fn append_header(mut self, name: &str, json: impl Display) -> Self {
        self.header.members.push((name.to_owned(), json.to_string()));
        self
    }

    /// Prepends a member to the header, even if there is one of the same name.
    pub(super) fn prepend_header(mut self, name: &str, json: impl Display) -> Self {
        self.header.members.insert(0, (name.to_owned(), json.to_string()));
        self
    }

    /// Changes the serialized JSON of the header before it is encoded.
    pub(super) fn map_header_json<B: Into<Vec<u8>>>(
        mut self,
        map: impl FnOnce(String) -> B + 'static,
    ) -> Self {
        self.header.map_json = Some(Box::new(|json| map(json).into()));
        self
    }

    /// Changes the base64url of the header before it is signed.
    pub(super) fn map_header_base64(
        mut self,
        map: impl FnOnce(String) -> String + 'static,
    ) -> Self {
        self.header.map_base64 = Some(Box::new(map));
        self
    }

    /// Sets a claim, replacing one of the same name.
    pub(super) fn claim(mut self, name: &str, json: impl Display) -> Self {
        self.claims.set(name, json);
        self
    }

    pub(super) fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Appends a claim, even if there is one of the same name.
    pub(super) fn append_claim(mut self, name: &str, json: impl Display) -> Self {
        self.claims.members.push((name.to_owned(), json.to_string()));
        self
    }

    /// Prepends a claim, even if there is one of the same name.
    pub(super) fn prepend_claim(mut self, name: &str, json: impl Display) -> Self {
        self.claims.members.insert(0, (name.to_owned(), json.to_string()));
        self
    }

    /// Changes the serialized JSON of the claims before it is encoded.
    pub(super) fn map_claims_json<B: Into<Vec<u8>>>(
        mut self,
        map: impl FnOnce(String) -> B + 'static,
    ) -> Self {
        self.claims.map_json = Some(Box::new(|json| map(json).into()));
        self
    }

    /// Changes the base64url of the claims before it is signed.
    pub(super) fn map_claims_base64(
        mut self,
        map: impl FnOnce(String) -> String + 'static,
    ) -> Self {
        self.claims.map_base64 = Some(Box::new(map));
        self
    }

    /// Makes the signature of the signing input with this function.
    pub(super) fn sign_with(mut self, sign: impl FnOnce(&[u8]) -> Vec<u8> + 'static) -> Self {
        self.sign = Box::new(sign);
        self
    }

    pub(super) fn without_signature(self) -> Self {
        self.sign_with(|_| Vec::new())
    }

    pub(super) fn map_signature_base64(
        mut self,
        map: impl FnOnce(String) -> String + 'static,
    ) -> Self {
        self.map_signature = Some(Box::new(map));
        self
    }

    /// Changes the token after it has been signed.
    pub(super) fn map_token(mut self, map: impl FnOnce(String) -> String + 'static) -> Self {
        self.map_whole = Some(Box::new(map));
        self
    }

    /// The compact serialization (RFC 7515 section 7.1).
    pub(super) fn finish(self) -> String {
        let input = format!("{}.{}", self.header.finish(), self.claims.finish());
        let signature = apply(self.map_signature, base64url((self.sign)(input.as_bytes())));
        apply(self.map_whole, format!("{input}.{signature}"))
    }
}

impl Part {
    fn new(members: &[(&str, serde_json::Value)]) -> Self {
        let members =
            members.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        Self { members, map_json: None, map_base64: None }
    }

    fn set(&mut self, name: &str, json: impl Display) {
        match self.members.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = json.to_string(),
            None => self.members.push((name.to_owned(), json.to_string())),
        }
    }

    fn remove(&mut self, name: &str) {
        self.members.retain(|(known, _)| known != name);
    }

    fn finish(self) -> String {
        let members: Vec<String> =
            self.members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let json = format!("{{{}}}", members.join(","));
        let bytes = match self.map_json {
            Some(map) => map(json),
            None => json.into_bytes(),
        };
        apply(self.map_base64, base64url(bytes))
    }
}

fn apply(map: Option<MapString>, text: String) -> String {
    match map {
        Some(map) => map(text),
        None => text,
    }
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
