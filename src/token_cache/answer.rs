//! What the cache answers: to a lookup, which never waits, and to a load, which asks the store.

use std::sync::Arc;

use super::entry::Principal;
use crate::oauth::Timestamp;

/// The answer of a lookup.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// A live token.
    Hit(Arc<Principal>, Timestamp),
    /// Known, and past its end.
    Expired,
    /// Not in memory; ask `load`.
    Absent,
    /// In memory, but the change log was read too long ago for it to be trusted: 503.
    Stale,
}

/// The answer of a load.
#[derive(Debug, Clone)]
pub enum Load {
    /// A live token; it is now in memory; its end.
    Active(Arc<Principal>, Timestamp),
    /// Not one of ours, unknown, revoked or expired.
    Inactive,
    /// The store could not say, or too many loads are under way: 503.
    Unknown,
}
