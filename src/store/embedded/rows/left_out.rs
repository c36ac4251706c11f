//! What users left out for clients: remembered, and taken out of what they granted before.

use rusqlite::{Connection, params};

use super::row::{self, Columns, execute, execute_once};
use super::seal::{RememberedExclusions, Sealed, opened};
use super::{audit, grants, tokens};
use crate::oauth::{AccessTokenRecord, CodeRecord, Exclusions, Timestamp};
use crate::store::{Change, ConsentKey, Result};

const SELECT: &str = "SELECT l.tenant, a.subject, c.client_id, l.resource, l.exclusions, l.seal
    FROM left_out l JOIN account a ON a.no = l.account_no JOIN client c ON c.no = l.client_no";

fn read(c: &mut Columns<'_>) -> Result<Exclusions> {
    let key = ConsentKey { tenant: c.tenant()?, subject: c.account()?, client: c.client()?, resource: c.resource()? };
    let left_out = RememberedExclusions { key, exclusions: c.exclusions()? };
    Ok(opened(left_out, c.number()?, "what a user left out")?.exclusions)
}

/// Finds what a user left out for a client.
pub(crate) fn find(db: &Connection, key: &ConsentKey) -> Result<Option<Exclusions>> {
    let sql = format!(
        "{SELECT} WHERE a.tenant = ?1 AND a.subject = ?2 AND c.tenant = ?1 AND c.client_id = ?3 AND l.resource = ?4"
    );
    row::one(db, &sql, params![key.tenant, key.subject, key.client, key.resource], read)
}

/// Remembers what a new code leaves out, and takes it out of the grants of the same account, client and resource.
pub(super) fn remember(db: &Connection, code: &CodeRecord, client_no: i64, account_no: i64) -> Result<()> {
    let of = params![account_no, client_no, code.resource];
    let Some(text) = code.exclusions.to_stored() else {
        let sql = "DELETE FROM left_out WHERE account_no = ?1 AND client_no = ?2 AND resource = ?3";
        return execute(db, sql, of).map(drop);
    };
    let left_out = RememberedExclusions { key: ConsentKey::of_code(code), exclusions: code.exclusions.clone() };
    execute_once(
        db,
        "INSERT OR REPLACE INTO left_out (account_no, client_no, resource, tenant, exclusions, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![account_no, client_no, code.resource, code.tenant, text, left_out.seal()],
    )?;
    let at = code.issued_at;
    grants::standing(db, of)?.into_iter().try_for_each(|found| narrow(db, &found, &code.exclusions, at))
}

fn narrow(db: &Connection, found: &grants::GrantRow, more: &Exclusions, at: Timestamp) -> Result<()> {
    let grant = &found.grant;
    let Some(exclusions) = grant.exclusions.union(more) else {
        return grants::end(db, &grant.tenant, grant.id, at).map(drop);
    };
    if exclusions == grant.exclusions {
        return Ok(());
    }
    // The seals of tokens cover what their grant leaves out.
    let held = tokens::of_grant(db, found.no)?;
    grants::put_exclusions(db, found, &exclusions)?;
    for token in held {
        tokens::put(db, &AccessTokenRecord { exclusions: exclusions.clone(), ..token })?;
    }
    audit::announce(db, at, &Change::AccountGroupsChanged(grant.tenant.clone(), grant.subject.id().clone()))
}

/// Reads every row, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT, "what a user left out", |c| read(c).map(drop))
}
