//! `Documents`: fetches of metadata documents that are under way, and those that just failed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::oauth::{ClientId, Timestamp};
use crate::outbound::FetchError;
use crate::sync::lock;

/// Documents held in memory: those under way, and those that just failed.
const MAX_REMEMBERED: usize = 10_000;

/// Why a document made no client, for log and audit trail (CI-18).
#[derive(Debug, Clone, thiserror::Error)]
pub(in crate::issuer) enum Fault {
    /// It cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What it says is no client.
    #[error("{0}")]
    Content(String),
}

impl Fault {
    pub(in crate::issuer) fn is_transient(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_transient(),
            Self::Content(_) => false,
        }
    }

    /// Returns whether a copy of a trusted publisher's document may stand in. The edges of large clients refuse some data
    /// centres, or let them wait. No other fault counts: an attacker who can break TLS must gain nothing, and a document that is
    /// gone (404, 410) is gone.
    pub(in crate::issuer) fn lets_copy_stand_in(&self) -> bool {
        matches!(self, Self::Fetch(FetchError::Status { code: 403, .. } | FetchError::Slow))
    }

    /// Returns what the other side said of itself.
    pub(in crate::issuer) fn said(&self) -> &str {
        if let Self::Fetch(FetchError::Status { said, .. }) = self { said } else { "" }
    }
}

/// How the last attempt at a document ended, and until when there is no other.
pub(in crate::issuer) type Failed = Option<(Timestamp, Fault)>;

/// Documents by client. The lock of each entry is held while its document is fetched, so that all who wait share one
/// fetch. Content and age are in the store.
#[derive(Debug, Default)]
pub(in crate::issuer) struct Documents(Mutex<HashMap<ClientId, Arc<tokio::sync::Mutex<Failed>>>>);

impl Documents {
    pub(in crate::issuer) fn find(&self, id: &ClientId) -> Option<Arc<tokio::sync::Mutex<Failed>>> {
        lock(&self.0).get(id).map(Arc::clone)
    }

    /// Adds an entry; `None` while all of them are needed.
    pub(in crate::issuer) fn add(&self, id: &ClientId, now: Timestamp) -> Option<Arc<tokio::sync::Mutex<Failed>>> {
        let mut entries = lock(&self.0);
        if entries.len() >= MAX_REMEMBERED && !entries.contains_key(id) {
            // An entry in use must stay, or a second fetch of the same document could begin; one that failed too, or it
            // would be tried again at once.
            let backs_off = |failed: &Failed| failed.as_ref().is_some_and(|(until, _)| now < *until);
            entries.retain(|_, e| Arc::strong_count(e) > 1 || e.try_lock().is_ok_and(|failed| backs_off(&failed)));
        }
        let room = entries.len() < MAX_REMEMBERED || entries.contains_key(id);
        room.then(|| Arc::clone(entries.entry(id.clone()).or_default()))
    }
}
