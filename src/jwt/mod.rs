//! Access tokens in the form of a JWT (RFC 9068), as a pure function of token, key, policy and time.
//!
//! Three types follow one another: an [`UnverifiedToken`] has a shape that can be worked with and is otherwise
//! whatever its bearer wrote; a `SignedToken` can only come from [`UnverifiedToken::verify_signature`]; and
//! `ValidClaims` only from [`SignedToken::validate`].

mod claims;
mod header;
mod key;
mod key_set;
mod object;
mod token;

pub(crate) use claims::{Policy, actor, audience};
pub(crate) use header::HeaderCache;
pub use key::JwtKey;
pub(crate) use key::VerificationKey;
pub(crate) use key_set::{KeySet, Proven, unknown_key};
pub(crate) use object::{JsonObject, Name};
pub(crate) use token::{SignedToken, UnverifiedToken};

use crate::error::{VerifyError, VerifyErrorKind};

fn refuse(kind: VerifyErrorKind, detail: &'static str) -> VerifyError {
    VerifyError::new(kind).with_detail(detail)
}
