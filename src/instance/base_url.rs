//! The origins that tokens and keys may be sent to.

use crate::error::ConfigError;
use crate::oauth::{check_origin, parse_uri};

/// An origin that tokens and keys may be sent to, without a slash at its end.
pub(super) fn check_base_url<'a>(
    setting: &'static str,
    text: &'a str,
    remedy: &str,
) -> Result<&'a str, ConfigError> {
    let invalid =
        |why: &str| ConfigError::invalid(setting, format!("cannot be used: it {why}; {remedy}"));
    let base = text.strip_suffix('/').unwrap_or(text);
    if base.contains('#') {
        return Err(invalid("has a fragment"));
    }
    let uri = parse_uri(base).ok_or_else(|| invalid("is not a URL"))?;
    check_origin(&uri).map_err(invalid)?;
    if uri.path() != "/" || base.ends_with('/') || uri.query().is_some() {
        return Err(invalid("has a path or a query, where only the origin belongs"));
    }
    Ok(base)
}
