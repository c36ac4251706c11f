//! API keys: a grant with its token each.

use rusqlite::{Connection, params};

use super::row;
use super::{audit, clients, grants, groups, tokens};
use crate::store::{Change, Issued, KEYS_PER_ACCOUNT, KeyAdded, NewKey, Result, RotateKey, limits};

/// Adds a key.
pub(crate) fn insert(db: &Connection, key: &NewKey) -> Result<KeyAdded> {
    let new = &key.grant;
    limits::key(new)?;
    let enabled = "SELECT c.no, a.no FROM client c, account a WHERE c.tenant = ?1 AND c.client_id = ?2
        AND c.status = 'enabled' AND a.tenant = ?1 AND a.subject = ?3 AND a.status = 'enabled'
        AND a.kind = 'person'";
    let parties = params![new.tenant, new.client, new.subject.id()];
    let parties = row::one(db, enabled, parties, |c| Ok((c.no()?, c.no()?)))?;
    let Some((client_no, account_no)) = parties.filter(|_| new.subject.is_person()) else {
        return Ok(KeyAdded::NotFound);
    };
    let active = "SELECT count(*) FROM grants
        WHERE account_no = ?1 AND key_name IS NOT NULL AND revoked_at IS NULL AND expires_at > ?2";
    if row::one(db, active, params![account_no, new.created_at], |c| c.number())? >= Some(KEYS_PER_ACCOUNT) {
        return Ok(KeyAdded::TooMany);
    }
    let issued = key.issue();
    let grant_no = grants::insert(db, &issued.grant, client_no, account_no)?;
    Ok(KeyAdded::Added(Box::new(added(db, (grant_no, client_no), issued)?)))
}

/// Gives a key a new secret.
pub(crate) fn rotate(db: &Connection, by: &RotateKey) -> Result<Option<Issued>> {
    let found = grants::find(db, &by.audit.tenant, by.grant)?.filter(|found| found.enabled);
    let Some(found) = found else { return Ok(None) };
    let Some(issued) = by.issue(&found.grant) else { return Ok(None) };
    let now = by.audit.at;
    for (newer, token) in tokens::of_grant(db, found.no)?.into_iter().enumerate() {
        match by.replaced(newer, &token) {
            Some(replaced) => {
                tokens::put(db, &replaced)?;
                let of = replaced.subject.id().clone();
                audit::announce(db, now, &Change::AccountGroupsChanged(replaced.tenant, of))?;
            }
            None => {
                tokens::remove(db, &token.tenant, &token.hash)?;
                audit::announce(db, now, &Change::AccessTokenRevoked(token.tenant, token.hash))?;
            }
        }
    }
    grants::put(db, &found, &issued.grant)?;
    Ok(Some(added(db, (found.no, found.client_no), issued)?))
}

/// Adds the token of a key and completes it.
fn added(db: &Connection, (grant_no, client_no): (i64, i64), issued: Issued) -> Result<Issued> {
    tokens::add(db, grant_no, &issued)?;
    clients::issued(db, client_no, issued.token.issued_at)?;
    Ok(Issued { token: groups::with_groups(db, issued.token)?, ..issued })
}
