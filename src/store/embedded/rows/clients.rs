//! Client rows.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::audit;
use super::row::{self, Columns, execute, execute_once};
use super::seal::{Sealed, StoredClient, opened};
use super::words::{origin_word, parse_disabled, parse_origin, status_word};

use crate::oauth::{
    Client, ClientDecision, ClientId, ClientLifetimes, ClientMetadata, ClientOrigin, ClientSecretHash, Digest,
    DocumentAge, DocumentSource, Lifetime, SeenClient, TenantId, Timestamp,
};
use crate::store::clock::AHEAD;
use crate::store::record::is_recent;
use crate::store::{AuditRow, Change, Result, SecretRotation, StoreError, Update};

pub(super) const COLUMNS: &str =
    "no, tenant, client_id, origin, metadata, resource, status, created_at, last_token_at, last_used_at,
        document_fetched_at, document_fresh_until, document_source, access_lifetime, refresh_idle, refresh_absolute,
        decision, decided_for, decided_keys, seal FROM client";

/// The secrets of clients by the numbers of their rows.
type Secrets = HashMap<i64, Vec<ClientSecretHash>>;

/// Returns the word for the source of a document: NULL for a fetched one, as in rows from before documents could be
/// imported.
const fn source_word(document: Option<DocumentAge>) -> Option<&'static str> {
    match document {
        Some(DocumentAge { source: DocumentSource::Shipped, .. }) => Some("shipped"),
        Some(DocumentAge { source: DocumentSource::Imported, .. }) => Some("imported"),
        Some(DocumentAge { source: DocumentSource::Fetched, .. }) | None => None,
    }
}

fn parse_source(word: Option<&str>) -> Result<DocumentSource> {
    match word {
        None => Ok(DocumentSource::Fetched),
        Some("shipped") => Ok(DocumentSource::Shipped),
        Some("imported") => Ok(DocumentSource::Imported),
        Some(_) => Err(StoreError::Corrupt("the source of a document cannot be read".to_owned())),
    }
}

/// A client and its row number.
pub(crate) struct ClientRow {
    pub(crate) no: i64,
    pub(crate) client: Client,
    metadata: String,
}

/// Returns the word for a decision.
const fn decision_word(decision: &ClientDecision) -> &'static str {
    if decision.approved { "approved" } else { "rejected" }
}

fn read_decision(c: &mut Columns<'_>) -> Result<Option<ClientDecision>> {
    match (c.optional_text()?, c.optional_hash()?, c.optional_hash()?) {
        (None, None, None) => Ok(None),
        (Some(word @ ("approved" | "rejected")), Some(all), Some(keys)) => {
            Ok(Some(ClientDecision { approved: word == "approved", seen: SeenClient { all, keys } }))
        }
        _ => Err(StoreError::Corrupt("the decision about a client cannot be read".to_owned())),
    }
}

fn read_secret(c: &mut Columns<'_>) -> Result<ClientSecretHash> {
    Ok(ClientSecretHash { hash: c.hash()?, created_at: c.moment()?, until: c.optional_moment()? })
}

/// Reads a client, and its secrets by a query of their own.
pub(super) fn read(db: &Connection, c: &mut Columns<'_>) -> Result<ClientRow> {
    read_with(c, |no| {
        let sql = "SELECT hash, created_at, until FROM client_secret WHERE client_no = ?1 ORDER BY position";
        row::all(db, sql, [no], read_secret)
    })
}

