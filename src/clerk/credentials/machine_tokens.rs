//! Which machine tokens a server accepts, and what they are granted.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{VerifyError, VerifyErrorKind};
use crate::instance::{MachineId, MachineSecretKey};
use crate::oauth::Scopes;

/// The rules for machine tokens, for
/// [`accept_machine_tokens`](crate::ClerkVerifierBuilder::accept_machine_tokens).
///
/// A machine token is opaque (`mt_…`) or a JWT. **Only those for this server's machine are
/// accepted**; in the Clerk Dashboard, page *Machines*, every machine has a list of those that it may
/// call.
///
/// | | opaque | JWT |
/// | --- | --- | --- |
/// | [`with_secret_key`](Self::with_secret_key) | Clerk verifies only those for this machine | [`Misconfigured`](crate::VerifyErrorKind::Misconfigured) |
/// | [`for_machine`](Self::for_machine) | verified with the secret key of the instance; `scopes` in Clerk's response must name the machine | `scopes` or `aud` must name the machine |
/// | both | verified with the secret key of the machine, and `scopes` must name it too | as above |
///
/// **That list stands behind opaque tokens only.** Clerk signs a JWT with the claims that its machine
/// asks for, `scopes` and `aud` among them. They keep a JWT for one server from being used at
/// another, but a machine of the instance that may not call this server can name it all the same. Use
/// [`only_from`](Self::only_from) where not every machine of the instance is trusted.
///
/// The `scopes` of a machine token are machines and not OAuth scopes. What a machine may do is said
/// here: nothing by default, so that a server that requires scopes rejects it with 403.
///
/// An opaque token is seen as revoked after
/// [`opaque_token_cache_ttl`](crate::ClerkVerifierBuilder::opaque_token_cache_ttl) at the latest. A
/// JWT cannot be revoked.
///
/// # Example
///
/// ```
/// use clerk_mcp_tools::clerk::MachineTokens;
/// use clerk_mcp_tools::instance::{FrontendApi, MachineId, MachineSecretKey};
/// use clerk_mcp_tools::{ClerkVerifier, Scopes};
///
/// let machines = MachineTokens::with_secret_key(MachineSecretKey::parse("ak_0123456789")?)
///     .machine_id(MachineId::parse("mch_2server")?)
///     .granting(Scopes::parse("mcp")?)
///     .granting_to(MachineId::parse("mch_2deploy")?, Scopes::parse("mcp deploy")?);
/// let verifier = ClerkVerifier::builder()
///     .frontend_api(FrontendApi::parse("https://clerk.example.com")?)
///     .accept_machine_tokens(machines)
///     .build()?;
/// # let _ = verifier;
/// # Ok::<(), clerk_mcp_tools::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct MachineTokens {
    secret_key: Option<MachineSecretKey>,
    machine_id: Option<MachineId>,
    granted: Scopes,
    granted_to: BTreeMap<MachineId, Scopes>,
    callers: Option<BTreeSet<MachineId>>,
}

impl MachineTokens {
    /// Accepts opaque tokens, which are verified with the secret key of this server's machine.
    pub fn with_secret_key(key: MachineSecretKey) -> Self {
        Self { secret_key: Some(key), ..Self::new() }
    }

    /// Accepts tokens that name this server's machine. Opaque ones are verified with the secret key
    /// of the instance.
    pub fn for_machine(id: MachineId) -> Self {
        Self { machine_id: Some(id), ..Self::new() }
    }

    fn new() -> Self {
        Self {
            secret_key: None,
            machine_id: None,
            granted: Scopes::none(),
            granted_to: BTreeMap::new(),
            callers: None,
        }
    }

    /// Creates the rules from what is set. Returns `None` if neither the key nor the id is.
    pub(in crate::clerk) fn from_parts(
        secret_key: Option<MachineSecretKey>,
        machine_id: Option<MachineId>,
    ) -> Option<Self> {
        if secret_key.is_none() && machine_id.is_none() {
            return None;
        }
        Some(Self { secret_key, machine_id, ..Self::new() })
    }

