//! Bounds on what the fake Clerk reads.

/// The maximum length of a request body and of a client metadata document: 64 KiB.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;
