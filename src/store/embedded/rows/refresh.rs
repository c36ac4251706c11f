//! Rotation of refresh tokens: a comparison of generations and one conditional update. The tokens themselves are not
//! stored, so a family needs no more space after a hundred thousand rotations (RT-17).

use rusqlite::Connection;

use super::{clients, grants, groups, tokens};
use crate::store::{Ending, RefreshEffect, Result, RotateRefresh, Rotation};

/// Carries out the decision on a refresh token.
pub(crate) fn rotate(db: &Connection, request: &RotateRefresh) -> Result<Rotation> {
    let Some(found) = grants::find(db, &request.tenant, request.grant)? else { return Ok(Rotation::Unknown) };
    Ok(match request.decide(&found.grant, found.enabled) {
        RefreshEffect::Rotate(issued) => {
            grants::put(db, &found, &issued.grant)?;
            tokens::add_refreshed(db, found.no, request, &issued)?;
            clients::issued(db, found.client_no, request.now)?;
            Rotation::Rotated(issued.grant, groups::with_groups(db, issued.token)?)
        }
        RefreshEffect::Retry(issued) => {
            tokens::add_refreshed(db, found.no, request, &issued)?;
            Rotation::Retried(issued.grant, groups::with_groups(db, issued.token)?)
        }
        RefreshEffect::RetryLate(issued) => {
            let void = tokens::make_void(db, found.no, &found.grant, request.now)?;
            grants::put(db, &found, &issued.grant)?;
            tokens::add_refreshed(db, found.no, request, &issued)?;
            Rotation::RetriedLate(issued.grant, groups::with_groups(db, issued.token)?, void)
        }
        RefreshEffect::Reuse(ending) => {
            grants::end_by(db, &ending)?;
            Rotation::Reused(ending.grant)
        }
        RefreshEffect::Refuse(refusal) => Rotation::Refused(refusal),
    })
}

/// Returns what ends because a refresh token was used a second time.
pub(crate) fn ending(db: &Connection, request: &RotateRefresh) -> Result<Option<Ending>> {
    let found = grants::find(db, &request.tenant, request.grant)?;
    Ok(match found.map(|found| request.decide(&found.grant, found.enabled)) {
        Some(RefreshEffect::Reuse(ending)) => Some(ending),
        Some(
            RefreshEffect::Rotate(_) | RefreshEffect::Retry(_) | RefreshEffect::RetryLate(_) | RefreshEffect::Refuse(_),
        )
        | None => None,
    })
}
