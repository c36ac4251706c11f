//! Access token rows: small, in order of issue, each pointing to its grant.

use rusqlite::{Connection, params};

use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, VoidToken, opened};
use super::words::parse_origin;
use super::{accounts, audit, clients, grants, groups, key_columns};
use crate::oauth::{AccessTokenRecord, Grant, GrantId, GroupSet, ScopeSet, TenantId, Timestamp, TokenHash};
use crate::store::issuance::{TOKENS_PER_GRANT, TOKENS_WITH_GRACE, settled};
use crate::store::{AuditRow, Change, Issued, Result, RotateRefresh, StoreError, limits};

/// The columns of a token. `CROSS JOIN` fixes the join order: from the token to its grant, client and account.
const SELECT: &str = "SELECT t.no, t.hash, t.tenant, g.id, c.client_id, c.origin,
        CASE WHEN c.origin = 'manual' AND json_valid(c.metadata) THEN json_extract(c.metadata, '$.scope') END,
        a.subject, a.kind, a.name, g.resource,
        coalesce(t.scopes, g.scopes), g.exclusions, g.consented_at, g.acting, g.key_addresses, t.generation,
        t.generation > 0 AND t.generation = g.generation AND coalesce(g.first_use, 0) = 0,
        t.issued_at, t.expires_at, t.seal,
        (SELECT group_concat(m.name || ' ' || m.seal) FROM group_member m WHERE m.account_no = a.no)
    FROM access_token t CROSS JOIN grants g ON g.no = t.grant_no
        CROSS JOIN client c ON c.no = g.client_no CROSS JOIN account a ON a.no = g.account_no";

/// The condition that must hold at ?1 for `/mcp` to accept a token.
const LIVE: &str = "t.expires_at > ?1 AND g.revoked_at IS NULL AND g.expires_at > ?1
    AND c.status = 'enabled' AND a.status = 'enabled'";

fn read(c: &mut Columns<'_>) -> Result<AccessTokenRecord> {
    let token = AccessTokenRecord {
        hash: c.hash()?,
        tenant: c.tenant()?,
        grant: c.grant()?,
        client: c.client()?,
        client_origin: c.word(parse_origin)?,
        client_limit: c.optional_text()?.map(parse_limit).transpose()?,
        subject: c.subject()?,
        user: c.text()?.into(),
        groups: GroupSet::default(),
        resource: c.resource()?,
        scopes: c.scopes()?,
        exclusions: c.exclusions()?,
        consented_at: c.moment()?,
        acting: c.flag()?,
        addresses: key_columns::addresses(c)?,
        generation: c.small()?,
        reports_use: c.flag()?,
        issued_at: c.moment()?,
        expires_at: c.moment()?,
    };
    let token = opened(token, c.number()?, "an access token")?;
    let groups = groups::joined(c, &token.tenant, token.subject.id())?;
    Ok(AccessTokenRecord { groups, ..token })
}

fn parse_limit(scopes: &str) -> Result<ScopeSet> {
    ScopeSet::parse(scopes).map_err(|_| StoreError::Corrupt("the scopes of a client cannot be read".to_owned()))
}

fn insert(db: &Connection, grant_no: i64, grant: &Grant, token: &AccessTokenRecord) -> Result<()> {
    // Scopes are stored only if they are fewer than the grant's, so that most rows need none.
    let own_scopes = Some(&token.scopes).filter(|scopes| **scopes != grant.scopes);
    execute_once(
        db,
        "INSERT INTO access_token (tenant, hash, grant_no, scopes, generation, issued_at, expires_at, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            token.tenant,
            token.hash,
            grant_no,
            own_scopes,
            token.generation,
            token.issued_at,
            token.expires_at,
            token.seal()
        ],
    )
}