fn read_with(c: &mut Columns<'_>, secrets: impl FnOnce(i64) -> Result<Vec<ClientSecretHash>>) -> Result<ClientRow> {
    let no = c.no()?;
    let secrets = secrets(no)?;
    let (tenant, id, origin) = (c.tenant()?, c.client()?, c.word(parse_origin)?);
    let metadata = c.text()?.to_owned();
    let client = Client {
        tenant,
        id,
        origin,
        metadata: ClientMetadata::from_stored(&metadata)
            .ok_or_else(|| StoreError::Corrupt("the metadata of a client cannot be read".to_owned()))?,
        secrets,
        resource: c.optional_resource()?,
        disabled: c.word(parse_disabled)?,
        created_at: c.moment()?,
        last_token_at: c.optional_moment()?,
        last_used_at: c.optional_moment()?,
        document: match (c.optional_moment()?, c.optional_moment()?, parse_source(c.optional_text()?)?) {
            (Some(fetched_at), Some(fresh_until), source) => Some(DocumentAge { fetched_at, fresh_until, source }),
            (None, None, DocumentSource::Fetched) => None,
            _ => return Err(StoreError::Corrupt("half of a document's age is missing".to_owned())),
        },
        lifetimes: ClientLifetimes {
            access: c.optional_number()?.map(Lifetime::from_millis),
            refresh_idle: c.optional_number()?.map(Lifetime::from_millis),
            refresh_absolute: c.optional_number()?.map(Lifetime::from_millis),
        },
        decision: read_decision(c)?.map(Box::new),
    };
    opened(StoredClient(&client, &metadata), c.number()?, "a client")?;
    Ok(ClientRow { no, client, metadata })
}

pub(crate) fn find(db: &Connection, tenant: &TenantId, id: &ClientId) -> Result<Option<ClientRow>> {
    let sql = format!("SELECT {COLUMNS} WHERE tenant = ?1 AND client_id = ?2");
    row::one(db, &sql, params![tenant, id], |c| read(db, c))
}

/// Lists all clients of a tenant, oldest first.
pub(crate) fn list(db: &Connection, tenant: &TenantId) -> Result<Vec<Client>> {
    list_where(db, "c.tenant = ?1", tenant)
}

/// Lists the clients that an operator added, oldest first.
pub(crate) fn list_of_operators(db: &Connection, tenant: &TenantId) -> Result<Vec<Client>> {
    // A literal instead of a parameter, so that the partial index on operators' clients applies.
    list_where(db, "c.tenant = ?1 AND c.origin = 'manual'", tenant)
}

/// Lists the clients that meet a condition, oldest first, by two queries however many there are.
fn list_where(db: &Connection, condition: &str, tenant: &TenantId) -> Result<Vec<Client>> {
    let sql = format!(
        "SELECT s.client_no, s.hash, s.created_at, s.until FROM client c JOIN client_secret s ON s.client_no = c.no
         WHERE {condition} ORDER BY s.client_no, s.position"
    );
    let mut secrets = Secrets::new();
    for (no, secret) in row::all(db, &sql, [tenant], |c| Ok((c.no()?, read_secret(c)?)))? {
        secrets.entry(no).or_default().push(secret);
    }
    let sql = format!("SELECT {COLUMNS} c WHERE {condition} ORDER BY no");
    row::all(db, &sql, [tenant], |c| Ok(read_with(c, |no| Ok(secrets.remove(&no).unwrap_or_default()))?.client))
}

/// Reads every client, and reports those that cannot be read.
pub(crate) fn check(db: &Connection) -> Result<Vec<String>> {
    row::unreadable(db, &format!("SELECT {COLUMNS}"), "client", |c| read(db, c).map(drop))
}

/// Returns the row number of the client that a new row refers to.
pub(crate) fn number(db: &Connection, tenant: &TenantId, id: &ClientId) -> Result<i64> {
    let sql = "SELECT no FROM client WHERE tenant = ?1 AND client_id = ?2";
    row::one(db, sql, params![tenant, id], |c| c.no())?
        .ok_or_else(|| StoreError::Conflict("the client is not in the store".to_owned()))
}

/// Returns the row number of a client that is enabled.
pub(super) fn enabled_number(db: &Connection, tenant: &TenantId, id: &ClientId) -> Result<Option<i64>> {
    let sql = "SELECT no FROM client WHERE tenant = ?1 AND client_id = ?2 AND status = 'enabled'";
    row::one(db, sql, params![tenant, id], |c| c.no())
}

