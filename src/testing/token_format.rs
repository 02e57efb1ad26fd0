//! The two formats of OAuth access tokens.

/// The format of the access tokens that a [`FakeClerk`](super::FakeClerk) issues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenFormat {
    /// Signed JWTs (RFC 9068).
    #[default]
    Jwt,
    /// `oat_…` strings that only the Backend API can verify.
    Opaque,
}
