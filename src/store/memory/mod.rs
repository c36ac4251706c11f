//! The model: a store in memory behind one lock, whose behaviour every other store must match.
//!
//! It is the executable specification of the contract suite and serves the tests of the modules above. It keeps plain
//! lists and scans them, because it must above all be obviously correct; it is not for production. Start with `State`,
//! then `grants.rs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use super::outcome::Ended;
use super::{
    Account, AccountStatus, AuditRow, Change, ClockNote, Consent, ConsentKey, EndedActing, Ephemeral, GrantFilter,
    LinkHash, LoginPlace, LoginSession, MadeByTable, Quota, Result, SetupLink, Store, StoreError, StoredCatalogue,
    TableMark, Update, limits,
};
use crate::oauth::{
    AccessTokenRecord, AccountId, Client, ClientId, CodeRecord, Digest, Exclusions, Grant, GrantId, GroupName,
    LoginName, LoginNameHash, Subject, Succession, TenantId, Timestamp,
};
use crate::sync::lock;

mod accounts;
mod audit;
mod catalogue;
mod change_log;
mod client_tokens;
mod clients;
mod clock;
mod ephemeral;
mod grants;
mod groups;
mod keys;
mod logins;
mod quotas;
mod sessions;
mod tables;
mod upkeep;

/// A store that forgets everything with the process.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryStore(..)")
    }
}

/// All tables, each in the order of insertion.
#[derive(Clone, Default)]
struct State {
    clients: Vec<Client>,
    /// When each client last registered again.
    registered_again: HashMap<(TenantId, ClientId), Timestamp>,
    /// Of confidential clients that registered themselves and were not changed: by what a new registration of the same
    /// program is recognised.
    successions: HashMap<(TenantId, ClientId), Digest<Succession>>,
    accounts: Vec<Account>,
    /// Former login names, each with the account that had it.
    former_names: Vec<(TenantId, LoginName, AccountId)>,
    /// What tables of the configuration file have made.
    marks: Vec<(TenantId, TableMark)>,
    /// Tenant, group and member of each membership.
    members: Vec<(TenantId, GroupName, AccountId)>,
    codes: Vec<CodeRecord>,
    grants: Vec<Grant>,
    /// Which clients may no longer act for whom.
    ended_acting: Vec<EndedActing>,
    /// Each with its number, from 1.
    tokens: Vec<(u64, AccessTokenRecord)>,
    last_token: u64,
    /// Access tokens issued with a lost answer.
    void: Vec<AccessTokenRecord>,
    consents: Vec<Consent>,
    /// What users left out for clients.
    left_out: Vec<(ConsentKey, Exclusions)>,
    sessions: Vec<LoginSession>,
    ephemerals: Vec<Ephemeral>,
    /// Tenant, account, place and time of each last login, in the order of these times.
    places: Vec<(TenantId, AccountId, LoginPlace, Timestamp)>,
    /// Consecutive failures of each login name, and the time of the last.
    login_failures: Vec<(TenantId, LoginNameHash, u32, Timestamp)>,
    links: Vec<SetupLink>,
    /// Each with its number, from 1.
    audit: Vec<(u64, AuditRow)>,
    changes: Vec<(u64, Timestamp, Change)>,
    last_change: u64,
    clock: Option<ClockNote>,
    /// By tenant and upstream.
    catalogues: HashMap<(TenantId, String), StoredCatalogue>,
    /// By quota, day, and holder as it is stored.
    quotas: BTreeMap<(Quota, Timestamp, String), u64>,
    /// The number of operations so far, which is also the change mark.
    operations: u64,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn write(&self) -> MutexGuard<'_, State> {
        let mut state = self.read();
        state.operations += 1;
        state
    }
}

impl Store for MemoryStore {}

/// Removes the rows for which `keep` is false; returns how many.
fn prune<T>(rows: &mut Vec<T>, keep: impl FnMut(&T) -> bool) -> usize {
    let before = rows.len();
    rows.retain(keep);
    before - rows.len()
}

impl State {
    fn record(&mut self, row: AuditRow) {
        let number = self.audit.last().map_or(1, |(newest, _)| newest + 1);
        self.audit.push((number, limits::audit(row)));
    }

    /// Records a change to something that was found, and answers that it was done.
    fn done(&mut self, row: AuditRow) -> Result<Update> {
        self.record(row);
        Ok(Update::Done)
    }

    fn announce(&mut self, at: Timestamp, change: Change) {
        self.last_change += 1;
        self.changes.push((self.last_change, at, change));
    }

    fn client(&self, tenant: &TenantId, id: &ClientId) -> Option<&Client> {
        self.clients.iter().find(|c| c.tenant == *tenant && c.id == *id)
    }