/// Records when the client was last issued a token, at most once a minute.
pub(crate) fn issued(db: &Connection, no: i64, now: Timestamp) -> Result<()> {
    let last = row::one(db, "SELECT last_token_at FROM client WHERE no = ?1", [no], |c| c.optional_moment())?;
    if !is_recent(last.flatten(), now) {
        execute(db, "UPDATE client SET last_token_at = ?2 WHERE no = ?1", params![no, now])?;
    }
    Ok(())
}

/// Records when a token of the client was last used, at most once a minute.
pub(super) fn used(db: &Connection, no: i64, at: Timestamp) -> Result<()> {
    let last = row::one(db, "SELECT last_used_at FROM client WHERE no = ?1", [no], |c| c.optional_moment())?;
    if !is_recent(last.flatten(), at) {
        execute(db, "UPDATE client SET last_used_at = ?2 WHERE no = ?1", params![no, at])?;
    }
    Ok(())
}

/// Returns the hash that identifies the registration of a public client that registered itself.
pub(crate) fn registration(client: &Client) -> Option<Digest<ClientMetadata>> {
    client.metadata.registration_hash().filter(|_| client.origin == ClientOrigin::Registered)
}

pub(crate) fn insert(db: &Connection, client: &Client, metadata: &str) -> Result<()> {
    let registration = registration(client);
    if let Some(hash) = &registration {
        // The hash can only be taken by a row that `registrations::find_registered` rejected.
        let sql = "UPDATE client SET registration = NULL WHERE tenant = ?1 AND registration = ?2";
        execute(db, sql, params![client.tenant, hash])?;
    }
    execute_once(
        db,
        "INSERT INTO client (tenant, client_id, origin, metadata, resource, status, created_at, last_token_at,
             last_used_at, document_fetched_at, document_fresh_until, document_source, seal, registration,
             registered_at, access_lifetime, refresh_idle, refresh_absolute, decision, decided_for, decided_keys)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?7, ?15, ?16, ?17,
             ?18, ?19, ?20)",
        params![
            client.tenant,
            client.id,
            origin_word(client.origin),
            metadata,
            client.resource,
            status_word(client.disabled),
            client.created_at,
            client.last_token_at,
            client.last_used_at,
            client.document.map(|d| d.fetched_at),
            client.document.map(|d| d.fresh_until),
            source_word(client.document),
            StoredClient(client, metadata).seal(),
            registration,
            client.lifetimes.access,
            client.lifetimes.refresh_idle,
            client.lifetimes.refresh_absolute,
            client.decision.as_deref().map(decision_word),
            client.decision.as_ref().map(|decision| decision.seen.all),
            client.decision.as_ref().map(|decision| decision.seen.keys)
        ],
    )?;
    put_secrets(db, db.last_insert_rowid(), client)
}

fn put_secrets(db: &Connection, no: i64, client: &Client) -> Result<()> {
    execute(db, "DELETE FROM client_secret WHERE client_no = ?1", [no])?;
    for (position, secret) in (0u32..).zip(&client.secrets) {
        execute_once(
            db,
            "INSERT INTO client_secret (client_no, position, tenant, hash, created_at, until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![no, position, client.tenant, secret.hash, secret.created_at, secret.until],
        )?;
    }
    Ok(())
}

