//! What an operator changes of a client.

use rusqlite::Connection;

use super::row::execute;
use super::{audit, clients, grants};
use crate::store::{AuditRow, ClientChange, GrantFilter, Result};

/// Changes a client; returns how many grants ended by it.
pub(crate) fn change(db: &Connection, change: &ClientChange, metadata: &str, row: &AuditRow) -> Result<Option<u64>> {
    let id = &change.before.id;
    let found = clients::find(db, &row.tenant, id)?.filter(|found| change.is_of(&found.client));
    let Some(found) = found else { return Ok(None) };
    clients::update(db, found.no, &change.applied_to(found.client), metadata)?;
    if change.voids_pending() {
        execute(db, "DELETE FROM consent WHERE client_no = ?1", [found.no])?;
        execute(db, "DELETE FROM code WHERE client_no = ?1 AND used_at IS NULL", [found.no])?;
        // CA-09: a used assertion stays used.
        execute(db, "DELETE FROM ephemeral WHERE client_no = ?1 AND kind <> 'client_assertion'", [found.no])?;
    }
    let theirs = GrantFilter::of_client(&row.tenant, id);
    let ended = grants::end_those(db, &theirs, row.at, |grant| change.ends(grant))?;
    audit::append(db, &ClientChange::row(row, ended))?;
    Ok(Some(ended))
}
