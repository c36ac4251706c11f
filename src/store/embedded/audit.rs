//! The audit trail and the change log.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::types::ToSql;
use rusqlite::{Connection, params};

use super::super::audit_query::LOOKED_AT;
use super::super::change_log::CHANGES_AT_ONCE;
use super::super::{
    AuditEvent, AuditFilter, AuditPage, AuditRetention, AuditRow, AuditStore, Change, ChangeLog, ChangeSeq, Changes,
    Pruned, StoreError, StoreStats, TellUnstored, Upkeep, limits,
};
use super::row::{self, Columns, execute_once, storable};
use super::{EmbeddedStore, check, retention, sweep};
use crate::oauth::{ClientId, Lifetime, ResourceIndicator, ScopeSet, Subject, Timestamp};

/// Adds a row, in the transaction of its deed.
pub(super) fn append(db: &Connection, row: &AuditRow) -> Result<(), StoreError> {
    let row = limits::audit(row.clone());
    execute_once(
        db,
        "INSERT INTO audit (at, tenant, event, actor, subject, client_id, resource, scopes, address, target, reason,
             request_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            row.at,
            row.tenant,
            row.event.as_str(),
            row.actor,
            row.subject,
            row.client,
            row.resource,
            row.scopes,
            row.address.map(|a| a.to_string()),
            row.target,
            row.reason,
            row.request_id
        ],
    )?;
    retention::count(db, &row)
}

/// Adds a change, in the transaction of its cause.
pub(super) fn announce(db: &Connection, at: Timestamp, change: &Change) -> Result<(), StoreError> {
    execute_once(
        db,
        "INSERT INTO change_log (at, tenant, kind, key) VALUES (?1, ?2, ?3, ?4)",
        params![at, change.tenant(), change.kind(), change.key()],
    )
}

const COLUMNS: &str =
    "no, at, tenant, event, actor, subject, client_id, resource, scopes, address, target, reason, request_id";

fn read(c: &mut Columns<'_>) -> Result<(u64, AuditRow), StoreError> {
    let number = c.number()?;
    let row = AuditRow {
        at: c.moment()?,
        tenant: c.tenant()?,
        event: c.word(AuditEvent::parse)?,
        actor: c.optional_text()?.map(str::to_owned),
        subject: c.optional_text()?.and_then(Subject::parse),
        client: c.optional_text()?.and_then(ClientId::parse),
        resource: c.optional_text()?.map(ResourceIndicator::from_stored),
        scopes: c.optional_text()?.and_then(ScopeSet::from_stored),
        address: c.optional_text()?.and_then(|a| a.parse().ok()),
        target: c.optional_text()?.map(str::to_owned),
        reason: c.optional_text()?.map(str::to_owned),
        request_id: c.optional_text()?.map(str::to_owned),
    };
    Ok((number, row))
}

/// In which order the trail is read.
#[derive(Clone, Copy)]
enum Order {
    OldestFirst,
    NewestFirst,
}

/// Reads a page of the rows that a filter wants.
fn page(db: &Connection, filter: &AuditFilter, order: Order, from: u64, limit: u32) -> Result<AuditPage, StoreError> {
    let (beyond, direction) = match order {
        Order::OldestFirst => (">", "ASC"),
        Order::NewestFirst => ("<", "DESC"),
    };
    // Names of events are ours, so they may stand in the text.
    let events = filter.events.iter().map(|event| format!("'{}'", event.as_str())).collect::<Vec<_>>().join(", ");
    let of_events = if events.is_empty() { "true".to_owned() } else { format!("event IN ({events})") };
    let sql = format!(
        "SELECT no, (?2 IS NULL OR tenant = ?2)
                AND (?3 IS NULL OR subject = ?3 OR actor = ?3 OR target = ?3)
                AND (?4 IS NULL OR client_id = ?4) AND (?5 IS NULL OR ?5 <= at) AND (?6 IS NULL OR at < ?6)
                AND {of_events},
            {COLUMNS}
         FROM audit WHERE no {beyond} ?1 ORDER BY no {direction} LIMIT {LOOKED_AT}"
    );
    let wanted: [&dyn ToSql; 6] =
        [&storable(from), &filter.tenant, &filter.subject, &filter.client, &filter.since, &filter.until];
    let mut page = AuditPage { rows: Vec::new(), next: None };
    let mut looked_at = 0;
    row::each(db, &sql, &wanted[..], |c| {
        looked_at += 1;
        let number = c.number()?;
        if c.optional_number()? == Some(1) {
            page.rows.push(read(c)?);
        }
        let full = u32::try_from(page.rows.len()).is_ok_and(|count| count >= limit);
        if full || looked_at == LOOKED_AT {
            page.next = Some(number);
        }
        Ok(!full)
    })?;
    Ok(page)
}

