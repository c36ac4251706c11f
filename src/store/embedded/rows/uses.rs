//! The marks that tell a lost answer from reuse: whether anything of a grant's live generation was used.

use rusqlite::{Connection, params};

use super::row::execute_once;
use super::seal::Sealed;
use super::{audit, grants, tokens};
use crate::oauth::{FirstUse, Grant, GrantId, TenantId, Timestamp, TokenHash};
use crate::store::{AuditRow, Result, StoreError, UseReport};

/// Writes down what a process reports; the families that end with it.
pub(crate) fn record(db: &Connection, report: &UseReport) -> Result<Vec<(TenantId, GrantId)>> {
    let mut ended = Vec::new();
    for (tenant, hash) in &report.presented {
        mark_used(db, tenant, hash)?;
        if let Some(grant) = readable(end_of_void(db, tenant, hash, report.now))?.flatten() {
            ended.push((tenant.clone(), grant));
        }
    }
    // After those that were used: what is left of them was not.
    for (tenant, grant, generation) in &report.issued {
        readable(mark(db, tenant, *grant, *generation, FirstUse::Unused))?;
    }
    Ok(ended)
}

/// Returns which of these tokens are void.
pub(crate) fn find_void(db: &Connection, wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Result<Vec<bool>> {
    let is_void = |(tenant, hash): &(TenantId, TokenHash)| {
        Ok(readable(tokens::find_void(db, tenant, hash, now))?.flatten().is_some())
    };
    wanted.iter().map(is_void).collect()
}

/// A damaged row keeps its own mark from being written, and nothing else.
fn readable<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Corrupt(what)) => {
            tracing::error!(what, "the use of a token could not be recorded");
            Ok(None)
        }
        Err(error @ (StoreError::Unavailable(_) | StoreError::Conflict(_) | StoreError::NotStored)) => Err(error),
    }
}

/// Marks the generation of an access token as used, if it is the live one.
pub(crate) fn mark_used(db: &Connection, tenant: &TenantId, hash: &TokenHash) -> Result<()> {
    if let Some((grant, generation)) = readable(tokens::origin(db, tenant, hash))?.flatten() {
        readable(mark(db, tenant, grant, generation, FirstUse::Used))?;
    }
    Ok(())
}

fn mark(db: &Connection, tenant: &TenantId, grant: GrantId, generation: u32, first_use: FirstUse) -> Result<()> {
    let Some(found) = grants::find(db, tenant, grant)?.filter(|found| found.grant.takes_mark(generation, first_use))
    else {
        return Ok(());
    };
    let marked = Grant { first_use, ..found.grant };
    execute_once(
        db,
        "UPDATE grants SET first_use = ?2, seal = ?3 WHERE no = ?1 AND generation = ?4",
        params![found.no, grants::stored_mark(first_use), marked.seal(), generation],
    )
}

/// A void token that was presented, and its family, which stands.
pub(crate) struct VoidUse {
    tenant: TenantId,
    hash: TokenHash,
    now: Timestamp,
    pub(crate) grant: Grant,
}

/// Returns the void tokens of a report whose families have to end, one of each family.
pub(crate) fn void_uses(db: &Connection, report: &UseReport) -> Result<Vec<VoidUse>> {
    let mut found: Vec<VoidUse> = Vec::new();
    for (tenant, hash) in &report.presented {
        let Some(grant) = readable(family_of_void(db, tenant, hash, report.now))?.flatten() else { continue };
        if !found.iter().any(|other| other.tenant == *tenant && other.grant.id == grant.id) {
            found.push(VoidUse { tenant: tenant.clone(), hash: *hash, now: report.now, grant });
        }
    }
    Ok(found)
}

/// Ends the family of one of them; whether it stood.
pub(crate) fn end_void_use(db: &Connection, void: &VoidUse) -> Result<bool> {
    Ok(end_of_void(db, &void.tenant, &void.hash, void.now)?.is_some())
}

/// Finds the family of a void token, if it stands.
fn family_of_void(db: &Connection, tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Result<Option<Grant>> {
    let Some(grant) = tokens::find_void(db, tenant, hash, now)? else { return Ok(None) };
    let grant = grants::find(db, tenant, grant)?.map(|found| found.grant);
    Ok(grant.filter(|grant| grant.revoked_at.is_none()))
}

/// Ends the family of a void token: two parties hold it.
fn end_of_void(db: &Connection, tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Result<Option<GrantId>> {
    let Some(grant) = family_of_void(db, tenant, hash, now)? else { return Ok(None) };
    grants::end(db, tenant, grant.id, now)?;
    audit::append(db, &AuditRow::void_token(&grant, now))?;
    Ok(Some(grant.id))
}
