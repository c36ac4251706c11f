//! Pending authorizations: each step is a compare-and-set.

use rusqlite::{Connection, params};

use super::clients;
use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, opened};
use super::words::{parse_step, step_word};
use crate::oauth::{ClientId, TenantId, Timestamp, TokenHash};
use crate::store::pending::{Holder, Place};
use crate::store::{Interaction, InteractionStep, PendingLimits, Result, Source, StoreError, Update};

const SELECT: &str =
    "SELECT i.id, i.cookie, i.tenant, c.client_id, i.request, i.step, i.session_hash, i.source, i.host,
        i.created_at, i.expires_at, i.seal
    FROM interaction i LEFT JOIN client c ON c.no = i.client_no";

fn read(c: &mut Columns<'_>) -> Result<Interaction> {
    let interaction = Interaction {
        id: c.hash()?,
        cookie: c.hash()?,
        tenant: c.tenant()?,
        client: c.optional_text()?.and_then(ClientId::parse),
        request: c.optional_text()?.map(str::to_owned),
        step: c.word(parse_step)?,
        session: c.optional_hash()?,
        source: match (c.optional_text()?, c.optional_text()?) {
            (Some(site), host) => source(site, host.unwrap_or(site))?,
            (None, _) => Source::UNKNOWN,
        },
        created_at: c.moment()?,
        expires_at: c.moment()?,
    };
    opened(interaction, c.number()?, "a pending authorization")
}

/// Rows from before hosts were stored have none.
fn source(site: &str, host: &str) -> Result<Source> {
    match (host.parse(), site.parse()) {
        (Ok(host), Ok(site)) => Ok(Source { host, site }),
        _ => Err(StoreError::Corrupt("the source of a pending authorization is not an address".to_owned())),
    }
}

/// Finds one that has not expired, whichever step it is at.
pub(crate) fn find(db: &Connection, tenant: &TenantId, id: &TokenHash, now: Timestamp) -> Result<Option<Interaction>> {
    let sql = format!("{SELECT} WHERE i.tenant = ?1 AND i.id = ?2 AND i.expires_at > ?3");
    row::one(db, &sql, params![tenant, id, now], read)
}

/// Reads every one, to see whether it can be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    let mut found = row::unreadable(db, SELECT, "pending authorization", |c| read(c).map(drop))?;
    let counted = "SELECT pool, site, host, sum(weight), max(no) FROM interaction_place GROUP BY pool, site, host
        UNION ALL SELECT pool, site, '', sum(weight), max(no) FROM interaction_place GROUP BY pool, site
        UNION ALL SELECT pool, '', '', sum(weight), 0 FROM interaction_place GROUP BY pool";
    let noted = "SELECT pool, site, host, weight, newest FROM interaction_weight WHERE weight > 0";
    for (all, but) in [(counted, noted), (noted, counted)] {
        let wrong =
            row::number(db, &format!("SELECT count(*) FROM (SELECT * FROM ({all}) EXCEPT SELECT * FROM ({but}))"))?;
        if wrong > 0 {
            found.push(format!("{wrong} sums of pending authorizations do not match their rows"));
        }
    }
    Ok(found)
}

pub(crate) fn insert(db: &Connection, interaction: &Interaction, limits: &PendingLimits) -> Result<()> {
    let client = interaction.client.as_ref();
    let client_no = client.map(|client| clients::number(db, &interaction.tenant, client)).transpose()?;
    let place = Place::of(interaction);
    make_room(db, &place, limits)?;
    let known = Some(interaction.source).filter(|source| *source != Source::UNKNOWN);
    execute_once(
        db,
        "INSERT INTO interaction (id, tenant, cookie, client_no, request, step, session_hash, source, host, created_at,
             expires_at, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            interaction.id,
            interaction.tenant,
            interaction.cookie,
            client_no,
            interaction.request,
            step_word(interaction.step),
            interaction.session,
            known.map(|source| source.site.to_string()),
            known.map(|source| source.host.to_string()),
            interaction.created_at,
            interaction.expires_at,
            interaction.seal()
        ],
    )?;
    take(db, db.last_insert_rowid(), &place, interaction.step)
}