fn read_change(c: &mut Columns<'_>) -> Result<(ChangeSeq, Change), StoreError> {
    let (seq, tenant, kind, key) = (c.number()?, c.tenant()?, c.text()?, c.text()?);
    let change = Change::parse(tenant, kind, key);
    Ok((seq, change.ok_or_else(|| StoreError::Corrupt(format!("change {seq} cannot be read")))?))
}

/// Not max(seq): the newest rows may have been swept, and the number must not go back.
pub(super) fn newest_change(db: &Connection) -> Result<ChangeSeq, StoreError> {
    row::number(db, "SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence WHERE name = 'change_log'")
}

/// Reads all changes after a position.
pub(super) fn changes_since(db: &Connection, after: ChangeSeq) -> Result<Vec<Change>, StoreError> {
    let sql = "SELECT seq, tenant, kind, key FROM change_log WHERE seq > ?1 ORDER BY seq";
    row::all(db, sql, [storable(after)], |c| Ok(read_change(c)?.1))
}

#[async_trait]
impl AuditStore for EmbeddedStore {
    async fn append_audit(&self, audit: AuditRow) -> Result<(), StoreError> {
        self.write(move |db| append(db, &audit)).await
    }

    async fn audit_after(&self, filter: &AuditFilter, after: u64, limit: u32) -> Result<AuditPage, StoreError> {
        let filter = filter.clone();
        self.read(move |db| page(db, &filter, Order::OldestFirst, after, limit)).await
    }

    async fn audit_before(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<AuditPage, StoreError> {
        let filter = filter.clone();
        self.read(move |db| page(db, &filter, Order::NewestFirst, before.unwrap_or(u64::MAX), limit)).await
    }

    async fn audit_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT min(no), max(at) FROM (SELECT no, at FROM audit WHERE no < ?1 ORDER BY no DESC LIMIT ?2)";
        let mut before = i64::MAX;
        loop {
            let found = self.read(move |db| {
                row::one(db, sql, params![before, LOOKED_AT], |c| Ok((c.optional_number()?, c.optional_moment()?)))
            });
            match found.await? {
                // A clock that was set back leaves rows out of order, but not ten thousand of them.
                Some((Some(first), Some(newest))) if since <= newest => before = storable(first),
                _ if before == i64::MAX => return self.newest_audit().await,
                _ => return Ok(u64::try_from(before.saturating_sub(1)).unwrap_or_default()),
            }
        }
    }

    async fn prune_audit(&self, keep: AuditRetention, audit: Option<AuditRow>) -> Result<Pruned, StoreError> {
        self.write(move |db| retention::prune(db, &keep, audit.as_ref())).await
    }

    async fn newest_audit(&self) -> Result<u64, StoreError> {
        self.read(|db| row::number(db, "SELECT coalesce(max(no), 0) FROM audit")).await
    }
}

#[async_trait]
impl ChangeLog for EmbeddedStore {
    async fn change_mark(&self) -> Result<u64, StoreError> {
        self.watcher.run(|db| row::number(db, "PRAGMA data_version")).await
    }

    async fn changes_after(&self, after: ChangeSeq) -> Result<Changes, StoreError> {
        let sql = "SELECT seq, tenant, kind, key FROM change_log WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let limit = u32::try_from(CHANGES_AT_ONCE).unwrap_or(u32::MAX);
        self.read_stored(move |db| {
            let found = row::all(db, sql, params![storable(after), limit], read_change)?;
            Ok(Changes::checked(after, found, CHANGES_AT_ONCE, newest_change(db)?))
        })
        .await
    }

    async fn newest_change(&self) -> Result<ChangeSeq, StoreError> {
        self.read_stored(newest_change).await
    }

    fn tell_unstored(&self, tell: TellUnstored) {
        self.writer.tell_unstored(tell);
    }
}

#[async_trait]
impl Upkeep for EmbeddedStore {
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
        let stats = self.writer.stats();
        StoreStats { dead: stats.dead || self.readers.is_dead() || self.watcher.is_dead(), ..stats }
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        check::on_own_thread(&self.file, check::check).await
    }
}