    /// Sets the secret key of this server's machine. Defaults to none.
    pub fn secret_key(mut self, key: MachineSecretKey) -> Self {
        self.secret_key = Some(key);
        self
    }

    /// Sets the id of this server's machine, which tokens must name. Defaults to none.
    pub fn machine_id(mut self, id: MachineId) -> Self {
        self.machine_id = Some(id);
        self
    }

    /// Sets the scopes that every machine is granted. Defaults to none.
    pub fn granting(mut self, scopes: Scopes) -> Self {
        self.granted = scopes;
        self
    }

    /// Sets the scopes that this calling machine is granted, in place of those of
    /// [`granting`](Self::granting).
    pub fn granting_to(mut self, machine: MachineId, scopes: Scopes) -> Self {
        self.granted_to.insert(machine, scopes);
        self
    }

    /// Accepts only tokens of these machines, opaque ones and JWTs. Defaults to those of every machine
    /// that may call this server, and to JWTs of every machine of the instance that names it.
    pub fn only_from(mut self, machines: impl IntoIterator<Item = MachineId>) -> Self {
        self.callers = Some(machines.into_iter().collect());
        self
    }

    /// Returns an error if tokens of the calling machine are not accepted.
    pub(in crate::clerk) fn check_caller(&self, machine: &str) -> Result<(), VerifyError> {
        let is_listed =
            |callers: &BTreeSet<MachineId>| callers.iter().any(|id| id.as_str() == machine);
        if self.callers.as_ref().is_none_or(is_listed) {
            return Ok(());
        }
        Err(VerifyError::new(VerifyErrorKind::InvalidAudience)
            .with_detail("the calling machine is not one of those in MachineTokens::only_from"))
    }

    pub(in crate::clerk) fn own_key(&self) -> Option<&MachineSecretKey> {
        self.secret_key.as_ref()
    }

    pub(in crate::clerk) fn own_id(&self) -> Option<&str> {
        self.machine_id.as_ref().map(MachineId::as_str)
    }

    /// Returns the scopes that the calling machine is granted.
    pub(in crate::clerk) fn granted(&self, machine: &str) -> Scopes {
        let own = self.granted_to.iter().find(|(id, _)| id.as_str() == machine);
        own.map_or(&self.granted, |(_, scopes)| scopes).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_can_be_limited() {
        let id = |id| MachineId::parse(id).unwrap();
        let rules = MachineTokens::for_machine(id("mch_1"));
        let rows = [
            (rules.clone(), [true, true]),
            (rules.clone().only_from([id("mch_2")]), [true, false]),
            (rules.clone().only_from([id("mch_2"), id("mch_3")]), [true, true]),
            (rules.clone().only_from([]), [false, false]),
            (rules.granting_to(id("mch_3"), Scopes::none()), [true, true]),
        ];
        for (rules, expected) in rows {
            let accepted = ["mch_2", "mch_3"].map(|machine| rules.check_caller(machine).is_ok());
            assert_eq!(accepted, expected, "{rules:?}");
        }
    }

    #[test]
    fn a_machine_has_its_own_scopes_or_those_of_all() {
        let scopes = |list| Scopes::parse(list).unwrap();
        let id = |id| MachineId::parse(id).unwrap();
        let rules = MachineTokens::for_machine(id("mch_1"));
        assert_eq!(rules.granted("mch_2"), Scopes::none());
        let rules = rules.granting(scopes("a b")).granting_to(id("mch_2"), scopes("c"));
        let rules = rules.granting_to(id("mch_3"), Scopes::none());
        for (machine, expected) in [("mch_2", "c"), ("mch_3", ""), ("mch_4", "a b"), ("", "a b")] {
            assert_eq!(rules.granted(machine), scopes(expected), "{machine}");
        }
    }
}
