//! Ephemeral records, which live for minutes: each step is a compare-and-set.

use rusqlite::{Connection, params};

use super::clients;
use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, opened};
use super::words::{parse_step, step_word};
use crate::oauth::{ClientId, TenantId, Timestamp};
use crate::store::ephemeral::{Holder, Place};
use crate::store::{
    Advance, Ephemeral, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralStep, Insertion, Result, Source,
    StoreError, Update, limits,
};

const SELECT: &str = "SELECT e.tenant, e.kind, e.key, e.browser, c.client_id, e.body, e.step, e.session_hash, e.source,
        e.host, e.created_at, e.expires_at, e.seal
    FROM ephemeral e LEFT JOIN client c ON c.no = e.client_no";

fn read(c: &mut Columns<'_>) -> Result<Ephemeral> {
    let found = Ephemeral {
        key: EphemeralKey { tenant: c.tenant()?, kind: c.word(EphemeralKind::parse)?, hash: c.hash()? },
        browser: c.optional_hash()?,
        client: c.optional_text()?.and_then(ClientId::parse),
        body: c.optional_text()?.map(str::to_owned),
        step: c.word(parse_step)?,
        session: c.optional_hash()?,
        source: match (c.optional_text()?, c.optional_text()?) {
            (Some(site), host) => source(site, host.unwrap_or(site))?,
            (None, _) => Source::UNKNOWN,
        },
        created_at: c.moment()?,
        expires_at: c.moment()?,
    };
    opened(found, c.number()?, "an ephemeral row")
}

/// Returns the source of a record; rows from before hosts were stored have no host.
fn source(site: &str, host: &str) -> Result<Source> {
    match (host.parse(), site.parse()) {
        (Ok(host), Ok(site)) => Ok(Source { host, site }),
        _ => Err(StoreError::Corrupt("the source of an ephemeral row is not an address".to_owned())),
    }
}

/// Finds a record that has not expired, at whatever step.
pub(crate) fn find(db: &Connection, key: &EphemeralKey, now: Timestamp) -> Result<Option<Ephemeral>> {
    let sql = format!("{SELECT} WHERE e.tenant = ?1 AND e.kind = ?2 AND e.key = ?3 AND e.expires_at > ?4");
    row::one(db, &sql, params![key.tenant, key.kind.as_str(), key.hash, now], read)
}

/// Lists the records of a kind that have not expired, the oldest first.
pub(crate) fn list(db: &Connection, tenant: &TenantId, kind: EphemeralKind, now: Timestamp) -> Result<Vec<Ephemeral>> {
    let sql = format!("{SELECT} WHERE e.tenant = ?1 AND e.kind = ?2 AND e.expires_at > ?3 ORDER BY e.no");
    row::all(db, &sql, params![tenant, kind.as_str(), now], read)
}

/// Reads every record, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    let mut found = row::unreadable(db, SELECT, "an ephemeral row", |c| read(c).map(drop))?;
    let counted =
        "SELECT pool, pool_site, pool_host, sum(weight), max(no) FROM ephemeral GROUP BY pool, pool_site, pool_host
        UNION ALL SELECT pool, pool_site, '', sum(weight), max(no) FROM ephemeral GROUP BY pool, pool_site
        UNION ALL SELECT pool, '', '', sum(weight), 0 FROM ephemeral GROUP BY pool";
    let noted = "SELECT pool, site, host, weight, newest FROM ephemeral_weight WHERE weight > 0";
    for (all, but) in [(counted, noted), (noted, counted)] {
        let wrong =
            row::number(db, &format!("SELECT count(*) FROM (SELECT * FROM ({all}) EXCEPT SELECT * FROM ({but}))"))?;
        if wrong > 0 {
            found.push(format!("{wrong} sums of ephemeral rows do not match their rows"));
        }
    }
    Ok(found)
}

pub(crate) fn insert(db: &Connection, new: &Ephemeral, limits: &EphemeralLimits) -> Result<Insertion> {
    limits::body(new.body.as_deref())?;
    let sql = "SELECT no FROM ephemeral WHERE tenant = ?1 AND kind = ?2 AND key = ?3";
    let key = params![new.key.tenant, new.key.kind.as_str(), new.key.hash];
    if row::one(db, sql, key, |c| c.no())?.is_some() {
        return Ok(Insertion::Exists);
    }
    let place = Place::of(new);
    if new.key.kind.gives_way() {
        make_room(db, &place, limits)?;
    } else if !has_room(db, &place, limits)? {
        return Ok(Insertion::Full);
    }
    put(db, None, new)?;
    Ok(Insertion::Inserted)
}

/// Moves a record to its next step, if it is at the expected one. With `limits`, there must be room for it in its new
/// place.
pub(crate) fn advance(
    db: &Connection,
    key: &EphemeralKey,
    by: &Advance,
    limits: Option<&EphemeralLimits>,
    now: Timestamp,
) -> Result<Update> {
    limits::body(by.body.as_deref())?;
    let Some(found) = find(db, key, now)?.filter(|found| found.step == by.from) else { return Ok(Update::NotFound) };
    let advanced = found.advanced(by);
    let place = Place::of(&advanced);
    if let Some(limits) = limits.filter(|_| by.to == EphemeralStep::Consent && place.holder != Place::of(&found).holder)
    {
        make_room(db, &place, limits)?;
    }
    // The record itself may have taken the room. A row is replaced as a whole, so that the sums are updated in one
    // place.
    let sql = "DELETE FROM ephemeral WHERE tenant = ?1 AND kind = ?2 AND key = ?3 AND step = ?4 RETURNING no";
    let from = params![key.tenant, key.kind.as_str(), key.hash, step_word(by.from)];
    let Some(no) = row::one(db, sql, from, |c| c.no())? else { return Ok(Update::NotFound) };
    put(db, Some(no), &advanced)?;
    Ok(Update::Done)
}

