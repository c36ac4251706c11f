//! `Documents`: metadata documents that are being fetched, and those whose fetch just failed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::oauth::{ClientId, Timestamp};
use crate::outbound::FetchError;
use crate::sync::lock;

/// The most entries in memory: documents being fetched, and those that just failed.
const MAX_REMEMBERED: usize = 10_000;

/// Why a document made no client, for log and audit trail (CI-18).
#[derive(Debug, Clone, thiserror::Error)]
pub(in crate::issuer) enum DocumentFault {
    /// The document could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The document does not describe a valid client.
    #[error("{0}")]
    Content(String),
}

impl DocumentFault {
    pub(in crate::issuer) fn is_transient(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_transient(),
            Self::Content(_) => false,
        }
    }

    /// Returns whether a copy of a trusted publisher's document may be used instead: only for refusals and timeouts,
    /// because the edge servers of large clients block or delay some data centres. No other fault counts: an attacker
    /// who can break TLS must gain nothing, and a document that was removed (404, 410) is gone.
    pub(in crate::issuer) fn lets_copy_stand_in(&self) -> bool {
        matches!(self, Self::Fetch(FetchError::Status { code: 403, .. } | FetchError::Slow))
    }

    /// Returns the other server's own text about the fault.
    pub(in crate::issuer) fn said(&self) -> &str {
        if let Self::Fetch(FetchError::Status { said, .. }) = self { said } else { "" }
    }
}

/// The last failure to fetch a document, and until when it is not tried again.
pub(in crate::issuer) type Failed = Option<(Timestamp, DocumentFault)>;

/// Documents by client id. Each entry is locked while its document is fetched, so that everybody who waits for it
/// shares one fetch. Content and age are in the store.
#[derive(Debug, Default)]
pub(in crate::issuer) struct Documents(Mutex<HashMap<ClientId, Arc<tokio::sync::Mutex<Failed>>>>);

impl Documents {
    pub(in crate::issuer) fn find(&self, id: &ClientId) -> Option<Arc<tokio::sync::Mutex<Failed>>> {
        lock(&self.0).get(id).map(Arc::clone)
    }

    /// Adds the entry of a document, or finds it; `None` when the map is full and no entry can be dropped.
    pub(in crate::issuer) fn add(&self, id: &ClientId, now: Timestamp) -> Option<Arc<tokio::sync::Mutex<Failed>>> {
        let mut entries = lock(&self.0);
        if entries.len() >= MAX_REMEMBERED && !entries.contains_key(id) {
            // An entry in use must stay, or a second fetch of the same document could begin; so must one that failed
            // recently, or it would be fetched again at once.
            let backs_off = |failed: &Failed| failed.as_ref().is_some_and(|(until, _)| now < *until);
            entries.retain(|_, e| Arc::strong_count(e) > 1 || e.try_lock().is_ok_and(|failed| backs_off(&failed)));
        }
        let room = entries.len() < MAX_REMEMBERED || entries.contains_key(id);
        room.then(|| Arc::clone(entries.entry(id.clone()).or_default()))
    }
}
