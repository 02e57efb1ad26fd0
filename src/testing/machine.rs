//! A machine of a running fake Clerk.

use std::fmt;
use std::sync::Arc;

use super::state::FakeInstance;
use super::state::machine::Machine;
use super::token_builder::TokenBuilder;

/// A machine of a [`FakeClerk`](super::FakeClerk): a service that calls others, or that is called.
/// Created by [`FakeClerk::create_machine`](super::FakeClerk::create_machine).
///
/// Clones are handles to the same machine.
#[derive(Clone)]
pub struct FakeMachine {
    instance: Arc<FakeInstance>,
    id: String,
    name: String,
    secret_key: String,
}

impl FakeMachine {
    pub(super) fn create(instance: Arc<FakeInstance>, name: String) -> Self {
        let id = instance.ids.id("mch_");
        let secret_key = format!("ak_{}", instance.ids.secret());
        let machine =
            Machine { id: id.clone(), secret_key: secret_key.clone(), may_call: Vec::new() };
        instance.records().machines.insert(id.clone(), machine);
        Self { instance, id, name, secret_key }
    }

    /// Returns the id: `mch_…`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the machine secret key, for `CLERK_MACHINE_SECRET_KEY`: `ak_…`, as the secrets of API
    /// keys.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// Allows this machine to call `other`. Tokens that were made before do not change.
    pub fn allow_calls_to(&self, other: &Self) {
        if let Some(machine) = self.instance.records().machines.get_mut(&self.id) {
            machine.may_call.push(other.id.clone());
        }
    }

    /// Returns a builder of a token of this machine, for the machines that it may call now. It starts
    /// as a valid one with the instance's token lifetime.
    ///
    /// Its [`opaque`](TokenBuilder::opaque) form is `mt_…`. Claims that are not registered ones are
    /// its custom claims.
    pub fn mint(&self) -> TokenBuilder {
        TokenBuilder::for_machine(Arc::clone(&self.instance), &self.id)
    }
}

impl fmt::Debug for FakeMachine {
    /// Omits the secret key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeMachine")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
