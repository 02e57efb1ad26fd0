//! The caller as fields of the application's span.

use tracing::Span;
use tracing::field::display;

use crate::oauth::AuthInfo;

/// Records the caller on the current span, in those fields that it declares.
pub(crate) fn record_caller(caller: &AuthInfo) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("enduser.id", caller.principal().id());
    span.record("oauth.scopes", display(caller.scopes()));
    if let Some(client_id) = caller.client_id() {
        span.record("oauth.client_id", client_id);
    }
}