/// Adds a token that an operator issued, with its grant.
pub(crate) fn insert_of_operator(
    db: &Connection,
    grant: Grant,
    token: &AccessTokenRecord,
    row: &AuditRow,
) -> Result<()> {
    limits::resource(grant.resource.as_str())?;
    let grant = settled(grant);
    let client_no = clients::number(db, &grant.tenant, &grant.client)?;
    let account_no = accounts::number(db, &grant.tenant, &grant.subject)?;
    insert(db, grants::insert(db, &grant, client_no, account_no)?, &grant, token)?;
    clients::issued(db, client_no, grant.created_at)?;
    audit::append(db, row)
}

/// Finds the live tokens among `wanted`, in the same order.
pub(crate) fn find_live(
    db: &Connection,
    wanted: &[(TenantId, TokenHash)],
    now: Timestamp,
) -> Result<Vec<Option<AccessTokenRecord>>> {
    let sql =
        format!("{SELECT} WHERE substr(t.hash, 1, 8) = substr(?2, 1, 8) AND t.hash = ?2 AND t.tenant = ?3 AND {LIVE}");
    let find = |(tenant, hash): &(TenantId, TokenHash)| {
        row::one(db, &sql, params![now, hash, tenant], |c| {
            c.no()?;
            read(c)
        })
    };
    wanted.iter().map(find).collect()
}

/// Reads a page of live tokens, and returns where the next one begins. A damaged token is skipped: it will be refused,
/// and one flipped bit must not keep the gateway from starting.
pub(crate) fn live(
    db: &Connection,
    after: u64,
    limit: u32,
    now: Timestamp,
) -> Result<(Vec<AccessTokenRecord>, Option<u64>)> {
    let sql = format!("{SELECT} WHERE {LIVE} AND t.no > ?2 ORDER BY t.no LIMIT ?3");
    let mut tokens = Vec::new();
    let numbers = row::all(db, &sql, params![now, row::storable(after), limit], |c| {
        let no = c.number()?;
        match read(c) {
            Ok(token) => tokens.push(token),
            Err(error) => tracing::error!(%error, no, "an access token is damaged and will not be honoured"),
        }
        Ok(no)
    })?;
    let page_is_full = u32::try_from(numbers.len()).is_ok_and(|n| n == limit);
    Ok((tokens, numbers.last().copied().filter(|_| page_is_full)))
}

