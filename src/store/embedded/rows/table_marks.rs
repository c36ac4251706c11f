//! What tables of the configuration file have made, and the steps that make it.

use rusqlite::{Connection, params};

use super::row::{self, Columns, execute, execute_once};
use super::seal::{MarkRow, Sealed, opened};
use super::{accounts, client_changes, clients, registrations};
use crate::oauth::{Subject, TenantId};
use crate::store::table_store::{expect, unexpected};
use crate::store::{Account, AuditRow, Insertion, MadeByTable, Renaming, Result, TableMark, TableStep, limits};

const CLIENT: &str = "client";
const ACCOUNT: &str = "account";

const SELECT: &str = "SELECT m.tenant, m.id, m.kind, coalesce(c.client_id, a.subject), m.seal FROM table_mark m
    LEFT JOIN client c ON c.no = m.client_no LEFT JOIN account a ON a.no = m.account_no";

fn read(c: &mut Columns<'_>) -> Result<TableMark> {
    let (tenant, id) = (c.tenant()?, c.text()?.to_owned());
    let is_client = c.text()? == CLIENT;
    let made = if is_client { MadeByTable::Client(c.client()?) } else { MadeByTable::Account(c.account()?) };
    opened(MarkRow { tenant, mark: TableMark { id, made } }, c.number()?, "the mark of a table").map(|row| row.mark)
}

/// Lists the marks of a tenant.
pub(crate) fn list(db: &Connection, tenant: &TenantId) -> Result<Vec<TableMark>> {
    row::all(db, &format!("{SELECT} WHERE m.tenant = ?1 ORDER BY m.kind, m.id"), [tenant], read)
}

/// Reads every mark, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT, "mark of a table", |c| read(c).map(drop))
}

/// Marks a client or account, in place of an earlier mark of it or of the table.
fn mark(db: &Connection, tenant: &TenantId, mark: &TableMark) -> Result<()> {
    let (kind, client, account) = match &mark.made {
        MadeByTable::Client(id) => (CLIENT, Some(clients::number(db, tenant, id)?), None),
        MadeByTable::Account(subject) => {
            let person = Subject::Person(subject.clone());
            (ACCOUNT, None, Some(accounts::number(db, tenant, &person)?))
        }
    };
    let seal = MarkRow { tenant: tenant.clone(), mark: mark.clone() }.seal();
    execute(db, "DELETE FROM table_mark WHERE client_no IS ?1 AND account_no IS ?2", params![client, account])?;
    execute_once(
        db,
        "INSERT OR REPLACE INTO table_mark (tenant, kind, id, client_no, account_no, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![tenant, kind, mark.id, client, account, seal],
    )
}

/// Performs the steps; returns how many grants ended by changes of clients.
pub(crate) fn apply(db: &Connection, steps: Vec<(TableStep, AuditRow)>) -> Result<u64> {
    let mut ended = 0;
    for (step, row) in steps {
        ended += perform(db, step, &row)?;
    }
    Ok(ended)
}

fn perform(db: &Connection, step: TableStep, row: &AuditRow) -> Result<u64> {
    match step {
        TableStep::AddClient { client, service } => {
            let metadata = limits::client(&client)?;
            if registrations::insert(db, &client, &metadata, u64::MAX, row)? != Insertion::Inserted {
                return Err(unexpected("a client"));
            }
            reserve(db, service.as_deref())?;
            let made = MadeByTable::Client(client.id.clone());
            mark(db, &row.tenant, &TableMark { id: client.id.as_str().to_owned(), made })?;
        }
        TableStep::ChangeClient { change, service } => {
            let metadata = limits::client(&change.after)?;
            let ended = client_changes::change(db, &change, &metadata, row)?;
            reserve(db, service.as_deref())?;
            return ended.ok_or_else(|| unexpected("a client"));
        }
        TableStep::ReplaceSecret { id, by } => expect(clients::replace_secret(db, &id, by, row)?, "a client")?,
        TableStep::DisableClient { id, disabled } => {
            expect(clients::set_disabled(db, &id, disabled, row)?, "a client")?
        }
        TableStep::DeleteClient { id } => expect(clients::remove(db, &id, row)?, "a client")?,
        TableStep::AddAccount { table, account } => {
            if accounts::insert(db, &account, row)? != Insertion::Inserted {
                return Err(unexpected("an account"));
            }
            mark(db, &row.tenant, &TableMark { id: table, made: MadeByTable::Account(account.subject.id().clone()) })?;
        }
        TableStep::RenameAccount { subject, name } => {
            if accounts::rename(db, &subject, name, row)? != Renaming::Done {
                return Err(unexpected("an account"));
            }
        }
        TableStep::SetPassword { subject, new } => {
            expect(accounts::put_password(db, &subject, new, row)?, "an account")?
        }
        TableStep::DisableAccount { subject, disabled } => {
            expect(accounts::set_disabled(db, &subject, disabled, row)?, "an account")?;
        }
        TableStep::DeleteAccount { subject } => expect(accounts::delete(db, &subject, row)?, "an account")?,
        TableStep::Adopt(adopted) => {
            mark(db, &row.tenant, &adopted)?;
            super::audit::append(db, row)?;
        }
    }
    Ok(0)
}

/// Adds the account of a client that acts for itself, if it is missing.
fn reserve(db: &Connection, service: Option<&Account>) -> Result<()> {
    service.map_or(Ok(()), |service| accounts::enabled_service(db, service).map(drop))
}
