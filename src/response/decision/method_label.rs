//! The methods of MCP as labels, so that no label comes from a request.

use crate::mcp::{Operation, REQUEST_METHODS};

const NOTIFICATIONS: &str = "notifications/";

/// Every label: the methods, and what is not one of them.
#[cfg(any(feature = "metrics", test))]
pub(super) const LABELS: [&str; REQUEST_METHODS.len() + 4] = {
    let mut labels = [NONE; REQUEST_METHODS.len() + 4];
    let mut at = 0;
    while at < REQUEST_METHODS.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            labels[at] = REQUEST_METHODS[at];
        }
        at += 1;
    }
    let [.., notification, batch, other, _none] = &mut labels;
    *notification = NOTIFICATION;
    *batch = BATCH;
    *other = OTHER;
    labels
};

/// A notification of the client.
const NOTIFICATION: &str = "notification";
/// Several operations.
#[cfg(any(feature = "metrics", test))]
const BATCH: &str = "batch";
/// A method that is not on the list.
const OTHER: &str = "other";
/// No operation is known.
#[cfg(any(feature = "metrics", test))]
const NONE: &str = "none";

/// Returns the label of a request with these operations.
#[cfg(any(feature = "metrics", test))]
pub(super) fn label(operations: &[Operation<'_>]) -> &'static str {
    match operations {
        [] => NONE,
        [operation] => label_of(operation),
        _ => BATCH,
    }
}

/// Returns the label of one operation.
pub(super) fn label_of(operation: &Operation<'_>) -> &'static str {
    let method = operation.method();
    if method.starts_with(NOTIFICATIONS) {
        return NOTIFICATION;
    }
    REQUEST_METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_from_a_fixed_list() {
        let one = Operation::new;
        let rows: [(&[Operation<'_>], &str); 8] = [
            (&[], "none"),
            (&[one("tools/call").named("x")], "tools/call"),
            (&[one("tasks/cancel")], "tasks/cancel"),
            (&[one("notifications/initialized")], "notification"),
            (&[one("notifications/anything")], "notification"),
            (&[one("Tools/Call")], "other"),
            (&[one("")], "other"),
            (&[one("ping"), one("ping")], "batch"),
        ];
        for (operations, expected) in rows {
            assert_eq!(label(operations), expected, "{operations:?}");
            assert!(LABELS.contains(&expected));
        }
        let distinct: std::collections::HashSet<_> = LABELS.into_iter().collect();
        assert_eq!(distinct.len(), LABELS.len());
    }
}
