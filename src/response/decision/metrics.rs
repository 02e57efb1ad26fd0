//! The counter of decisions (feature `metrics`).

use std::sync::OnceLock;

use metrics::{Key, Label, Level, Metadata, with_recorder};

use super::Decision;
use super::method_label::{LABELS, label};
use crate::oauth::TokenType;
use crate::response::RejectionReason;

const NAME: &str = "clerk_mcp_tools_decisions_total";

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The keys of admitted requests by type of credential and by method, so that counting them does not
/// allocate.
static ADMITTED: [[OnceLock<Key>; LABELS.len()]; TYPES.len()] =
    [const { [const { OnceLock::new() }; LABELS.len()] }; TYPES.len()];

const TYPES: [&str; 6] =
    ["oauth_token", "api_key", "m2m_token", "session_token", NO_TOKEN, UNKNOWN_TYPE];
/// The request has no token.
const NO_TOKEN: &str = "none";
/// The token was rejected before its type was known.
const UNKNOWN_TYPE: &str = "unknown";

pub(super) fn count(decision: &Decision<'_>) {
    let token_type = token_type(decision);
    let operation = label(decision.operations());
    match decision.reason() {
        None => match admitted(token_type, operation) {
            Some(cached) => {
                increment(cached.get_or_init(|| key("admitted", "none", token_type, operation)));
            }
            // Not reached: the labels are those of the two lists.
            None => increment(&key("admitted", "none", token_type, operation)),
        },
        Some(reason) => increment(&key("rejected", reason.as_str(), token_type, operation)),
    }
}

fn admitted(token_type: &str, operation: &str) -> Option<&'static OnceLock<Key>> {
    let at = |labels: &[&str], wanted| labels.iter().position(|label| *label == wanted);
    ADMITTED.get(at(&TYPES, token_type)?)?.get(at(&LABELS, operation)?)
}

fn token_type(decision: &Decision<'_>) -> &'static str {
    match (decision.token_type(), decision.reason()) {
        (Some(token_type), _) => TokenType::as_str(token_type),
        (None, None | Some(RejectionReason::MissingToken)) => NO_TOKEN,
        (None, Some(_)) => UNKNOWN_TYPE,
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