    fn client_mut(&mut self, tenant: &TenantId, id: &ClientId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|c| c.tenant == *tenant && c.id == *id)
    }

    fn account(&self, tenant: &TenantId, subject: &AccountId) -> Option<&Account> {
        self.accounts.iter().find(|a| a.tenant == *tenant && a.subject.id() == subject)
    }

    fn grant(&self, tenant: &TenantId, id: GrantId) -> Option<&Grant> {
        self.grants.iter().find(|g| g.tenant == *tenant && g.id == id)
    }

    /// Returns whether both parties of a grant or code are enabled.
    fn parties_enabled(&self, tenant: &TenantId, client: &ClientId, subject: &AccountId) -> bool {
        self.client(tenant, client).is_some_and(|c| !c.disabled)
            && self.account(tenant, subject).is_some_and(|a| a.status == AccountStatus::Enabled)
    }

    /// Checks that both parties of a new grant, code or consent exist (other stores use a foreign key).
    fn parties_known(&self, tenant: &TenantId, client: &ClientId, subject: &Subject) -> Result<()> {
        let account = self.account(tenant, subject.id()).filter(|a| a.subject == *subject);
        match (self.client(tenant, client), account) {
            (Some(_), Some(_)) => Ok(()),
            (None, _) => Err(StoreError::Conflict("the client is not in the store".to_owned())),
            (_, None) => Err(StoreError::Conflict("the account is not in the store".to_owned())),
        }
    }

    fn add_token(&mut self, token: AccessTokenRecord) {
        self.last_token += 1;
        self.tokens.push((self.last_token, token));
    }

    /// Returns whether `/mcp` may accept the token.
    fn is_live(&self, token: &AccessTokenRecord, now: Timestamp) -> bool {
        now < token.expires_at
            && self.grant(&token.tenant, token.grant).is_some_and(|g| g.is_active(now))
            && self.parties_enabled(&token.tenant, &token.client, token.subject.id())
    }

    /// Marks a grant as revoked and removes its tokens; returns whether it was unrevoked. The row stays for a while, so
    /// that reuse of its code and refresh tokens is still recognised.
    fn end_grant(&mut self, tenant: &TenantId, id: GrantId, at: Timestamp) -> bool {
        let stood = self.grants.iter_mut().find(|g| g.tenant == *tenant && g.id == id && g.revoked_at.is_none());
        let Some(grant) = stood else { return false };
        grant.revoked_at = Some(at);
        let (subject, client, resource) = (grant.subject.id().clone(), grant.client.clone(), grant.resource.clone());
        let key = ConsentKey { tenant: tenant.clone(), subject, client, resource };
        self.consents.retain(|c| c.key != key);
        self.tokens.retain(|(_, t)| t.tenant != *tenant || t.grant != id);
        self.void.retain(|t| t.tenant != *tenant || t.grant != id);
        self.announce(at, Change::GrantRevoked(tenant.clone(), id));
        true
    }

    /// Ends all grants that match a filter, and removes the codes and consents that would become grants; signs browsers
    /// out if the filter says so.
    fn end_grants(&mut self, of: &GrantFilter, at: Timestamp) -> Ended {
        let is_code = |c: &CodeRecord| of.wants(&c.tenant, &c.subject, &c.client, &c.resource);
        let mut others = prune(&mut self.codes, |c| c.used_at.is_some() || !is_code(c));
        let is_consent = |key: &ConsentKey| of.wants(&key.tenant, &key.subject, &key.client, &key.resource);
        others += prune(&mut self.consents, |c| !is_consent(&c.key));
        if of.ends_browser_sessions() {
            let is_theirs = |s: &LoginSession| of.subject.as_ref().is_none_or(|subject| *subject == s.subject);
            others += prune(&mut self.sessions, |s| s.tenant != of.tenant || !is_theirs(s));
        }
        let meant = self.grants.iter().filter(|g| of.wants(&g.tenant, g.subject.id(), &g.client, &g.resource));
        let meant: Vec<_> = meant.map(|g| g.id).collect();
        if of.subject.is_some() {
            self.end_acting(|g| of.wants(&g.tenant, g.subject.id(), &g.client, &g.resource), at);
        }
        let mut grants = 0;
        for id in meant {
            grants += u64::from(self.end_grant(&of.tenant, id, at));
        }
        Ended { grants, anything: grants > 0 || others > 0 }
    }

    /// Ends everything that a person's password has opened: sessions, set-password links, grants and codes.
    fn end_access(&mut self, tenant: &TenantId, subject: &AccountId, at: Timestamp) {
        self.links.retain(|l| l.tenant != *tenant || l.subject != *subject);
        self.end_grants(&GrantFilter::of_account(tenant, subject), at);
    }

    /// Removes a client and everything that depends on it.
    fn remove_client(&mut self, tenant: &TenantId, id: &ClientId, at: Timestamp) {
        let other = |t: &TenantId, c: &ClientId| t != tenant || c != id;
        self.clients.retain(|c| other(&c.tenant, &c.id));
        self.registered_again.retain(|(t, c), _| other(t, c));
        self.successions.retain(|(t, c), _| other(t, c));
        self.codes.retain(|c| other(&c.tenant, &c.client));
        self.tokens.retain(|(_, t)| other(&t.tenant, &t.client));
        self.void.retain(|t| other(&t.tenant, &t.client));
        self.grants.retain(|g| other(&g.tenant, &g.client));
        self.consents.retain(|c| other(&c.key.tenant, &c.key.client));
        self.left_out.retain(|(key, _)| other(&key.tenant, &key.client));
        self.ended_acting.retain(|ended| other(&ended.tenant, &ended.client));
        self.ephemerals.retain(|e| e.client.as_ref().is_none_or(|c| other(&e.key.tenant, c)));
        let own = |a: &Account| !a.subject.is_person() && a.tenant == *tenant && a.subject.as_str() == id.as_str();
        if self.unmark(tenant, &MadeByTable::Client(id.clone())) {
            // The file may have given the id, so the name of the service account stays taken.
            let service = self.accounts.iter().find(|account| own(account)).cloned();
            service.iter().for_each(|service| self.reserve_name(service));
        }
        self.accounts.retain(|account| !own(account));
        self.announce(at, Change::ClientDeleted(tenant.clone(), id.clone()));
    }

    fn link(&self, tenant: &TenantId, hash: &LinkHash, now: Timestamp) -> Option<SetupLink> {
        self.links.iter().find(|l| l.tenant == *tenant && l.hash == *hash && now < l.expires_at).cloned()
    }
}
