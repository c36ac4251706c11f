//! The audit trail in memory.

use async_trait::async_trait;

use super::super::{AuditFilter, AuditPage, AuditRetention, AuditRow, AuditStore, Pruned, Result};
use super::MemoryStore;
use crate::oauth::Timestamp;

/// Makes a page of the rows that match a filter.
fn page<'r>(rows: impl Iterator<Item = &'r (u64, AuditRow)>, filter: &AuditFilter, limit: u32) -> AuditPage {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let rows: Vec<_> = rows.filter(|(_, row)| filter.wants(row)).take(limit).cloned().collect();
    let next = rows.last().map(|(number, _)| *number).filter(|_| rows.len() == limit);
    AuditPage { rows, next }
}

#[async_trait]
impl AuditStore for MemoryStore {
    async fn append_audit(&self, audit: AuditRow) -> Result<()> {
        self.write().record(audit);
        Ok(())
    }

    async fn audit_after(&self, filter: &AuditFilter, after: u64, limit: u32) -> Result<AuditPage> {
        let state = self.read();
        Ok(page(state.audit.iter().filter(|(number, _)| *number > after), filter, limit))
    }

    async fn audit_before(&self, filter: &AuditFilter, before: Option<u64>, limit: u32) -> Result<AuditPage> {
        let state = self.read();
        let earlier = state.audit.iter().rev().filter(|(number, _)| before.is_none_or(|before| *number < before));
        Ok(page(earlier, filter, limit))
    }

    async fn audit_since(&self, since: Timestamp) -> Result<u64> {
        let state = self.read();
        let first = state.audit.iter().find(|(_, row)| since <= row.at);
        let none = state.audit.last().map_or(0, |(number, _)| *number);
        Ok(first.map_or(none, |(number, _)| number.saturating_sub(1)))
    }

    async fn newest_audit(&self) -> Result<u64> {
        Ok(self.read().audit.last().map_or(0, |(number, _)| *number))
    }

    async fn prune_audit(&self, keep: AuditRetention, audit: Option<AuditRow>) -> Result<Pruned> {
        let mut state = self.write();
        let before = state.audit.len();
        let Some((newest, _)) = state.audit.last().cloned() else { return Ok(Pruned { rows: 0, more: false }) };
        if let Some(since) = keep.since {
            state.audit.retain(|(number, row)| *number == newest || since <= row.at);
        }
        let size = |rows: &[(u64, AuditRow)], which: fn(&AuditRow) -> bool| {
            rows.iter().filter(|(_, row)| which(row)).map(|(_, row)| row.size()).sum::<u64>()
        };
        while state.audit.len() > 1 && size(&state.audit, |_| true) > keep.max_bytes {
            let too_much_routine = size(&state.audit, AuditRow::is_routine) > keep.max_bytes / 2;
            let removable = state.audit.len() - 1;
            let routine = state.audit.iter().take(removable).position(|(_, row)| row.is_routine());
            state.audit.remove(routine.filter(|_| too_much_routine).unwrap_or(0));
        }
        let rows = u64::try_from(before - state.audit.len()).unwrap_or(u64::MAX);
        audit.filter(|_| rows > 0).into_iter().for_each(|row| state.record(row));
        Ok(Pruned { rows, more: false })
    }
}
