//! Rotation of refresh tokens: a comparison of generations and one conditional update. Of the tokens themselves nothing
//! is stored, so a family takes the same space after a hundred thousand rotations (RT-17).

use rusqlite::{Connection, params};

use super::row::execute_once;
use super::seal::Sealed;
use super::{audit, clients, grants, tokens};
use crate::oauth::{AccessTokenRecord, Grant, GrantId, RefreshVerdict};
use crate::store::{Result, RotateRefresh, Rotation};

/// Judges a refresh token and does what the verdict says.
pub(crate) fn rotate(db: &Connection, request: &RotateRefresh) -> Result<Rotation> {
    let Some(found) = grants::find(db, &request.tenant, request.grant)? else {
        return Ok(Rotation::Unknown);
    };
    let verdict = found.grant.judge_refresh(&request.presented, request.now);
    match verdict {
        RefreshVerdict::Rotate | RefreshVerdict::Retry | RefreshVerdict::LateRetry if !found.enabled => {
            Ok(Rotation::Refused(RefreshVerdict::Dead))
        }
        RefreshVerdict::Rotate => {
            let grant = request.rotated(&found.grant);
            // The verdict was made in this transaction and no other writer can be inside; the condition is the second
            // lock.
            execute_once(
                db,
                "UPDATE grants SET generation = ?2, rotated_at = ?3, idle_until = ?4, first_use = NULL,
                     retried_at = NULL, seal = ?5
                 WHERE no = ?1 AND generation = ?6 AND revoked_at IS NULL",
                params![
                    found.no,
                    grant.generation,
                    grant.rotated_at,
                    grant.idle_until,
                    grant.seal(),
                    found.grant.generation
                ],
            )?;
            let token = request.access.record(&grant, request.now);
            tokens::insert(db, found.no, &grant, &token)?;
            tokens::remove_oldest(db, found.no, request)?;
            clients::used(db, found.client_no, request.now)?;
            record(db, request, &token, verdict)?;
            Ok(Rotation::Rotated(Box::new(grant), Box::new(token)))
        }
        RefreshVerdict::Retry => {
            let token = request.access.record(&found.grant, request.now);
            tokens::insert(db, found.no, &found.grant, &token)?;
            tokens::remove_oldest(db, found.no, request)?;
            record(db, request, &token, verdict)?;
            Ok(Rotation::Retried(Box::new(found.grant), Box::new(token)))
        }
        RefreshVerdict::LateRetry => {
            let void = tokens::make_void(db, found.no, &found.grant, request.now)?;
            let grant = request.retried(&found.grant);
            execute_once(
                db,
                "UPDATE grants SET first_use = NULL, retried_at = ?2, seal = ?3 WHERE no = ?1 AND generation = ?4",
                params![found.no, grant.retried_at, grant.seal(), grant.generation],
            )?;
            let token = request.access.record(&grant, request.now);
            tokens::insert(db, found.no, &grant, &token)?;
            tokens::remove_oldest(db, found.no, request)?;
            audit::append(db, &request.late_retry(&token))?;
            Ok(Rotation::RetriedLate(Box::new(grant), Box::new(token), void))
        }
        RefreshVerdict::Reused => {
            end_reused(db, request)?;
            Ok(Rotation::Reused(request.grant))
        }
        RefreshVerdict::Ahead
        | RefreshVerdict::Dead
        | RefreshVerdict::InDoubt
        | RefreshVerdict::WrongClient
        | RefreshVerdict::NotAllowed => Ok(Rotation::Refused(verdict)),
    }
}

/// Returns the family that has to end because a refresh token was used before, if it stands.
pub(crate) fn reused(db: &Connection, request: &RotateRefresh) -> Result<Option<GrantId>> {
    let grant = grants::find(db, &request.tenant, request.grant)?.map(|found| found.grant);
    let is_reuse = |grant: &Grant| grant.judge_refresh(&request.presented, request.now) == RefreshVerdict::Reused;
    Ok(grant.filter(is_reuse).map(|grant| grant.id))
}

/// Ends that family; which, if it stood.
pub(crate) fn end_reused(db: &Connection, request: &RotateRefresh) -> Result<Option<GrantId>> {
    let Some(grant) = reused(db, request)? else { return Ok(None) };
    grants::end(db, &request.tenant, grant, request.now)?;
    audit::append(db, &request.reused())?;
    Ok(Some(grant))
}

fn record(db: &Connection, request: &RotateRefresh, token: &AccessTokenRecord, verdict: RefreshVerdict) -> Result<()> {
    request.refreshed(token, verdict).map_or(Ok(()), |row| audit::append(db, &row))
}
