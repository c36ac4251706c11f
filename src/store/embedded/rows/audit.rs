//! The audit trail and the change log.

use rusqlite::types::ToSql;
use rusqlite::{Connection, params};

use super::retention;
use super::row::{self, Columns, execute_once, storable};
use crate::oauth::{AccountId, ClientId, ResourceIndicator, ScopeSet, Timestamp};
use crate::store::audit_query::LOOKED_AT;
use crate::store::change_log::CHANGES_AT_ONCE;
use crate::store::{
    AuditEvent, AuditFilter, AuditPage, AuditRetention, AuditRow, Change, Changes, Pruned, Result, StoreError, Update,
    limits,
};

/// Adds a row in the transaction of the action that it records.
pub(crate) fn append(db: &Connection, row: &AuditRow) -> Result<()> {
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

/// Records a change to a row that was found, and answers that it was done.
pub(crate) fn done(db: &Connection, row: &AuditRow) -> Result<Update> {
    append(db, row).map(|()| Update::Done)
}

/// Adds a change in the transaction that causes it.
pub(crate) fn announce(db: &Connection, at: Timestamp, change: &Change) -> Result<()> {
    execute_once(
        db,
        "INSERT INTO change_log (at, tenant, kind, key) VALUES (?1, ?2, ?3, ?4)",
        params![at, change.tenant(), change.kind(), change.key()],
    )
}

const COLUMNS: &str =
    "no, at, tenant, event, actor, subject, client_id, resource, scopes, address, target, reason, request_id";

fn read(c: &mut Columns<'_>) -> Result<(u64, AuditRow)> {
    let number = c.number()?;
    let row = AuditRow {
        at: c.moment()?,
        tenant: c.tenant()?,
        event: c.word(AuditEvent::parse)?,
        actor: c.optional_text()?.map(str::to_owned),
        subject: c.optional_text()?.and_then(AccountId::parse),
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

/// The order in which the trail is read.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

/// Reads a page of the rows that match a filter.
pub(crate) fn page(db: &Connection, filter: &AuditFilter, order: Order, from: u64, limit: u32) -> Result<AuditPage> {
    let (beyond, direction) = match order {
        Order::OldestFirst => (">", "ASC"),
        Order::NewestFirst => ("<", "DESC"),
    };
    // Event names are constants of this crate, so they need no parameters.
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

/// Reads the position of the newest row.
pub(crate) fn newest(db: &Connection) -> Result<u64> {
    row::number(db, "SELECT coalesce(max(no), 0) FROM audit")
}

/// Reads a run of rows before a position; returns the position of its first row and its latest time.
pub(crate) fn stretch_before(db: &Connection, before: i64) -> Result<Option<(u64, Timestamp)>> {
    let sql = "SELECT min(no), max(at) FROM (SELECT no, at FROM audit WHERE no < ?1 ORDER BY no DESC LIMIT ?2)";
    let found = row::one(db, sql, params![before, LOOKED_AT], |c| Ok(c.optional_number()?.zip(c.optional_moment()?)))?;
    Ok(found.flatten())
}

/// Does one step of pruning; writes `row` if anything was removed.
pub(crate) fn prune(db: &Connection, keep: &AuditRetention, row: Option<&AuditRow>) -> Result<Pruned> {
    let pruned = retention::step(db, keep)?;
    if pruned.rows > 0 {
        row.map_or(Ok(()), |row| append(db, row))?;
    }
    Ok(pruned)
}

fn read_change(c: &mut Columns<'_>) -> Result<(u64, Change)> {
    let (seq, tenant, kind, key) = (c.number()?, c.tenant()?, c.text()?, c.text()?);
    let change = Change::parse(tenant, kind, key);
    Ok((seq, change.ok_or_else(|| StoreError::Corrupt(format!("change {seq} cannot be read")))?))
}

/// Reads the number of the newest change. Not `max(seq)`: the newest rows may have been swept, and the number must
/// never decrease.
pub(crate) fn newest_change(db: &Connection) -> Result<u64> {
    row::number(db, "SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence WHERE name = 'change_log'")
}

/// Reads all changes after a position.
pub(crate) fn changes_since(db: &Connection, after: u64) -> Result<Vec<Change>> {
    let sql = "SELECT seq, tenant, kind, key FROM change_log WHERE seq > ?1 ORDER BY seq";
    row::all(db, sql, [storable(after)], |c| Ok(read_change(c)?.1))
}

/// Reads the changes after a position, at most `CHANGES_AT_ONCE`.
pub(crate) fn changes_after(db: &Connection, after: u64) -> Result<Changes> {
    let sql = "SELECT seq, tenant, kind, key FROM change_log WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let limit = u32::try_from(CHANGES_AT_ONCE).unwrap_or(u32::MAX);
    let found = row::all(db, sql, params![storable(after), limit], read_change)?;
    Ok(Changes::checked(after, found, CHANGES_AT_ONCE, newest_change(db)?))
}
