//! What upstreams offer, and what of it is pinned.

use rusqlite::{Connection, params};

use super::audit;
use super::row::{self, Columns, execute, execute_once};
use super::seal::{CatalogueRow, Sealed, StoredTool, opened};
use super::words::{annotations_number, parse_annotations};
use crate::mcp::ToolDefinition;
use crate::oauth::TenantId;
use crate::policy::{Annotations, Said};
use crate::store::catalogue_store::{KeptListing, Listing, StoredCatalogue, ToolChoice, ToolRecord, ToolsDone};
use crate::store::listing::{approved, forgotten, taken};
use crate::store::{AuditRow, Change, Result, StoreError};

const SELECT: &str = "SELECT tenant, upstream, name, title, says, most_dangerous, milder_since, listed_hash, listed,
    pinned_hash, pinned, since, seal FROM tool";
const SELECT_TIMES: &str = "SELECT tenant, upstream, listed_at, pinned_at, names, seal FROM catalogue";

fn read(c: &mut Columns<'_>) -> Result<ToolRecord> {
    let (tenant, upstream) = (c.tenant()?, c.text()?);
    let tool = ToolRecord {
        name: c.text()?.to_owned(),
        title: c.optional_text()?.map(str::to_owned),
        said: Said { last: annotations(c)?, most_dangerous: annotations(c)?, milder_since: c.optional_moment()? },
        listed: definition(c)?,
        pinned: definition(c)?,
        since: c.moment()?,
    };
    let stored = StoredTool { tenant: &tenant, upstream, tool: &tool };
    opened(stored, c.number()?, "a tool")?;
    Ok(tool)
}

fn annotations(c: &mut Columns<'_>) -> Result<Annotations> {
    let number = c.number()?;
    parse_annotations(number).ok_or_else(|| c.damaged("annotations"))
}

/// Reads two columns: hash and text.
fn definition(c: &mut Columns<'_>) -> Result<Option<ToolDefinition>> {
    let hash = c.optional_bytes()?.map(<[u8; 32]>::try_from).transpose().map_err(|_| c.damaged("a SHA-256"))?;
    let text = c.optional_text()?;
    Ok(hash.map(|hash| ToolDefinition::from_stored(hash, text)))
}

fn read_times(c: &mut Columns<'_>) -> Result<StoredCatalogue> {
    let (tenant, upstream) = (c.tenant()?, c.text()?);
    let (listed_at, pinned_at) = (c.optional_moment()?, c.optional_moment()?);
    let text = c.optional_text()?;
    let names = text.map(serde_json::from_str).transpose().map_err(|_| c.damaged("names"))?;
    let row = CatalogueRow { tenant: &tenant, upstream, listed_at, pinned_at, names: text };
    opened(row, c.number()?, "the catalogue of an upstream")?;
    Ok(StoredCatalogue { listed_at, pinned_at, names, tools: Vec::new() })
}

/// Returns what is kept of an upstream.
pub(crate) fn of(db: &Connection, tenant: &TenantId, upstream: &str) -> Result<StoredCatalogue> {
    let sql = format!("{SELECT_TIMES} WHERE tenant = ?1 AND upstream = ?2");
    let times = row::one(db, &sql, params![tenant, upstream], read_times)?.unwrap_or_default();
    let sql = format!("{SELECT} WHERE tenant = ?1 AND upstream = ?2 ORDER BY name");
    Ok(StoredCatalogue { tools: row::all(db, &sql, params![tenant, upstream], read)?, ..times })
}

/// Keeps what was listed of an upstream.
pub(crate) fn keep(db: &Connection, upstream: &str, listing: Listing, row: &AuditRow) -> Result<KeptListing> {
    let known = of(db, &row.tenant, upstream)?;
    let kept = taken(known.clone(), listing, row.at);
    write(db, (&row.tenant, upstream), &known, &kept.catalogue)?;
    for reason in &kept.alarms {
        audit::append(db, &AuditRow { reason: Some(reason.clone()), ..row.clone() })?;
    }
    Ok(kept)
}

/// Pins tools as they are listed.
pub(crate) fn approve(db: &Connection, upstream: &str, which: &ToolChoice, row: &AuditRow) -> Result<ToolsDone> {
    change(db, upstream, row, |catalogue| approved(catalogue, which))
}