/// Lists the tokens of a grant, the newest first; those that are damaged are left out.
pub(super) fn of_grant(db: &Connection, grant_no: i64) -> Result<Vec<AccessTokenRecord>> {
    let sql = format!("{SELECT} WHERE t.grant_no = ?1 ORDER BY t.no DESC");
    let found = row::all(db, &sql, [grant_no], |c| {
        c.no()?;
        match read(c) {
            Ok(token) => Ok(Some(token)),
            Err(StoreError::Corrupt(_)) => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// Stores a token again whose grant or whose end has changed.
pub(super) fn put(db: &Connection, token: &AccessTokenRecord) -> Result<()> {
    let sql = "UPDATE access_token SET seal = ?3, expires_at = ?4
        WHERE substr(hash, 1, 8) = substr(?2, 1, 8) AND hash = ?2 AND tenant = ?1";
    execute_once(db, sql, params![token.tenant, token.hash, token.seal(), token.expires_at])
}

pub(crate) fn remove(db: &Connection, tenant: &TenantId, hash: &TokenHash) -> Result<bool> {
    let sql = "DELETE FROM access_token WHERE substr(hash, 1, 8) = substr(?2, 1, 8) AND hash = ?2 AND tenant = ?1";
    Ok(execute(db, sql, params![tenant, hash])? > 0)
}

/// Adds an issued token and its audit row.
pub(super) fn add(db: &Connection, grant_no: i64, issued: &Issued) -> Result<()> {
    insert(db, grant_no, &issued.grant, &issued.token)?;
    issued.audit.iter().try_for_each(|row| audit::append(db, row))
}

/// Adds an issued token like `add`; removes the grant's oldest tokens that are too many, and announces that.
pub(super) fn add_refreshed(db: &Connection, grant_no: i64, request: &RotateRefresh, issued: &Issued) -> Result<()> {
    insert(db, grant_no, &issued.grant, &issued.token)?;
    let sql = "SELECT hash, issued_at FROM access_token WHERE grant_no = ?1 ORDER BY no DESC LIMIT -1 OFFSET ?2";
    let older = row::all(db, sql, params![grant_no, TOKENS_PER_GRANT], |c| Ok((c.hash()?, c.moment()?)))?;
    for (newer, (hash, issued_at)) in (usize::from(TOKENS_PER_GRANT)..).zip(older) {
        if request.is_surplus(newer, issued_at) {
            remove(db, &request.tenant, &hash)?;
            audit::announce(db, request.now, &Change::AccessTokenRevoked(request.tenant.clone(), hash))?;
        }
    }
    issued.audit.iter().try_for_each(|row| audit::append(db, row))
}

const SELECT_VOID: &str =
    "SELECT v.hash, v.tenant, g.id, v.expires_at, v.seal FROM void_token v JOIN grants g ON g.no = v.grant_no";

fn read_void(c: &mut Columns<'_>) -> Result<VoidToken> {
    let token = VoidToken { hash: c.hash()?, tenant: c.tenant()?, grant: c.grant()?, expires_at: c.moment()? };
    opened(token, c.number()?, "a void token")
}

/// Makes the live tokens of a grant's generation void, announces the changes, and returns the hashes.
pub(super) fn make_void(db: &Connection, grant_no: i64, grant: &Grant, now: Timestamp) -> Result<Vec<TokenHash>> {
    let sql = "SELECT hash, expires_at FROM access_token WHERE grant_no = ?1 AND generation = ?2 AND expires_at > ?3";
    let live = row::all(db, sql, params![grant_no, grant.generation, now], |c| Ok((c.hash()?, c.moment()?)))?;
    for (hash, expires_at) in &live {
        let token = VoidToken { hash: *hash, tenant: grant.tenant.clone(), grant: grant.id, expires_at: *expires_at };
        remove(db, &grant.tenant, hash)?;
        execute_once(
            db,
            "INSERT INTO void_token (hash, tenant, grant_no, expires_at, seal) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![token.hash, token.tenant, grant_no, token.expires_at, token.seal()],
        )?;
        audit::announce(db, now, &Change::AccessTokenRevoked(grant.tenant.clone(), *hash))?;
    }
    let surplus = "DELETE FROM void_token WHERE hash IN
        (SELECT hash FROM void_token WHERE grant_no = ?1 ORDER BY expires_at DESC LIMIT -1 OFFSET ?2)";
    execute(db, surplus, params![grant_no, TOKENS_WITH_GRACE])?;
    Ok(live.into_iter().map(|(hash, _)| hash).collect())
}

/// Finds the grant of a void token that has not expired.
pub(super) fn find_void(
    db: &Connection,
    tenant: &TenantId,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<Option<GrantId>> {
    let sql = format!("{SELECT_VOID} WHERE v.hash = ?1 AND v.tenant = ?2 AND v.expires_at > ?3");
    Ok(row::one(db, &sql, params![hash, tenant, now], read_void)?.map(|token| token.grant))
}

/// Finds the grant of a token and the generation in which it was issued.
pub(super) fn origin(db: &Connection, tenant: &TenantId, hash: &TokenHash) -> Result<Option<(GrantId, u32)>> {
    let sql = "SELECT g.id, t.generation FROM access_token t CROSS JOIN grants g ON g.no = t.grant_no
        WHERE substr(t.hash, 1, 8) = substr(?1, 1, 8) AND t.hash = ?1 AND t.tenant = ?2";
    row::one(db, sql, params![hash, tenant], |c| Ok((c.grant()?, c.small()?)))
}

/// Reads every void token, and reports those that cannot be read.
pub(crate) fn check_void(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT_VOID, "void token", |c| read_void(c).map(drop))
}

/// Reads every access token, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, SELECT, "access token", |c| {
        c.no()?;
        read(c).map(drop)
    })
}
