//! The audit trail, which only grows, and the change log.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::super::{
    AuditEvent, AuditRow, AuditStore, CHANGES_AT_ONCE, Change, ChangeSeq, Changes, StoreError, StoreStats, limits,
};
use super::row::{self, Columns, execute_once, storable};
use super::{EmbeddedStore, check, sweep};
use crate::oauth::{ClientId, Lifetime, TenantId, Timestamp};

/// Adds a row, in the transaction of its deed.
pub(super) fn append(db: &Connection, row: &AuditRow) -> Result<(), StoreError> {
    let row = limits::audit(row.clone());
    execute_once(
        db,
        "INSERT INTO audit (at, tenant, event, actor, client_id, address, target, reason, request_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            row.at,
            row.tenant,
            row.event.as_str(),
            row.actor,
            row.client,
            row.address.map(|a| a.to_string()),
            row.target,
            row.reason,
            row.request_id
        ],
    )
}

/// Adds a change, in the transaction of its cause.
pub(super) fn announce(db: &Connection, at: Timestamp, change: &Change) -> Result<(), StoreError> {
    execute_once(
        db,
        "INSERT INTO change_log (at, tenant, kind, key) VALUES (?1, ?2, ?3, ?4)",
        params![at, change.tenant(), change.kind(), change.key()],
    )
}

fn read(c: &mut Columns<'_>) -> Result<(u64, AuditRow), StoreError> {
    let number = c.number()?;
    let row = AuditRow {
        at: c.moment()?,
        tenant: c.tenant()?,
        event: c.word(AuditEvent::parse)?,
        actor: c.optional_text()?.map(str::to_owned),
        client: c.optional_text()?.and_then(ClientId::parse),
        address: c.optional_text()?.and_then(|a| a.parse().ok()),
        target: c.optional_text()?.map(str::to_owned),
        reason: c.optional_text()?.map(str::to_owned),
        request_id: c.optional_text()?.map(str::to_owned),
    };
    Ok((number, row))
}

fn read_change(c: &mut Columns<'_>) -> Result<(ChangeSeq, Change), StoreError> {
    let (seq, tenant, kind, key) = (c.number()?, c.tenant()?, c.text()?, c.text()?);
    let change = Change::parse(tenant, kind, key);
    Ok((seq, change.ok_or_else(|| StoreError::Corrupt(format!("change {seq} cannot be read")))?))
}

/// Not max(seq): the newest rows may have been swept, and the number must not go back.
fn newest_change(db: &Connection) -> Result<ChangeSeq, StoreError> {
    row::number(db, "SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence WHERE name = 'change_log'")
}

#[async_trait]
impl AuditStore for EmbeddedStore {
    async fn append_audit(&self, audit: AuditRow) -> Result<(), StoreError> {
        self.write(move |db| append(db, &audit)).await
    }

    async fn audit_after(
        &self,
        tenant: Option<&TenantId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, AuditRow)>, StoreError> {
        let tenant = tenant.cloned();
        let sql = "SELECT no, at, tenant, event, actor, client_id, address, target, reason, request_id FROM audit
            WHERE no > ?1 AND (?2 IS NULL OR tenant = ?2) ORDER BY no LIMIT ?3";
        self.read(move |db| row::all(db, sql, params![storable(after), tenant, limit], read)).await
    }

    async fn newest_audit(&self) -> Result<u64, StoreError> {
        self.read(|db| row::number(db, "SELECT coalesce(max(no), 0) FROM audit")).await
    }

    async fn change_mark(&self) -> Result<u64, StoreError> {
        self.watcher.run(|db| row::number(db, "PRAGMA data_version")).await
    }

    async fn changes_after(&self, after: ChangeSeq) -> Result<Changes, StoreError> {
        let sql = "SELECT seq, tenant, kind, key FROM change_log WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let limit = u32::try_from(CHANGES_AT_ONCE).unwrap_or(u32::MAX);
        self.read(move |db| {
            let found = row::all(db, sql, params![storable(after), limit], read_change)?;
            Ok(Changes::checked(after, found, CHANGES_AT_ONCE, newest_change(db)?))
        })
        .await
    }

    async fn newest_change(&self) -> Result<ChangeSeq, StoreError> {
        self.read(newest_change).await
    }

    async fn sweep(&self, now: Timestamp, unused_client_after: Lifetime) -> Result<u64, StoreError> {
        sweep::sweep(&self.writer, now, unused_client_after).await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        check::on_own_thread(&self.file, {
            let to = to.to_owned();
            move |db| check::backup(db, &to)
        })
        .await
    }

    fn stats(&self) -> StoreStats {
        self.writer.stats()
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        check::on_own_thread(&self.file, check::check).await
    }
}
