//! Tokens as JWTs, foremost OAuth access tokens (RFC 9068): pure functions of token, key, requirements and time.
//!
//! Three types follow one another: an [`UnverifiedToken`] was parsed, and its bearer may have
//! written anything in it; a [`SignedToken`] only comes from [`UnverifiedToken::verify_signature`];
//! and `ValidClaims` only come from [`SignedToken::validate`]. The claims of machine tokens and of
//! session tokens have a type each.

mod algorithm;
mod base64url;
mod claims;
pub(crate) mod class;
mod header;
mod key;
mod key_set;
mod machine_claims;
mod object;
mod session_claims;
mod token;
mod value;

pub(crate) use claims::{ClaimRequirements, ValidClaims, actor, audience, is_sender_constrained};
pub(crate) use class::AcceptedTypes;
pub(crate) use header::Header;
pub use key::JwtKey;
pub(crate) use key::VerificationKey;
pub(crate) use key_set::{KeySet, VerifiedSignature, unknown_key};
pub(crate) use machine_claims::not_for_machine;
pub(crate) use object::JsonObject;
pub(crate) use token::{SignedToken, UnverifiedToken};

use crate::error::{VerifyError, VerifyErrorKind};

fn reject(kind: VerifyErrorKind, detail: &'static str) -> VerifyError {
    VerifyError::new(kind).with_detail(detail)
}

fn malformed() -> VerifyError {
    reject(
        VerifyErrorKind::Malformed,
        "the token is not a JWS of three parts with a JSON object as its header",
    )
}
