//! Sealing keys in one string, as an environment variable has them.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key_id::LOOKUP;
use super::{KEY_BYTES, KeyId, SealingKeys, VARIABLE, invalid};
use crate::error::ConfigError;

impl SealingKeys {
    /// Parses keys of the form `lookup:<key>,<id>:<key>,<id>:<key>`: the lookup key, the current
    /// sealing key and retired ones, 32 bytes each in base64 with padding, as
    /// `openssl rand -base64 32` prints them. The lookup key may stand anywhere.
    ///
    /// # Errors
    ///
    /// Returns an error if a key is missing, is not of this form or occurs twice. It shows no key.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut lookup = None;
        let mut sealing = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, key) = entry
                .split_once(':')
                .ok_or_else(|| invalid("a key has no id before it; separate the two by a colon"))?;
            let key = decode(key)?;
            if id != LOOKUP {
                sealing.push((KeyId::parse(id)?, key));
            } else if lookup.replace(key).is_some() {
                return Err(invalid("there are two lookup keys"));
            }
        }
        let lookup = lookup.ok_or_else(|| {
            invalid("there is no lookup key; add \"lookup:\" and 32 random bytes in base64")
        })?;
        let mut sealing = sealing.into_iter();
        let (id, key) = sealing.next().ok_or_else(|| {
            invalid("there is no sealing key; add an id, a colon and 32 random bytes in base64")
        })?;
        sealing.try_fold(Self::new(lookup, id, key)?, |keys, (id, key)| keys.and_retired(id, key))
    }

    /// Reads the keys from an environment variable, in the form of [`parse`](Self::parse).
    ///
    /// # Errors
    ///
    /// Returns an error if the variable is not set, or its value is invalid.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use clerk_mcp_tools::client::SealingKeys;
    ///
    /// let keys = SealingKeys::from_env("MCP_CLIENT_KEYS")?;
    /// # Ok::<(), clerk_mcp_tools::ConfigError>(())
    /// ```
    pub fn from_env(variable: &str) -> Result<Self, ConfigError> {
        match std::env::var(variable) {
            Ok(text) if !text.trim().is_empty() => Self::parse(&text),
            Err(std::env::VarError::NotUnicode(_)) => Err(invalid("they are not UTF-8")),
            _ => Err(ConfigError::missing(
                VARIABLE,
                "is not set; set it to lookup:<key>,<id>:<key>, each key 32 random bytes in base64",
            )),
        }
        .map_err(|error| error.in_variable(variable))
    }
}

impl FromStr for SealingKeys {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn decode(key: &str) -> Result<[u8; KEY_BYTES], ConfigError> {
    let bytes = STANDARD.decode(key.trim()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        invalid("a key is not 32 bytes in base64 with padding; `openssl rand -base64 32` makes one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAINTEXT: &[u8] = b"an access token and a refresh token";

    fn id(text: &str) -> KeyId {
        KeyId::parse(text).unwrap()
    }

    #[test]
    fn keys_are_parsed_from_one_string() {
        let [lookup, one, two] = [[1; 32], [2; 32], [3; 32]].map(|key| STANDARD.encode(key));
        let first = SealingKeys::new([1; 32], id("new"), [2; 32]).unwrap();
        let place = first.login_key("a");
        for text in [
            format!("lookup:{lookup},new:{one},old:{two}"),
            format!(" lookup:{lookup} ,\n new:{one},\n old: {two},\n"),
            format!("new:{one},lookup:{lookup},old:{two}"),
        ] {
            let keys: SealingKeys = text.parse().unwrap();
            let debug = format!("{keys:?}");
            assert_eq!(debug, "SealingKeys { current: \"new\", retired: [\"old\"], .. }");
            assert_eq!(keys.login_key("a"), place);
            let old = SealingKeys::new([1; 32], id("old"), [3; 32]).unwrap();
            let record = old.seal(&place, PLAINTEXT).unwrap();
            assert_eq!(keys.open(&place, &record).unwrap(), PLAINTEXT);
        }
        let zeros = STANDARD.encode([0; 32]);
        let many: String = (0..17).map(|n| format!(",k{n}:{one}")).collect();
        let short = STANDARD.encode([1; 31]);
        for (text, expected) in [
            (String::new(), "there is no lookup key"),
            (format!("new:{one}"), "there is no lookup key"),
            (format!("lookup:{lookup}"), "there is no sealing key"),
            (format!("lookup:{lookup},{one}"), "a key has no id before it"),
            (format!("lookup:{lookup},lookup:{two},new:{one}"), "there are two lookup keys"),
            (format!("lookup:{lookup},new:{one},new:{two}"), "there are two keys of the id new"),
            (format!("lookup:{lookup},new:{lookup}"), "the lookup key is used as a sealing key"),
            (format!("lookup:{zeros},new:{one}"), "the lookup key is nothing but zeros"),
            (format!("lookup:{lookup},new:{zeros}"), "the key new is nothing but zeros"),
            (format!("lookup:{lookup},new:{short}"), "a key is not 32 bytes in base64"),
            (format!("lookup:{lookup},new:{}", one.trim_end_matches('=')), "a key is not 32"),
            (format!("lookup:{lookup},a b:{one}"), "the id of a key is not 1 to 16"),
            (format!("lookup:{lookup},12345678901234567:{one}"), "the id of a key is not 1 to 16"),
            (format!("lookup:{lookup}{many}"), "there are more than 16 keys"),
        ] {
            let error = SealingKeys::parse(&text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid sealing keys: {expected}")), "{error}");
            assert!(![&lookup, &one, &two].iter().any(|key| error.contains(*key)), "{error}");
        }
    }
}
