//! Tokens that clients get for themselves, and for people who are absent.

use rusqlite::{Connection, params};

use super::row::{self, execute_once};
use super::{accounts, acting, audit, clients, grants, groups, tokens};
use crate::store::client_token::TOKENS_PER_CLIENT;
use crate::store::{Change, IssueFor, IssueToClient, Issued, Result, limits};

/// Issues a token under the client's grant for the resource; adds its service account and the grant where needed.
/// `None` if the client or its account is disabled or gone.
pub(crate) fn issue(db: &Connection, request: &IssueToClient) -> Result<Option<Issued>> {
    let new = &request.grant;
    limits::resource(new.resource.as_str())?;
    let Some(client_no) = clients::enabled_number(db, &new.tenant, &new.client)? else { return Ok(None) };
    let account_no = match &request.subject {
        IssueFor::Service(service) => accounts::enabled_service(db, service)?,
        IssueFor::Person => accounts::enabled_person(db, &new.tenant, &new.subject)?,
    };
    let Some(account_no) = account_no else { return Ok(None) };
    if acting::is_ended(db, account_no, client_no)? {
        return Ok(None);
    }
    let standing = grants::readable(db, params![account_no, client_no, new.resource])?;
    let (grant_no, issued) = match standing.into_iter().find(|found| request.fits(&found.grant)) {
        None => {
            let grant = request.new_grant();
            (grants::insert(db, &grant, client_no, account_no)?, request.issue(grant, true))
        }
        Some(found) => {
            let prolonged = request.prolonged(&found.grant);
            prolonged.iter().try_for_each(|grant| grants::put(db, &found, grant))?;
            (found.no, request.issue(prolonged.unwrap_or(found.grant), false))
        }
    };
    tokens::add(db, grant_no, &issued)?;
    remove_surplus(db, grant_no, request)?;
    clients::issued(db, client_no, request.now)?;
    let token = groups::with_groups(db, issued.token)?;
    Ok(Some(Issued { token, ..issued }))
}

/// Removes the oldest tokens of a grant that are too many, and announces that.
fn remove_surplus(db: &Connection, grant_no: i64, request: &IssueToClient) -> Result<()> {
    let sql = "SELECT no, hash FROM access_token WHERE grant_no = ?1 ORDER BY no DESC LIMIT -1 OFFSET ?2";
    let surplus = row::all(db, sql, params![grant_no, TOKENS_PER_CLIENT], |c| Ok((c.no()?, c.hash()?)))?;
    for (no, hash) in surplus {
        execute_once(db, "DELETE FROM access_token WHERE no = ?1", [no])?;
        audit::announce(db, request.now, &Change::AccessTokenRevoked(request.grant.tenant.clone(), hash))?;
    }
    Ok(())
}