/// Removes what is kept of tools.
pub(crate) fn forget(db: &Connection, upstream: &str, which: &ToolChoice, row: &AuditRow) -> Result<ToolsDone> {
    change(db, upstream, row, |catalogue| forgotten(catalogue, which))
}

fn change(
    db: &Connection,
    upstream: &str,
    row: &AuditRow,
    work: impl FnOnce(&mut StoredCatalogue) -> ToolsDone,
) -> Result<ToolsDone> {
    let known = of(db, &row.tenant, upstream)?;
    let mut changed = known.clone();
    let done = work(&mut changed);
    if changed == known {
        return Ok(done);
    }
    write(db, (&row.tenant, upstream), &known, &changed)?;
    audit::announce(db, row.at, &Change::ToolsChanged(row.tenant.clone(), upstream.to_owned()))?;
    if let ToolsDone::Done(names) = &done {
        for name in names {
            audit::append(db, &AuditRow { reason: Some(name.clone()), ..row.clone() })?;
        }
    }
    Ok(done)
}

/// Writes what differs from what was read.
fn write(
    db: &Connection,
    (tenant, upstream): (&TenantId, &str),
    before: &StoredCatalogue,
    after: &StoredCatalogue,
) -> Result<()> {
    let StoredCatalogue { listed_at, pinned_at, names, tools } = after;
    if (before.listed_at, before.pinned_at, &before.names) != (*listed_at, *pinned_at, names) {
        let text = names.as_ref().map(serde_json::to_string).transpose();
        let text = text.map_err(|error| StoreError::Unavailable(format!("cannot write names: {error}")))?;
        let names = text.as_deref();
        let row = CatalogueRow { tenant, upstream, listed_at: *listed_at, pinned_at: *pinned_at, names };
        let sql = "INSERT OR REPLACE INTO catalogue (tenant, upstream, listed_at, pinned_at, names, seal)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        execute_once(db, sql, params![tenant, upstream, listed_at, pinned_at, names, row.seal()])?;
    }
    // Both are in the order of the names.
    let mut rest = before.tools.iter().peekable();
    for tool in tools {
        while let Some(gone) = rest.next_if(|known| known.name < tool.name) {
            remove(db, (tenant, upstream), &gone.name)?;
        }
        let known = rest.next_if(|known| known.name == tool.name);
        if known != Some(tool) {
            put(db, (tenant, upstream), tool)?;
        }
    }
    rest.try_for_each(|gone| remove(db, (tenant, upstream), &gone.name))
}

fn remove(db: &Connection, (tenant, upstream): (&TenantId, &str), name: &str) -> Result<()> {
    let sql = "DELETE FROM tool WHERE tenant = ?1 AND upstream = ?2 AND name = ?3";
    execute(db, sql, params![tenant, upstream, name]).map(drop)
}

fn put(db: &Connection, (tenant, upstream): (&TenantId, &str), tool: &ToolRecord) -> Result<()> {
    let sql =
        "INSERT OR REPLACE INTO tool (tenant, upstream, name, title, says, most_dangerous, milder_since, listed_hash,
            listed, pinned_hash, pinned, since, seal)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let parts = |definition: &Option<ToolDefinition>| {
        definition.as_ref().map(|d| (d.hash().to_vec(), d.text().map(str::to_owned))).unzip()
    };
    let ((listed_hash, listed), (pinned_hash, pinned)) = (parts(&tool.listed), parts(&tool.pinned));
    let values = params![
        tenant,
        upstream,
        tool.name,
        tool.title,
        annotations_number(tool.said.last),
        annotations_number(tool.said.most_dangerous),
        tool.said.milder_since,
        listed_hash,
        listed.flatten(),
        pinned_hash,
        pinned.flatten(),
        tool.since,
        StoredTool { tenant, upstream, tool }.seal(),
    ];
    execute_once(db, sql, values)
}

/// Reads every row, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    let mut problems = row::unreadable(db, SELECT_TIMES, "catalogue of an upstream", |c| read_times(c).map(drop))?;
    problems.extend(row::unreadable(db, SELECT, "tool", |c| read(c).map(drop))?);
    Ok(problems)
}
