//! Pending authorizations: each step is a compare-and-set.

use rusqlite::{Connection, params};

use super::super::record::PENDING_AT_MOST;
use super::super::{Interaction, InteractionStep, StoreError, Update};
use super::clients;
use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, opened};
use crate::oauth::{ClientId, TenantId, Timestamp, TokenHash};

const SELECT: &str = "SELECT i.id, i.cookie, i.tenant, c.client_id, i.request, i.step, i.session_hash, i.created_at,
        i.expires_at, i.seal
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
    execute_once(
        db,
        "INSERT INTO interaction (id, tenant, cookie, client_no, request, step, session_hash, created_at, expires_at, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            interaction.id,
            interaction.tenant,
            interaction.cookie,
            client_no,
            interaction.request,
            step_word(interaction.step),
            interaction.session,
            interaction.created_at,
            interaction.expires_at,
            interaction.seal()
        ],
    )?;
    // Numbers grow by one: no count over the whole table is needed.
    let oldest = db.last_insert_rowid().saturating_sub(PENDING_AT_MOST.into());
    execute(db, "DELETE FROM interaction WHERE no <= ?1", [oldest]).map(drop)
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
