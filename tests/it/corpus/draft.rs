//! A JWT in the making, down to the byte: JSON text, the spelling of each part, and how it is signed.

use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::keys::{KEY_ID, ours};
use crate::support::{NOW, RESOURCE};

type ToBytes = Box<dyn FnOnce(String) -> Vec<u8>>;
type Respell = Box<dyn FnOnce(String) -> String>;
type Sign = Box<dyn FnOnce(&[u8]) -> Vec<u8>>;

/// It starts as a good token; each method changes one thing, right or wrong. What a method gets as the value of a
/// member is JSON text as it stands, so that it may be text that is no JSON.
pub(super) struct Draft {
    header: Part,
    claims: Part,
    sign: Sign,
    spell_signature: Option<Respell>,
    spell_token: Option<Respell>,
}

/// A JSON object that may name a member twice, and how its text is written down.
struct Part {
    members: Vec<(String, String)>,
    text: Option<ToBytes>,
    spell: Option<Respell>,
}

impl Draft {
    /// A token that this issuer signed for [`RESOURCE`].
    pub(super) fn good(issuer: &str) -> Self {
        let header = [("alg", json!("RS256")), ("typ", json!("at+jwt")), ("kid", json!(KEY_ID))];
        let claims = [
            ("iss", json!(issuer)),
            ("sub", json!("user_corpus")),
            ("client_id", json!("client_corpus")),
            ("scope", json!("profile email")),
            ("aud", json!(RESOURCE)),
            ("iat", json!(NOW)),
            ("nbf", json!(NOW)),
            ("exp", json!(NOW + 3600)),
            ("jti", json!("oat_corpus")),
        ];
        Self {
            header: Part::new(&header),
            claims: Part::new(&claims),
            sign: Box::new(|input| ours().rs256(input)),
            spell_signature: None,
            spell_token: None,
        }
    }

    /// A member of the header, in place of the one of that name if there is one.
    pub(super) fn head(mut self, name: &str, json: impl Display) -> Self {
        self.header.set(name, json);
        self
    }

    pub(super) fn no_head(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// A further member at the end of the header, whether or not there is one of that name.
    pub(super) fn head_again(mut self, name: &str, json: impl Display) -> Self {
        self.header.members.push((name.to_owned(), json.to_string()));
        self
    }

    /// A further member at the start of the header.
    pub(super) fn head_before(mut self, name: &str, json: impl Display) -> Self {
        self.header.members.insert(0, (name.to_owned(), json.to_string()));
        self
    }

    /// The bytes of the header, made of its JSON text.
    pub(super) fn head_text<B: Into<Vec<u8>>>(
        mut self,
        make: impl FnOnce(String) -> B + 'static,
    ) -> Self {
        self.header.text = Some(Box::new(|text| make(text).into()));
        self
    }

    /// Another spelling of the header's base64url, which is what gets signed.
    pub(super) fn head_spelled(mut self, spell: impl FnOnce(String) -> String + 'static) -> Self {
        self.header.spell = Some(Box::new(spell));
        self
    }

    /// A claim, in place of the one of that name if there is one.
    pub(super) fn claim(mut self, name: &str, json: impl Display) -> Self {
        self.claims.set(name, json);
        self
    }

    pub(super) fn no_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// A further claim at the end, whether or not there is one of that name.
    pub(super) fn claim_again(mut self, name: &str, json: impl Display) -> Self {
        self.claims.members.push((name.to_owned(), json.to_string()));
        self
    }

    /// A further claim at the start.
    pub(super) fn claim_before(mut self, name: &str, json: impl Display) -> Self {
        self.claims.members.insert(0, (name.to_owned(), json.to_string()));
        self
    }

    /// The bytes of the claims, made of their JSON text.
    pub(super) fn claims_text<B: Into<Vec<u8>>>(
        mut self,
        make: impl FnOnce(String) -> B + 'static,
    ) -> Self {
        self.claims.text = Some(Box::new(|text| make(text).into()));
        self
    }

    /// Another spelling of the claims' base64url, which is what gets signed.
    pub(super) fn claims_spelled(mut self, spell: impl FnOnce(String) -> String + 'static) -> Self {
        self.claims.spell = Some(Box::new(spell));
        self
    }

    /// What the signature is, for these bytes of header and claims.
    pub(super) fn signed(mut self, sign: impl FnOnce(&[u8]) -> Vec<u8> + 'static) -> Self {
        self.sign = Box::new(sign);
        self
    }

    pub(super) fn unsigned(self) -> Self {
        self.signed(|_| Vec::new())
    }

    pub(super) fn signature_spelled(
        mut self,
        spell: impl FnOnce(String) -> String + 'static,
    ) -> Self {
        self.spell_signature = Some(Box::new(spell));
        self
    }

    /// What becomes of the token once it is signed.
    pub(super) fn then(mut self, spell: impl FnOnce(String) -> String + 'static) -> Self {
        self.spell_token = Some(Box::new(spell));
        self
    }

    /// The compact serialisation (RFC 7515 section 7.1).
    pub(super) fn finish(self) -> String {
        let input = format!("{}.{}", self.header.finish(), self.claims.finish());
        let signature = respell(self.spell_signature, base64url((self.sign)(input.as_bytes())));
        respell(self.spell_token, format!("{input}.{signature}"))
    }
}

impl Part {
    fn new(members: &[(&str, serde_json::Value)]) -> Self {
        let members =
            members.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        Self { members, text: None, spell: None }
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
        let bytes = match self.text {
            Some(make) => make(json),
            None => json.into_bytes(),
        };
        respell(self.spell, base64url(bytes))
    }
}

fn respell(spell: Option<Respell>, text: String) -> String {
    match spell {
        Some(spell) => spell(text),
        None => text,
    }
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
