//! The check of the origins that tokens and keys are sent to.

use crate::error::{ConfigError, check_quotes_and_white_space};
use crate::oauth::{check_origin, parse_uri};

/// Checks that the string is an https origin and returns it without a trailing slash. `expected`
/// and `setting` are those of [`ConfigError::invalid_value`]; `remedy` says what to set.
pub(super) fn check_base_url<'a>(
    expected: &'static str,
    setting: &'static str,
    text: &'a str,
    remedy: &str,
) -> Result<&'a str, ConfigError> {
    let invalid =
        |why: &str| ConfigError::invalid_value(expected, setting, format!("it {why}; {remedy}"));
    check_quotes_and_white_space(text).map_err(invalid)?;
    let base = text.strip_suffix('/').unwrap_or(text);
    if base.contains('#') {
        return Err(invalid("has a fragment"));
    }
    let uri = parse_uri(base).ok_or_else(|| invalid("is not a URL"))?;
    check_origin(&uri).map_err(invalid)?;
    if uri.path() != "/" || base.ends_with('/') || uri.query().is_some() {
        return Err(invalid("has a path or a query, but must be an origin"));
    }
    Ok(base)
}
