//! The results of a lookup, which never waits, and of a load, which reads the store.

use std::sync::Arc;

use super::entry::Principal;
use crate::oauth::{GrantId, Timestamp};

/// The result of a lookup.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// A valid token, with its grant and its expiry.
    Hit(Arc<Principal>, GrantId, Timestamp),
    /// A known token that has expired.
    Expired,
    /// Not in the cache; use `load`.
    Absent,
    /// In the cache, but the change log was last read too long ago for the entry to be trusted: 503.
    Stale,
}

/// The result of a load.
#[derive(Debug, Clone)]
pub enum Load {
    /// A valid token, now in the cache, with its grant and its expiry.
    Active(Arc<Principal>, GrantId, Timestamp),
    /// Not one of ours, unknown, revoked or expired.
    Inactive,
    /// The store could not be read, or too many loads are in progress: 503.
    Unknown,
}
