//! Sweeping and figures of the store in memory.

use std::net::IpAddr;
use std::path::Path;

use async_trait::async_trait;

use super::super::client_store::CLIENT_SUCCEEDED_AFTER;
use super::super::clock::borne_out;
use super::super::record::{
    CHANGE_KEPT, CLIENT_KEPT_UNUSED, CLIENT_SPARED, CLIENTS_LOOKED_AT, LOGIN_FAILURES_KEPT, QUOTA_DAY,
    REVOKED_GRANT_KEPT,
};
use super::super::{AuditRow, Ephemeral, Insertion, Result, StoreError, StoreStats, Upkeep};
use super::{MemoryStore, State, prune};
use crate::oauth::{Client, ClientOrigin, DocumentSource, Lifetime, TenantId, Timestamp};

impl State {
    /// Returns when a client last registered.
    fn registered_at(&self, client: &Client) -> Timestamp {
        let again = self.registered_again.get(&(client.tenant.clone(), client.id.clone()));
        again.copied().unwrap_or(client.created_at)
    }

    fn has_grants(&self, client: &Client) -> bool {
        self.grants.iter().any(|g| g.tenant == client.tenant && g.client == client.id)
            || self.codes.iter().any(|c| c.tenant == client.tenant && c.client == client.id)
    }

    fn has_pending(&self, client: &Client) -> bool {
        self.ephemerals.iter().any(|i| i.key.tenant == client.tenant && i.client.as_ref() == Some(&client.id))
    }

    /// Returns whether a client that registered itself may be removed: unused for long, and nothing depends on it.
    fn is_abandoned(&self, client: &Client, now: Timestamp, unused_client_after: Lifetime) -> bool {
        let registered_at = self.registered_at(client);
        let forgotten_at = match client.last_token_at {
            Some(used) => used.max(registered_at).plus(CLIENT_KEPT_UNUSED),
            None => registered_at.plus(unused_client_after),
        };
        client.origin != ClientOrigin::Manual
            && !client.disabled
            && !is_imported(client)
            && forgotten_at <= now
            && !self.has_grants(client)
            && !self.has_pending(client)
    }

    /// Makes room for one more client, if needed; returns whether there is room.
    pub(super) fn make_room_for_client(
        &mut self,
        tenant: &TenantId,
        origin: ClientOrigin,
        cap: u64,
        now: Timestamp,
    ) -> bool {
        let alike = |c: &&Client| c.tenant == *tenant && c.origin == origin;
        if u64::try_from(self.clients.iter().filter(alike).count()).is_ok_and(|count| count < cap) {
            return true;
        }
        // A clock that was set ahead must not remove any client.
        let sure = borne_out(now, self.clock.map(|note| note.seen_at));
        let unused =
            |c: &&Client| c.last_token_at.is_none() && !c.disabled && self.registered_at(c).plus(CLIENT_SPARED) <= sure;
        let unused = |c: &&Client| unused(c) && !is_imported(c);
        let mut unused: Vec<_> = self.clients.iter().filter(alike).filter(unused).collect();
        unused.sort_by_key(|c| self.registered_at(c));
        unused.truncate(usize::try_from(CLIENTS_LOOKED_AT).unwrap_or(usize::MAX));
        unused.retain(|c| !self.has_grants(c));
        let Some(id) = unused.into_iter().min_by_key(|c| self.has_pending(c)).map(|c| c.id.clone()) else {
            return false;
        };
        self.remove_client(tenant, &id, now);
        self.record(AuditRow::unused_client(tenant, &id, now));
        true
    }

