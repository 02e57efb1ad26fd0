//! The claims of a machine token in the form of a JWT.

use serde_json::{Map, Value};

use super::claims::{self, ClaimRequirements};
use super::object::JsonObject;
use super::reject;
use crate::error::{VerifyError, VerifyErrorKind};

/// The claims of a machine token that is signed, from the right issuer, not expired, and for the
/// required machine.
#[derive(Debug)]
pub(crate) struct MachineClaims {
    pub(crate) subject: String,
    pub(crate) expires_at: u64,
    pub(crate) rest: Map<String, Value>,
}

impl MachineClaims {
    /// Checks the claims of a token whose type is known. The token is for a machine if its id is in
    /// `scopes` or in `aud`.
    pub(super) fn check(
        mut claims: JsonObject<'_>,
        requirements: &ClaimRequirements<'_>,
        machine_id: Option<&str>,
        now: u64,
    ) -> Result<Self, VerifyError> {
        let expires_at = claims::check_common(&claims, requirements, now)?;
        let machine_id = machine_id.ok_or_else(no_machine_id)?;
        let is_for_machine = ["scopes", "aud"].into_iter().try_fold(false, |found, name| {
            let machines = claims.get(name).map_or(Some(false), |list| names(list, machine_id));
            machines.map(|names| found || names).ok_or_else(|| {
                reject(
                    VerifyErrorKind::InvalidClaim,
                    "`scopes` or `aud` is neither a string nor an array of strings",
                )
            })
        })?;
        if !is_for_machine {
            return Err(not_for_machine());
        }
        let subject = claims::take_string(&mut claims, "sub")?
            .ok_or_else(|| reject(VerifyErrorKind::InvalidClaim, "`sub` is missing"))?;
        Ok(Self { subject, expires_at, rest: claims::rest(claims) })
    }
}

/// Returns whether a list of machines, separated by spaces or as an array, has this id.
fn names(list: &Value, machine_id: &str) -> Option<bool> {
    match list {
        Value::String(list) => Some(list.split(' ').any(|id| id == machine_id)),
        Value::Array(ids) => {
            let ids: Option<Vec<&str>> = ids.iter().map(Value::as_str).collect();
            Some(ids?.contains(&machine_id))
        }
        _ => None,
    }
}

/// Returns the error about a machine token that is for other machines.
pub(crate) fn not_for_machine() -> VerifyError {
    reject(
        VerifyErrorKind::InvalidAudience,
        "the machine token does not name the machine of this server (CLERK_MACHINE_ID): in the \
         Clerk Dashboard, page Machines, allow the calling machine to call it",
    )
}

fn no_machine_id() -> VerifyError {
    reject(
        VerifyErrorKind::Misconfigured,
        "machine tokens that are JWTs are accepted only if they name the machine of this server: \
         set its id (MachineTokens::machine_id, CLERK_MACHINE_ID), which the Clerk Dashboard shows \
         on the page Machines",
    )
}
