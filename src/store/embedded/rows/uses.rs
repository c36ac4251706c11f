//! The marks that distinguish a lost answer from reuse: whether any token of a grant's live generation was used.

use rusqlite::Connection;

use super::{grants, tokens};
use crate::oauth::{FirstUse, Grant, GrantId, TenantId, Timestamp, TokenHash};
use crate::store::{Ending, Result, StoreError, UseReport};

/// Stores the uses that a process reports; returns the families that end because of them.
pub(crate) fn record(db: &Connection, report: &UseReport) -> Result<Vec<(TenantId, GrantId)>> {
    let mut ended = Vec::new();
    for (tenant, hash) in &report.presented {
        mark_used(db, tenant, hash)?;
        let void = VoidUse { tenant: tenant.clone(), hash: *hash, now: report.now };
        if let Some(ending) = readable(ending(db, &void))?.flatten()
            && readable(grants::end_by(db, &ending))?.is_some()
        {
            ended.push((tenant.clone(), ending.grant));
        }
    }
    // After the uses: a generation without a mark by now was not used.
    for (tenant, grant, generation) in &report.issued {
        readable(mark(db, tenant, *grant, *generation, FirstUse::Unused))?;
    }
    Ok(ended)
}

/// Returns for each of these tokens whether it is void.
pub(crate) fn are_void(db: &Connection, wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Result<Vec<bool>> {
    let is_void = |(tenant, hash): &(TenantId, TokenHash)| {
        Ok(readable(tokens::find_void(db, tenant, hash, now))?.flatten().is_some())
    };
    wanted.iter().map(is_void).collect()
}

/// Turns a damaged row into `None`, so that only its own mark is not written.
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

/// Marks the generation of an access token as used, if it is the current one.
pub(crate) fn mark_used(db: &Connection, tenant: &TenantId, hash: &TokenHash) -> Result<()> {
    if let Some((grant, generation)) = readable(tokens::origin(db, tenant, hash))?.flatten() {
        readable(mark(db, tenant, grant, generation, FirstUse::Used))?;
    }
    Ok(())
}

fn mark(db: &Connection, tenant: &TenantId, grant: GrantId, generation: u32, first_use: FirstUse) -> Result<()> {
    match grants::find(db, tenant, grant)?.filter(|found| found.grant.takes_mark(generation, first_use)) {
        Some(found) => grants::put(db, &found, &Grant { first_use, ..found.grant.clone() }),
        None => Ok(()),
    }
}

/// A void token that somebody has presented.
pub(crate) struct VoidUse {
    tenant: TenantId,
    hash: TokenHash,
    now: Timestamp,
}

/// Returns, one for each family that must end, the void tokens of a report with the ending.
pub(crate) fn void_uses(db: &Connection, report: &UseReport) -> Result<Vec<(VoidUse, Ending)>> {
    let mut found: Vec<(VoidUse, Ending)> = Vec::new();
    for (tenant, hash) in &report.presented {
        let void = VoidUse { tenant: tenant.clone(), hash: *hash, now: report.now };
        let Some(ending) = readable(ending(db, &void))?.flatten() else { continue };
        if !found.iter().any(|(_, other)| other == &ending) {
            found.push((void, ending));
        }
    }
    Ok(found)
}

/// Returns how the family of a void token ends, since two parties hold it; `None` when it has already ended.
pub(crate) fn ending(db: &Connection, void: &VoidUse) -> Result<Option<Ending>> {
    let Some(grant) = tokens::find_void(db, &void.tenant, &void.hash, void.now)? else { return Ok(None) };
    Ok(grants::find(db, &void.tenant, grant)?.and_then(|found| Ending::of_void_token(&found.grant, void.now)))
}
