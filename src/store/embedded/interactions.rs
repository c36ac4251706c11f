//! Pending authorizations: each step is a compare-and-set.

use rusqlite::{Connection, params};

use super::super::record::{PENDING_AT_MOST, PENDING_PER_CLIENT, PENDING_PER_SOURCE};
use super::super::{Interaction, InteractionStep, StoreError, Update};
use super::clients;
use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, opened};
use crate::oauth::{ClientId, TenantId, Timestamp, TokenHash};

const SELECT: &str = "SELECT i.id, i.cookie, i.tenant, c.client_id, i.request, i.step, i.session_hash, i.source,
        i.created_at, i.expires_at, i.seal
    FROM interaction i LEFT JOIN client c ON c.no = i.client_no";

pub(super) const fn step_word(step: InteractionStep) -> &'static str {
    match step {
        InteractionStep::LogIn => "log_in",
        InteractionStep::Consent => "consent",
        InteractionStep::Ended => "ended",
    }
}

fn parse_step(word: &str) -> Option<InteractionStep> {
    [InteractionStep::LogIn, InteractionStep::Consent, InteractionStep::Ended]
        .into_iter()
        .find(|step| step_word(*step) == word)
}

fn read(c: &mut Columns<'_>) -> Result<Interaction, StoreError> {
    let interaction = Interaction {
        id: c.hash()?,
        cookie: c.hash()?,
        tenant: c.tenant()?,
        client: c.optional_text()?.and_then(ClientId::parse),
        request: c.optional_text()?.map(str::to_owned),
        step: c.word(parse_step)?,
        session: c.optional_hash()?,
        source: c.optional_text()?.and_then(|source| source.parse().ok()),
        created_at: c.moment()?,
        expires_at: c.moment()?,
    };
    opened(interaction, c.number()?, "a pending authorization")
}

/// Finds one that has not expired, whichever step it is at.
pub(super) fn find(
    db: &Connection,
    tenant: &TenantId,
    id: &TokenHash,
    now: Timestamp,
) -> Result<Option<Interaction>, StoreError> {
    let sql = format!("{SELECT} WHERE i.tenant = ?1 AND i.id = ?2 AND i.expires_at > ?3");
    row::one(db, &sql, params![tenant, id, now], read)
}

/// Reads every one, to see whether it can be read.
pub(super) fn check(db: &Connection) -> Result<Vec<String>, StoreError> {
    super::check::unreadable(db, SELECT, "pending authorization", |c| read(c).map(drop))
}

pub(super) fn insert(db: &Connection, interaction: &Interaction) -> Result<(), StoreError> {
    let client = interaction.client.as_ref();
    let client_no = client.map(|client| clients::number(db, &interaction.tenant, client)).transpose()?;
    let source = interaction.source.map(|source| source.to_string());
    if let Some(source) = &source {
        let newest = PENDING_PER_SOURCE.saturating_sub(1);
        // The newest that may stay beside the one to come.
        let surplus = "SELECT no FROM interaction WHERE source = ?1
            ORDER BY step = 'ended', no DESC LIMIT -1 OFFSET ?2";
        execute(db, &format!("DELETE FROM interaction WHERE no IN ({surplus})"), params![source, newest])?;
    }
    if let Some(client_no) = client_no {
        make_room_at_client(db, client_no)?;
    }
    execute_once(
        db,
        "INSERT INTO interaction (id, tenant, cookie, client_no, request, step, session_hash, source, created_at, expires_at,
             seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            interaction.id,
            interaction.tenant,
            interaction.cookie,
            client_no,
            interaction.request,
            step_word(interaction.step),
            interaction.session,
            source,
            interaction.created_at,
            interaction.expires_at,
            interaction.seal()
        ],
    )?;
    // Numbers grow by one: no count over the whole table is needed.
    let oldest = db.last_insert_rowid().saturating_sub(PENDING_AT_MOST.into());
    execute(db, "DELETE FROM interaction WHERE no <= ?1", [oldest]).map(drop)
}

/// Removes one when a client has as many as it may have: the oldest of the source that has the most of them there, so that
/// a few who begin many do not push out the many who began one.
fn make_room_at_client(db: &Connection, client_no: i64) -> Result<(), StoreError> {
    let count = row::one(db, "SELECT count(*) FROM interaction WHERE client_no = ?1", [client_no], |c| c.number())?;
    if count.is_none_or(|count| count < u64::from(PENDING_PER_CLIENT)) {
        return Ok(());
    }
    let heaviest =
        "SELECT min(no) FROM interaction WHERE client_no = ?1 GROUP BY source ORDER BY count(*) DESC, 1 LIMIT 1";
    execute(db, &format!("DELETE FROM interaction WHERE no = ({heaviest})"), [client_no]).map(drop)
}

/// Moves one that was just read to its next step, unless it has moved meanwhile.
pub(super) fn advance(
    db: &Connection,
    interaction: &Interaction,
    next: InteractionStep,
    session: Option<TokenHash>,
) -> Result<Update, StoreError> {
    let advanced = Interaction { step: next, session: session.or(interaction.session), ..interaction.clone() };
    let sql = "UPDATE interaction SET step = ?3, session_hash = ?4, seal = ?5 WHERE id = ?1 AND step = ?2";
    let (from, to) = (step_word(interaction.step), step_word(next));
    match execute(db, sql, params![interaction.id, from, to, advanced.session, advanced.seal()])? {
        0 => Ok(Update::NotFound),
        _ => Ok(Update::Done),
    }
}