/// Writes what can change of a client, apart from its secrets and the times of its use. One that was changed is no
/// longer the mere registration whose place another one may take.
pub(super) fn update(db: &Connection, no: i64, client: &Client, metadata: &str) -> Result<()> {
    execute_once(
        db,
        "UPDATE client SET metadata = ?2, status = ?3, document_fetched_at = ?4, document_fresh_until = ?5,
             document_source = ?6, resource = ?7, seal = ?8, access_lifetime = ?9, refresh_idle = ?10,
             refresh_absolute = ?11, decision = ?12, decided_for = ?13, decided_keys = ?14, succession = NULL
         WHERE no = ?1",
        params![
            no,
            metadata,
            status_word(client.disabled),
            client.document.map(|d| d.fetched_at),
            client.document.map(|d| d.fresh_until),
            source_word(client.document),
            client.resource,
            StoredClient(client, metadata).seal(),
            client.lifetimes.access,
            client.lifetimes.refresh_idle,
            client.lifetimes.refresh_absolute,
            client.decision.as_deref().map(decision_word),
            client.decision.as_ref().map(|decision| decision.seen.all),
            client.decision.as_ref().map(|decision| decision.seen.keys)
        ],
    )
}

/// Keeps an operator's decision about a client, if the client is still what they saw.
pub(crate) fn decide(db: &Connection, id: &ClientId, decision: ClientDecision, row: &AuditRow) -> Result<Update> {
    let Some(found) = find(db, &row.tenant, id)?.filter(|found| found.client.is_decided_by(&decision)) else {
        return Ok(Update::NotFound);
    };
    update(db, found.no, &Client { decision: Some(Box::new(decision)), ..found.client }, &found.metadata)?;
    audit::done(db, row)
}

pub(crate) fn put_document(db: &Connection, client: Client, metadata: &str, void_consents: bool) -> Result<()> {
    let Some(found) = find(db, &client.tenant, &client.id)? else { return insert(db, &client, metadata) };
    if found.client.origin != ClientOrigin::MetadataDocument {
        return Err(StoreError::Conflict("the id belongs to a client without a metadata document".to_owned()));
    }
    if void_consents {
        execute(db, "DELETE FROM consent WHERE client_no = ?1", [found.no])?;
    }
    // An operator's decisions about a client (disabled, bound to a resource, approved) survive a new document.
    update(db, found.no, &Client { metadata: client.metadata, document: client.document, ..found.client }, metadata)
}

/// Records that a client's document was fetched again and is unchanged.
pub(crate) fn note_age(db: &Connection, tenant: &TenantId, id: &ClientId, age: DocumentAge) -> Result<Update> {
    let Some(found) = find(db, tenant, id)? else { return Ok(Update::NotFound) };
    update(db, found.no, &Client { document: Some(age), ..found.client }, &found.metadata)?;
    Ok(Update::Done)
}

/// Disables or enables a client.
pub(crate) fn set_disabled(db: &Connection, id: &ClientId, disabled: bool, row: &AuditRow) -> Result<Update> {
    let Some(found) = find(db, &row.tenant, id)? else { return Ok(Update::NotFound) };
    if !disabled && !found.client.disabled {
        return Ok(Update::Done);
    }
    update(db, found.no, &Client { disabled, ..found.client }, &found.metadata)?;
    if disabled {
        audit::announce(db, row.at, &Change::ClientDisabled(row.tenant.clone(), id.clone()))?;
    }
    audit::done(db, row)
}

/// Adds a new secret, which becomes the current one; without one, all secrets go.
pub(crate) fn replace_secret(
    db: &Connection,
    id: &ClientId,
    by: Option<SecretRotation>,
    row: &AuditRow,
) -> Result<Update> {
    let Some(found) = find(db, &row.tenant, id)? else { return Ok(Update::NotFound) };
    update_secrets(db, found, |secrets| *secrets = by.map_or_else(Vec::new, |by| by.applied_to(secrets, row.at)))?;
    audit::done(db, row)
}

/// Removes the secrets that have expired by `now`; returns how many clients had one.
pub(super) fn remove_ended_secrets(db: &Connection, now: Timestamp) -> Result<usize> {
    change_secrets(db, "s.until <= ?1", now, |secrets| {
        secrets.retain(|secret| secret.until.is_none_or(|until| now < until));
    })
}

