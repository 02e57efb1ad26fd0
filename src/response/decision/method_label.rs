//! The methods of MCP as labels, so that no label comes from a request.

use crate::mcp::{Operation, REQUEST_METHODS};

/// Every label: the methods, and what is not one of them.
pub(super) const LABELS: [&str; REQUEST_METHODS.len() + 4] = {
    let mut labels = ["none"; REQUEST_METHODS.len() + 4];
    let (methods, others) = labels.split_at_mut(REQUEST_METHODS.len());
    methods.copy_from_slice(&REQUEST_METHODS);
    others.copy_from_slice(&["notification", "batch", "other", "none"]);
    labels
};

/// A notification of the client.
const NOTIFICATION: usize = REQUEST_METHODS.len();
/// Several operations.
#[cfg(any(feature = "metrics", test))]
const BATCH: usize = NOTIFICATION + 1;
/// A method that is not on the list.
const OTHER: usize = NOTIFICATION + 2;
/// No operation is known.
#[cfg(any(feature = "metrics", test))]
const NONE: usize = NOTIFICATION + 3;

/// Returns which of the labels a request with these operations has.
#[cfg(any(feature = "metrics", test))]
pub(super) fn label_index(operations: &[Operation<'_>]) -> usize {
    match operations {
        [] => NONE,
        [operation] => index_of(operation),
        _ => BATCH,
    }
}

fn index_of(operation: &Operation<'_>) -> usize {
    let method = operation.method();
    if method.starts_with("notifications/") {
        return NOTIFICATION;
    }
    REQUEST_METHODS.iter().position(|known| *known == method).unwrap_or(OTHER)
}

/// Returns the label of one operation.
pub(super) fn label_of(operation: &Operation<'_>) -> &'static str {
    LABELS.get(index_of(operation)).copied().unwrap_or_default()
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
            assert_eq!(LABELS[label_index(operations)], expected, "{operations:?}");
        }
        let distinct: std::collections::HashSet<_> = LABELS.into_iter().collect();
        assert_eq!(distinct.len(), LABELS.len());
    }
}