/// Moves one that was just read to its next step, unless it has moved meanwhile. With `limits`, it is one that has to find
/// room where it moves to.
pub(crate) fn advance(
    db: &Connection,
    interaction: &Interaction,
    next: InteractionStep,
    session: Option<TokenHash>,
    limits: Option<&PendingLimits>,
) -> Result<Update> {
    let advanced = Interaction { step: next, session: session.or(interaction.session), ..interaction.clone() };
    let place = Place::of(&advanced);
    if let Some(limits) = limits
        && place.holder != Place::of(interaction).holder
    {
        make_room(db, &place, limits)?;
    }
    let sql = "UPDATE interaction SET step = ?3, session_hash = ?4, seal = ?5 WHERE id = ?1 AND step = ?2 RETURNING no";
    let (from, to) = (step_word(interaction.step), step_word(next));
    let moved = row::one(db, sql, params![interaction.id, from, to, advanced.session, advanced.seal()], |c| c.no())?;
    let Some(no) = moved else { return Ok(Update::NotFound) };
    execute(db, "DELETE FROM interaction_place WHERE no = ?1", [no])?;
    take(db, no, &place, next)?;
    Ok(Update::Done)
}

/// The words of a holder: pool, site and host. A session is its own site and host.
struct Key {
    pool: &'static str,
    site: String,
    host: String,
}

impl Key {
    fn of(holder: &Holder) -> Self {
        match holder {
            Holder::Stranger(Source { host, site }) => {
                Self { pool: "stranger", site: site.to_string(), host: host.to_string() }
            }
            Holder::Session(session) => {
                let session: String = session.0.iter().map(|byte| format!("{byte:02x}")).collect();
                Self { pool: "session", site: session.clone(), host: session }
            }
        }
    }
}

/// Counts one for its holder.
fn take(db: &Connection, no: i64, place: &Place, step: InteractionStep) -> Result<()> {
    let Key { pool, site, host } = Key::of(&place.holder);
    execute_once(
        db,
        "INSERT INTO interaction_place (no, pool, site, host, ended, weight) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![no, pool, site, host, step == InteractionStep::Ended, row::storable(place.weight)],
    )
}

/// Removes as many as are too many for one more to stay within its limits.
fn make_room(db: &Connection, place: &Place, limits: &PendingLimits) -> Result<()> {
    let Key { pool, site, host } = Key::of(&place.holder);
    let fits = |site: &str, host: &str, limit: u64| {
        let sql = "SELECT weight FROM interaction_weight WHERE pool = ?1 AND site = ?2 AND host = ?3";
        let held = row::one(db, sql, params![pool, site, host], |c| c.number())?.unwrap_or_default();
        Ok::<_, StoreError>(held == 0 || held.saturating_add(place.weight) <= limit)
    };
    while !fits(&site, &host, place.holder.limit(limits))? {
        remove_first(db, pool, &site, &host)?;
    }
    while !fits(&site, "", place.holder.limit_of_site(limits))? {
        remove_at_site(db, pool, &site)?;
    }
    while !fits("", "", limits.in_all)? {
        // Among equals the one that has begun none for the longest.
        let heaviest = "SELECT site FROM interaction_weight
            WHERE pool = ?1 AND site <> '' AND host = '' ORDER BY weight DESC, newest LIMIT 1";
        match row::one(db, heaviest, [pool], |c| Ok(c.text()?.to_owned()))? {
            Some(site) => remove_at_site(db, pool, &site)?,
            None => return Err(out_of_step()),
        }
    }
    Ok(())
}

/// Removes one of the host that holds the most at a site.
fn remove_at_site(db: &Connection, pool: &str, site: &str) -> Result<()> {
    let heaviest = "SELECT host FROM interaction_weight
        WHERE pool = ?1 AND site = ?2 AND host <> '' ORDER BY weight DESC, newest LIMIT 1";
    match row::one(db, heaviest, [pool, site], |c| Ok(c.text()?.to_owned()))? {
        Some(host) => remove_first(db, pool, site, &host),
        None => Err(out_of_step()),
    }
}

/// Removes one of a host: the oldest that has ended, else the oldest.
fn remove_first(db: &Connection, pool: &str, site: &str, host: &str) -> Result<()> {
    let first = "SELECT no FROM interaction_place
        WHERE pool = ?1 AND site = ?2 AND host = ?3 ORDER BY ended DESC, no LIMIT 1";
    match execute(db, &format!("DELETE FROM interaction WHERE no = ({first})"), [pool, site, host])? {
        0 => Err(out_of_step()),
        _ => Ok(()),
    }
}

fn out_of_step() -> StoreError {
    StoreError::Corrupt("the sums of pending authorizations do not match their rows".to_owned())
}