/// Lets secrets that would be valid long after `latest` end at `latest`; returns how many clients had one.
pub(crate) fn shorten_secrets(db: &Connection, latest: Timestamp) -> Result<u64> {
    let bound = latest.plus(AHEAD);
    let changed = change_secrets(db, "s.until > ?1", bound, |secrets| {
        secrets.iter_mut().for_each(|secret| secret.shorten(bound, latest));
    });
    Ok(u64::try_from(changed?).unwrap_or(u64::MAX))
}

/// Changes the secrets of clients of which one secret meets a condition on ?1; returns how many clients.
fn change_secrets(
    db: &Connection,
    condition: &str,
    moment: Timestamp,
    change: impl Fn(&mut Vec<ClientSecretHash>),
) -> Result<usize> {
    let sql = format!(
        "SELECT DISTINCT c.tenant, c.client_id FROM client_secret s JOIN client c ON c.no = s.client_no WHERE {condition}"
    );
    let clients = row::all(db, &sql, [moment], |c| Ok((c.tenant()?, c.client()?)))?;
    for (tenant, id) in &clients {
        let Some(found) = find(db, tenant, id)? else { continue };
        update_secrets(db, found, &change)?;
    }
    Ok(clients.len())
}

fn update_secrets(db: &Connection, found: ClientRow, change: impl FnOnce(&mut Vec<ClientSecretHash>)) -> Result<()> {
    let mut client = found.client;
    change(&mut client.secrets);
    put_secrets(db, found.no, &client)?;
    update(db, found.no, &client, &found.metadata)
}

/// Treats metadata documents fetched after `latest` as fetched at `now` and no longer fresh; returns how many.
pub(super) fn move_documents_back(db: &Connection, latest: Timestamp, now: Timestamp) -> Result<usize> {
    let sql = "SELECT tenant, client_id FROM client WHERE document_fetched_at > ?1";
    let clients = row::all(db, sql, [latest], |c| Ok((c.tenant()?, c.client()?)))?;
    for (tenant, id) in &clients {
        let Some(found) = find(db, tenant, id)? else { continue };
        let document = found.client.document.map(|age| DocumentAge { fetched_at: now, fresh_until: now, ..age });
        update(db, found.no, &Client { document, ..found.client }, &found.metadata)?;
    }
    Ok(clients.len())
}

/// Removes a client with its service account; foreign keys remove its grants, codes, tokens, consents and ephemeral
/// records. If a table of the configuration file gave the id, the name of the service account stays taken.
pub(crate) fn remove(db: &Connection, id: &ClientId, row: &AuditRow) -> Result<Update> {
    let sql = "SELECT c.no, EXISTS (SELECT 1 FROM table_mark WHERE client_no = c.no) FROM client c
        WHERE c.tenant = ?1 AND c.client_id = ?2";
    let found = row::one(db, sql, params![row.tenant, id], |c| Ok((c.no()?, c.flag()?)))?;
    let Some((no, is_of_table)) = found else { return Ok(Update::NotFound) };
    execute_once(db, "DELETE FROM client WHERE no = ?1", [no])?;
    // Looked up first: deleting an account searches all codes, and only clients that were used have a service account.
    let service = "SELECT no FROM account WHERE tenant = ?1 AND subject = ?2 AND kind = 'service'";
    if let Some(no) = row::one(db, service, params![row.tenant, id], |c| c.no())? {
        let reserve = "INSERT OR REPLACE INTO former_name (tenant, name, subject)
            SELECT tenant, name, subject FROM account WHERE no = ?1 AND ?2";
        execute(db, reserve, params![no, is_of_table])?;
        execute_once(db, "DELETE FROM account WHERE no = ?1", [no])?;
    }
    audit::announce(db, row.at, &Change::ClientDeleted(row.tenant.clone(), id.clone()))?;
    audit::done(db, row)
}
