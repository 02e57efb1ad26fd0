//! The header of the last valid JWT.

use std::sync::{Arc, PoisonError, RwLock};

use crate::jwt::Header;

/// Remembers the header of the last valid JWT.
///
/// All tokens of one key have the same header. For a token that is seen for the first time this
/// saves the base64url decoding, the JSON parse and the allocations of its header.
#[derive(Default)]
pub(super) struct HeaderCache(RwLock<Option<Arc<Header>>>);

impl HeaderCache {
    pub(super) fn get(&self) -> Option<Arc<Header>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores the header of a token that was accepted.
    pub(super) fn store(&self, header: &Arc<Header>) {
        let is_stored = self.get().is_some_and(|stored| Arc::ptr_eq(&stored, header));
        if !is_stored {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(header));
        }
    }
}