    /// Adds a client that registers itself, in the place of unused ones that the same program registered.
    pub(super) fn register_client(
        &mut self,
        client: Client,
        site: IpAddr,
        cap: u64,
        audit: AuditRow,
    ) -> Result<Insertion> {
        let (tenant, id, now) = (client.tenant.clone(), client.id.clone(), audit.at);
        let succession = client.metadata.succession_hash(site);
        let sure = borne_out(now, self.clock.map(|note| note.seen_at));
        let has_place = |c: &&Client| {
            let own = self.successions.get(&(c.tenant.clone(), c.id.clone()));
            let pending =
                |e: &Ephemeral| e.key.tenant == tenant && e.client.as_ref() == Some(&c.id) && now < e.expires_at;
            c.tenant == tenant
                && succession.is_some()
                && own == succession.as_ref()
                && !c.disabled
                && c.last_token_at.is_none()
                && c.last_used_at.is_none()
                && c.created_at.plus(CLIENT_SUCCEEDED_AFTER) < sure
                && !self.has_grants(c)
                && !self.ephemerals.iter().any(pending)
        };
        let most = usize::try_from(CLIENTS_LOOKED_AT).unwrap_or(usize::MAX);
        let gone: Vec<_> = self.clients.iter().filter(has_place).take(most).map(|c| c.id.clone()).collect();
        for predecessor in gone {
            self.remove_client(&tenant, &predecessor, now);
            self.record(AuditRow::succeeded_client(&tenant, &predecessor, &id, now));
        }
        let inserted = self.insert_client(client, cap, audit)?;
        if let Some(hash) = succession.filter(|_| inserted == Insertion::Inserted) {
            self.successions.insert((tenant, id), hash);
        }
        Ok(inserted)
    }

    fn remove_abandoned(&mut self, now: Timestamp, unused_client_after: Lifetime) -> usize {
        let abandoned = self.clients.iter().filter(|c| self.is_abandoned(c, now, unused_client_after));
        let abandoned: Vec<_> = abandoned.map(|c| (c.tenant.clone(), c.id.clone())).collect();
        for (tenant, id) in &abandoned {
            self.remove_client(tenant, id, now);
            self.record(AuditRow::unused_client(tenant, id, now));
        }
        abandoned.len()
    }
}

/// Returns whether an operator imported the document that describes a client.
fn is_imported(client: &Client) -> bool {
    client.document.is_some_and(|age| age.source == DocumentSource::Imported)
}

#[async_trait]
impl Upkeep for MemoryStore {
    async fn sweep(&self, now: Timestamp, unused_client_after: Lifetime) -> Result<u64> {
        let mut state = self.write();
        let state = &mut *state;
        let mut gone = prune(&mut state.tokens, |(_, t)| now < t.expires_at);
        gone += prune(&mut state.void, |t| now < t.expires_at);
        gone += prune(&mut state.codes, |c| c.used_at.is_some() || now < c.expires_at);
        let ended: Vec<_> = state
            .grants
            .iter()
            .filter(|g| g.idle_until <= now || g.revoked_at.is_some_and(|at| at.plus(REVOKED_GRANT_KEPT) <= now))
            .map(|g| (g.tenant.clone(), g.id))
            .collect();
        let has_ended = |tenant: &TenantId, id| ended.iter().any(|(t, ended)| t == tenant && *ended == id);
        gone += prune(&mut state.grants, |g| !has_ended(&g.tenant, g.id));
        // ST-18: a used code lives as long as its grant, so that its replay is recognised.
        state.codes.retain(|c| c.used_at.is_none() || !has_ended(&c.tenant, c.grant));
        gone += prune(&mut state.ephemerals, |i| now < i.expires_at);
        gone += prune(&mut state.sessions, |s| s.is_live(now));
        gone += prune(&mut state.links, |l| now < l.expires_at);
        gone += prune(&mut state.consents, |c| now < c.expires_at);
        let counts = state.quotas.len();
        state.quotas.retain(|(_, day, _), _| now < day.plus(QUOTA_DAY));
        gone += counts - state.quotas.len();
        gone += prune(&mut state.changes, |(_, at, _)| now < at.plus(CHANGE_KEPT));
        gone += prune(&mut state.login_failures, |(.., last)| now < last.plus(LOGIN_FAILURES_KEPT));
        gone += state.remove_abandoned(now, unused_client_after);
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    async fn backup(&self, _to: &Path) -> Result<()> {
        Err(StoreError::Unavailable("a store in memory has no file to copy".to_owned()))
    }

    fn stats(&self) -> StoreStats {
        let operations = self.read().operations;
        StoreStats { commits: operations, operations, ..StoreStats::default() }
    }

    async fn check(&self) -> Result<Vec<String>> {
        let state = self.read();
        let orphans = state.tokens.iter().filter(|(_, t)| state.grant(&t.tenant, t.grant).is_none());
        Ok(orphans.map(|(number, _)| format!("access token {number} has no grant")).collect())
    }
}
