//! The audience check that JWTs and opaque tokens share (RFC 8707).

use crate::error::VerifyError;
use crate::oauth::{Audience, AuthInfo, AuthInfoBuilder, TokenRequest};

/// Checks that the token was issued for the resource of the request, and completes the
/// [`AuthInfo`].
pub(super) fn check_audience(
    mode: Audience,
    builder: AuthInfoBuilder,
    audience: Option<Vec<String>>,
    request: TokenRequest<'_>,
) -> Result<AuthInfo, VerifyError> {
    let resource = mode.check(request.resource(), audience.as_deref())?.map(str::to_owned);
    let builder = builder.set_if_some(resource, AuthInfoBuilder::resource);
    Ok(builder.audience(audience.unwrap_or_default()).build())
}
