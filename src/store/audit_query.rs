//! Queries on the audit trail: which rows are read, and which are kept.

use super::{AuditClass, AuditEvent, AuditRow};
use crate::oauth::{AccountId, ClientId, TenantId, Timestamp};

/// Selects rows; an empty filter selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Rows of this tenant.
    pub tenant: Option<TenantId>,
    /// Rows about this account, or by it.
    pub subject: Option<AccountId>,
    /// Rows about this client.
    pub client: Option<ClientId>,
    /// Rows of these events; of any event when empty.
    pub events: Vec<AuditEvent>,
    /// Rows from this time on.
    pub since: Option<Timestamp>,
    /// Rows before this time.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Returns whether a row is selected.
    pub(super) fn wants(&self, row: &AuditRow) -> bool {
        let is_about = |subject: &AccountId| {
            // Rows of earlier versions name the account elsewhere.
            row.subject.as_ref() == Some(subject)
                || row.actor.as_deref() == Some(subject.as_str())
                || row.target.as_deref() == Some(subject.as_str())
        };
        self.tenant.as_ref().is_none_or(|tenant| row.tenant == *tenant)
            && self.subject.as_ref().is_none_or(is_about)
            && self.client.as_ref().is_none_or(|client| row.client.as_ref() == Some(client))
            && (self.events.is_empty() || self.events.contains(&row.event))
            && self.since.is_none_or(|since| since <= row.at)
            && self.until.is_none_or(|until| row.at < until)
    }
}

/// Some of the selected rows. The number of rows examined per page is limited, so that a reader is soon free again; a
/// page may therefore be empty although more rows follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The rows with their positions, in the order of reading.
    pub rows: Vec<(u64, AuditRow)>,
    /// The position to continue from; `None` at the end of the trail.
    pub next: Option<u64>,
}

/// The most rows examined per page: some milliseconds of a reader.
pub(super) const LOOKED_AT: u32 = 10_000;

/// Which rows the audit trail may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditRetention {
    /// Older rows are removed; `None` for no limit on age.
    pub since: Option<Timestamp>,
    /// Maximum size of all rows in bytes. While routine and open events, which can be very many, take more than half of
    /// it, the oldest of them are removed first; otherwise the oldest rows of all.
    pub max_bytes: u64,
}

/// The result of a step of pruning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// How many rows were removed.
    pub rows: u64,
    /// Whether there is more to do.
    pub more: bool,
}

/// The most rows examined per step of pruning: some milliseconds of the writer.
pub(super) const PRUNED_AT_ONCE: u32 = 1000;

impl AuditRow {
    /// Returns approximately how many bytes the row takes in a store.
    pub(super) fn size(&self) -> u64 {
        let of = |text: Option<&str>| text.map_or(0, str::len);
        let texts = self.tenant.as_str().len()
            + self.event.as_str().len()
            + of(self.actor.as_deref())
            + of(self.subject.as_ref().map(AccountId::as_str))
            + of(self.client.as_ref().map(ClientId::as_str))
            + of(self.resource.as_ref().map(|resource| resource.as_str()))
            + of(self.scopes.as_ref().map(ToString::to_string).as_deref())
            + of(self.address.map(|address| address.to_string()).as_deref())
            + of(self.target.as_deref())
            + of(self.reason.as_deref())
            + of(self.request_id.as_deref());
        ROW_BYTES.saturating_add(u64::try_from(texts).unwrap_or(u64::MAX))
    }

    /// Returns whether the row's event is routine or open.
    pub(super) fn is_routine(&self) -> bool {
        self.event.is_routine()
    }
}

/// The size of a row besides its texts: numbers, lengths, its share of a page.
pub(super) const ROW_BYTES: u64 = 40;

impl AuditEvent {
    /// Returns whether the event is routine or open.
    pub(super) const fn is_routine(self) -> bool {
        match self.description().class {
            AuditClass::Deed => false,
            AuditClass::Routine | AuditClass::Open => true,
        }
    }
}
