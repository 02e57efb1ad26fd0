//! The counter of decisions (feature `metrics`).

use std::sync::OnceLock;

use metrics::{Key, Label, Level, Metadata, with_recorder};

use super::Decision;
use super::method_label::{LABELS, label_index};
use crate::oauth::TokenType;
use crate::response::RejectionReason;

const NAME: &str = "clerk_mcp_tools_decisions_total";

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The keys of admitted requests by type of credential and by method, so that counting them does not
/// allocate.
static ADMITTED: [[OnceLock<Key>; LABELS.len()]; TYPES.len()] =
    [const { [const { OnceLock::new() }; LABELS.len()] }; TYPES.len()];

/// The labels of credentials: the types, no token, and a token that was rejected before its type was
/// known.
const TYPES: [&str; 6] =
    ["oauth_token", "api_key", "m2m_token", "session_token", "none", "unknown"];

pub(super) fn count(decision: &Decision<'_>) {
    let (token_type, operation) = (type_index(decision), label_index(decision.operations()));
    let new_key = |verdict, reason| {
        let label = |labels: &[&'static str], at| labels.get(at).copied().unwrap_or_default();
        key(verdict, reason, label(&TYPES, token_type), label(&LABELS, operation))
    };
    match decision.reason() {
        None => {
            let admitted = ADMITTED.get(token_type).and_then(|keys| keys.get(operation));
            match admitted {
                Some(cached) => increment(cached.get_or_init(|| new_key("admitted", "none"))),
                // Not reached: the two indices are those of the lists.
                None => increment(&new_key("admitted", "none")),
            }
        }
        Some(reason) => increment(&new_key("rejected", reason.as_str())),
    }
}

/// Returns which of [`TYPES`] the credential of a request has.
fn type_index(decision: &Decision<'_>) -> usize {
    match (decision.token_type(), decision.reason()) {
        (Some(TokenType::OAuthToken), _) => 0,
        (Some(TokenType::ApiKey), _) => 1,
        (Some(TokenType::M2mToken), _) => 2,
        (Some(TokenType::SessionToken), _) => 3,
        (None, None | Some(RejectionReason::MissingToken)) => 4,
        (None, Some(_)) => 5,
    }
}

fn key(
    decision: &'static str,
    reason: &'static str,
    token_type: &'static str,
    operation: &'static str,
) -> Key {
    let labels = [
        ("decision", decision),
        ("reason", reason),
        ("token_type", token_type),
        ("operation", operation),
    ];
    let labels = labels.map(|(name, value)| Label::from_static_parts(name, value));
    Key::from_parts(NAME, labels.to_vec())
}

fn increment(key: &Key) {
    with_recorder(|recorder| recorder.register_counter(key, &METADATA).increment(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::AuthInfo;

    #[test]
    fn each_type_of_credential_has_the_label_of_its_name() {
        for token_type in TokenType::ALL {
            let caller = AuthInfo::for_user("user_1", "token".into()).token_type(token_type);
            let index = type_index(&Decision::admitted(Some(&caller.build()), &[]));
            assert_eq!(TYPES[index], token_type.as_str());
        }
        assert_eq!(TYPES[type_index(&Decision::admitted(None, &[]))], "none");
    }
}