/// Writes a row, under its former number if it had one.
fn put(db: &Connection, no: Option<i64>, row: &Ephemeral) -> Result<()> {
    let client = row.client.as_ref();
    let client_no = client.map(|client| clients::number(db, &row.key.tenant, client)).transpose()?;
    let place = Place::of(row);
    let PoolWords { pool, site, host } = PoolWords::of(&place.holder);
    let known = Some(row.source).filter(|source| *source != Source::UNKNOWN);
    execute_once(
        db,
        "INSERT INTO ephemeral (no, tenant, kind, key, browser, client_no, body, step, ended, session_hash, source, host,
             pool, pool_site, pool_host, weight, created_at, expires_at, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        params![
            no,
            row.key.tenant,
            row.key.kind.as_str(),
            row.key.hash,
            row.browser,
            client_no,
            row.body,
            step_word(row.step),
            row.step == EphemeralStep::Ended,
            row.session,
            known.map(|source| source.site.to_string()),
            known.map(|source| source.host.to_string()),
            pool,
            site,
            host,
            row::storable(place.weight),
            row.created_at,
            row.expires_at,
            row.seal()
        ],
    )
}

/// A holder as columns: pool, site and host. A session is its own site and host.
struct PoolWords {
    pool: String,
    site: String,
    host: String,
}

impl PoolWords {
    fn of(holder: &Holder) -> Self {
        match holder {
            Holder::Stranger(kind, Source { host, site }) => {
                Self { pool: format!("{} stranger", kind.as_str()), site: site.to_string(), host: host.to_string() }
            }
            Holder::Session(kind, session) => {
                let session: String = session.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                Self { pool: format!("{} session", kind.as_str()), site: session.clone(), host: session }
            }
        }
    }
}

/// Returns whether a record stays within a limit: of a host, of a site (`host` is empty), or of its pool.
fn fits(db: &Connection, (pool, site, host): (&str, &str, &str), weight: u64, limit: u64) -> Result<bool> {
    let sql = "SELECT weight FROM ephemeral_weight WHERE pool = ?1 AND site = ?2 AND host = ?3";
    let held = row::one(db, sql, params![pool, site, host], |c| c.number())?.unwrap_or_default();
    Ok(held == 0 || held.saturating_add(weight) <= limit)
}

/// Returns whether one more record stays within the limits.
fn has_room(db: &Connection, place: &Place, limits: &EphemeralLimits) -> Result<bool> {
    let PoolWords { pool, site, host } = PoolWords::of(&place.holder);
    Ok(fits(db, (&pool, &site, &host), place.weight, place.holder.limit(limits))?
        && fits(db, (&pool, &site, ""), place.weight, place.holder.limit_of_site(limits))?
        && fits(db, (&pool, "", ""), place.weight, limits.in_all)?)
}

/// Removes as many records as needed for one more to stay within the limits.
fn make_room(db: &Connection, place: &Place, limits: &EphemeralLimits) -> Result<()> {
    let PoolWords { pool, site, host } = PoolWords::of(&place.holder);
    let fits = |site: &str, host: &str, limit: u64| fits(db, (&pool, site, host), place.weight, limit);
    while !fits(&site, &host, place.holder.limit(limits))? {
        remove_first(db, &pool, &site, &host)?;
    }
    while !fits(&site, "", place.holder.limit_of_site(limits))? {
        remove_at_site(db, &pool, &site)?;
    }
    while !fits("", "", limits.in_all)? {
        // Among equals, the site whose newest record is oldest.
        let heaviest = "SELECT site FROM ephemeral_weight
            WHERE pool = ?1 AND site <> '' AND host = '' ORDER BY weight DESC, newest LIMIT 1";
        match row::one(db, heaviest, [&pool], |c| Ok(c.text()?.to_owned()))? {
            Some(site) => remove_at_site(db, &pool, &site)?,
            None => return Err(out_of_step()),
        }
    }
    Ok(())
}

/// Removes one record of the host that holds the most at a site.
fn remove_at_site(db: &Connection, pool: &str, site: &str) -> Result<()> {
    let heaviest = "SELECT host FROM ephemeral_weight
        WHERE pool = ?1 AND site = ?2 AND host <> '' ORDER BY weight DESC, newest LIMIT 1";
    match row::one(db, heaviest, [pool, site], |c| Ok(c.text()?.to_owned()))? {
        Some(host) => remove_first(db, pool, site, &host),
        None => Err(out_of_step()),
    }
}

/// Removes one record of a host: the oldest that has ended, else the oldest.
fn remove_first(db: &Connection, pool: &str, site: &str, host: &str) -> Result<()> {
    let first = "SELECT no FROM ephemeral
        WHERE pool = ?1 AND pool_site = ?2 AND pool_host = ?3 ORDER BY ended DESC, no LIMIT 1";
    match execute(db, &format!("DELETE FROM ephemeral WHERE no = ({first})"), [pool, site, host])? {
        0 => Err(out_of_step()),
        _ => Ok(()),
    }
}

fn out_of_step() -> StoreError {
    StoreError::Corrupt("the sums of ephemeral rows do not match their rows".to_owned())
}
