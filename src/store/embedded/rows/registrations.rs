//! Registrations: finding the client of an equal registration, and making room for a new one.

use std::net::IpAddr;

use rusqlite::{Connection, params};

use super::audit;
use super::clients::{self, COLUMNS, ClientRow, read, registration, remove};
use super::row::{self, execute};
use super::words::origin_word;
use crate::oauth::{Client, ClientId, ClientMetadata, ClientOrigin, Digest, Lifetime, Succession, TenantId, Timestamp};
use crate::store::client_store::CLIENT_SUCCEEDED_AFTER;
use crate::store::clock::borne_out;
use crate::store::record::{CLIENT_SPARED, CLIENTS_LOOKED_AT};
use crate::store::{AuditRow, Insertion, Result, Update};

/// Finds the client of a registration, and when it last registered.
pub(crate) fn find_registered(
    db: &Connection,
    tenant: &TenantId,
    hash: &Digest<ClientMetadata>,
) -> Result<Option<(ClientRow, Timestamp)>> {
    let sql = format!("SELECT {COLUMNS} WHERE tenant = ?1 AND registration = ?2");
    let found = row::one(db, &sql, params![tenant, hash], |c| read(db, c))?;
    // The seal does not cover the hash, and another version may compute it from other members, so the metadata decide.
    let Some(found) = found.filter(|found| registration(&found.client) == Some(*hash)) else { return Ok(None) };
    let registered_at = row::one(db, "SELECT registered_at FROM client WHERE no = ?1", [found.no], |c| c.moment())?;
    Ok(registered_at.map(|registered_at| (found, registered_at)))
}

/// Adds a client, if neither its id nor its registration is taken and there is room for it.
pub(crate) fn insert(db: &Connection, client: &Client, metadata: &str, cap: u64, row: &AuditRow) -> Result<Insertion> {
    let (tenant, origin) = (&client.tenant, client.origin);
    if clients::find(db, tenant, &client.id)?.is_some() {
        return Ok(Insertion::Exists);
    }
    if let Some(hash) = registration(client)
        && find_registered(db, tenant, &hash)?.is_some()
    {
        return Ok(Insertion::Same);
    }
    if origin != ClientOrigin::Manual && !make_room(db, tenant, origin, cap, row.at)? {
        return Ok(Insertion::Full);
    }
    clients::insert(db, client, metadata)?;
    audit::append(db, row)?;
    Ok(Insertion::Inserted)
}

/// Adds a client that registers itself, in the place of unused ones that the same program registered.
pub(crate) fn register(
    db: &Connection,
    client: &Client,
    (metadata, site): (&str, IpAddr),
    cap: u64,
    row: &AuditRow,
) -> Result<Insertion> {
    let succession = client.metadata.succession_hash(site);
    if let Some(hash) = &succession {
        for id in predecessors(db, &client.tenant, hash, row.at)? {
            remove(db, &id, &AuditRow::succeeded_client(&client.tenant, &id, &client.id, row.at))?;
        }
    }
    let inserted = insert(db, client, metadata, cap, row)?;
    if inserted == Insertion::Inserted {
        let sql = "UPDATE client SET succession = ?3 WHERE tenant = ?1 AND client_id = ?2";
        execute(db, sql, params![client.tenant, client.id, succession])?;
    }
    Ok(inserted)
}

/// Returns the clients whose place the same program's new registration takes.
fn predecessors(
    db: &Connection,
    tenant: &TenantId,
    succession: &Digest<Succession>,
    now: Timestamp,
) -> Result<Vec<ClientId>> {
    let sql = "SELECT client_id FROM client c WHERE tenant = ?1 AND succession = ?2 AND status = 'enabled'
            AND last_token_at IS NULL AND last_used_at IS NULL AND created_at < ?3
            AND NOT EXISTS (SELECT 1 FROM grants WHERE client_no = c.no)
            AND NOT EXISTS (SELECT 1 FROM code WHERE client_no = c.no)
            AND NOT EXISTS (SELECT 1 FROM ephemeral WHERE client_no = c.no AND expires_at > ?4)
        ORDER BY no LIMIT ?5";
    let made_before = sure_moment_before(db, now, CLIENT_SUCCEEDED_AFTER)?;
    row::all(db, sql, params![tenant, succession, made_before, now, CLIENTS_LOOKED_AT], |c| c.client())
}

/// Returns the moment that is this long ago. A clock that was set ahead must not remove any client.
fn sure_moment_before(db: &Connection, now: Timestamp, ago: Lifetime) -> Result<i64> {
    let seen = row::one(db, "SELECT seen_at FROM clock WHERE one = 1", [], |c| c.moment())?;
    Ok(row::storable(borne_out(now, seen).as_millis()).saturating_sub(row::storable(ago.as_millis())))
}

/// Records that a client has registered again; returns whether it still exists.
pub(crate) fn note_again(db: &Connection, no: i64, now: Timestamp) -> Result<bool> {
    Ok(execute(db, "UPDATE client SET registered_at = ?2 WHERE no = ?1", params![no, now])? > 0)
}

/// Makes room for one more client of this origin, if needed; returns whether there is room.
fn make_room(db: &Connection, tenant: &TenantId, origin: ClientOrigin, cap: u64, now: Timestamp) -> Result<bool> {
    let count = "SELECT clients FROM client_count WHERE tenant = ?1 AND origin = ?2";
    if row::one(db, count, params![tenant, origin_word(origin)], |c| c.number())?.is_none_or(|count| count < cap) {
        return Ok(true);
    }
    // The number of candidates is bounded, since a stranger can leave codes and sign-ins with many clients.
    let unused = "SELECT client_id FROM (SELECT no, client_id, registered_at FROM client
            WHERE tenant = ?1 AND origin = ?3 AND status = 'enabled' AND last_token_at IS NULL AND registered_at <= ?2
                AND document_source IS NOT 'imported'
            ORDER BY registered_at LIMIT ?4) oldest
        WHERE NOT EXISTS (SELECT 1 FROM grants WHERE client_no = oldest.no)
            AND NOT EXISTS (SELECT 1 FROM code WHERE client_no = oldest.no)
        ORDER BY EXISTS (SELECT 1 FROM ephemeral WHERE client_no = oldest.no), registered_at LIMIT 1";
    let registered_before = sure_moment_before(db, now, CLIENT_SPARED)?;
    match row::one(db, unused, params![tenant, registered_before, origin_word(origin), CLIENTS_LOOKED_AT], |c| {
        c.client()
    })? {
        Some(id) => Ok(remove(db, &id, &AuditRow::unused_client(tenant, &id, now))? == Update::Done),
        None => Ok(false),
    }
}
