//! What is asked of the audit trail as a whole: which rows are read, and which are kept.

use super::{AuditClass, AuditEvent, AuditRow};
use crate::oauth::{AccountId, ClientId, TenantId, Timestamp};

/// Which rows are wanted; an empty filter wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// About this account, or by it.
    pub subject: Option<AccountId>,
    /// About this client.
    pub client: Option<ClientId>,
    /// One of these events; when empty: any.
    pub events: Vec<AuditEvent>,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Returns whether a row is wanted.
    pub(super) fn wants(&self, row: &AuditRow) -> bool {
        let is_about = |subject: &AccountId| {
            // Rows from before there was a subject name it elsewhere.
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

/// Some of the wanted rows. A page looks at so many rows at most that a reader is soon free again, so it may be empty
/// although others follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The rows with their positions, in the order in which they were read.
    pub rows: Vec<(u64, AuditRow)>,
    /// The position to go on from; `None` at the end of the trail.
    pub next: Option<u64>,
}

/// Rows that a page looks at, at most: some milliseconds of a reader.
pub(super) const LOOKED_AT: u32 = 10_000;

/// What the audit trail may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditRetention {
    /// Older rows go; `None`: none goes for its age.
    pub since: Option<Timestamp>,
    /// Bytes of rows at most. While routine and open events, which come by the thousand, take more than half of it, the oldest
    /// of them go first; otherwise the oldest rows of all.
    pub max_bytes: u64,
}

/// What a step of pruning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Rows that went.
    pub rows: u64,
    /// Whether there is more to do.
    pub more: bool,
}

/// Rows that a step of pruning looks at, at most: some milliseconds of the writer.
pub(super) const PRUNED_AT_ONCE: u32 = 1000;

impl AuditRow {
    /// Returns about how many bytes it takes in a store.
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

    /// Returns whether its event is routine or open.
    pub(super) fn is_routine(&self) -> bool {
        self.event.is_routine()
    }
}

/// What a row takes besides its texts: numbers, lengths, its part of a page.
pub(super) const ROW_BYTES: u64 = 40;

impl AuditEvent {
    /// Returns whether it is routine or open.
    pub(super) const fn is_routine(self) -> bool {
        match self.description().class {
            AuditClass::Deed => false,
            AuditClass::Routine | AuditClass::Open => true,
        }
    }
}
