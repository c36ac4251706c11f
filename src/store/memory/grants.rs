//! Codes, grants and tokens in memory. The lock takes the place of the transaction.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::super::issuance::{TOKENS_WITH_GRACE, settled};
use super::super::record::is_recent;
use super::super::{
    Advance, AuditRow, Change, CodeEffect, Consent, ConsentKey, EndedActing, Ending, EphemeralHash, EphemeralKey,
    EphemeralKind, EphemeralStep, FoundCode, GrantFilter, GrantStore, IssueToClient, Issued, LoginSession, Recorded,
    RedeemCode, Redemption, RefreshEffect, Result, RotateRefresh, Rotation, Update, UseReport, limits,
};
use super::{MemoryStore, State, prune};
use crate::oauth::{
    AccessTokenRecord, ClientId, CodeHash, CodeRecord, FirstUse, Grant, GrantId, Subject, TenantId, Timestamp,
    TokenHash,
};

impl State {
    /// Records when the client was last issued a token, at most once a minute.
    pub(super) fn issued(&mut self, tenant: &TenantId, id: &ClientId, now: Timestamp) {
        if let Some(client) = self.client_mut(tenant, id).filter(|c| !is_recent(c.last_token_at, now)) {
            client.last_token_at = Some(now);
        }
    }

    /// Removes all but the newest tokens of a grant and those in their grace period, and announces that.
    fn remove_oldest_tokens(&mut self, request: &RotateRefresh) {
        let theirs = |t: &AccessTokenRecord| t.tenant == request.tenant && t.grant == request.grant;
        let newest_first = self.tokens.iter().rev().map(|(_, t)| t).filter(|t| theirs(t));
        let surplus = newest_first.enumerate().filter(|(newer, t)| request.is_surplus(*newer, t.issued_at));
        let surplus: Vec<_> = surplus.map(|(_, t)| t.hash).collect();
        self.tokens.retain(|(_, t)| !surplus.contains(&t.hash));
        for hash in surplus {
            self.announce(request.now, Change::AccessTokenRevoked(request.tenant.clone(), hash));
        }
    }

    fn find_token(&self, tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<AccessTokenRecord> {
        let found = self.tokens.iter().map(|(_, t)| t).find(|t| t.tenant == *tenant && t.hash == *hash);
        found.filter(|t| self.is_live(t, now)).map(|t| self.as_it_stands(t))
    }

    /// Makes the live tokens of a grant's generation void, announces the changes, and returns the hashes.
    fn make_void(&mut self, grant: &Grant, now: Timestamp) -> Vec<TokenHash> {
        let same = |t: &AccessTokenRecord| t.tenant == grant.tenant && t.grant == grant.id;
        let goes = |t: &AccessTokenRecord| same(t) && t.generation == grant.generation && now < t.expires_at;
        let void: Vec<_> = self.tokens.iter().map(|(_, t)| t).filter(|t| goes(t)).cloned().collect();
        self.tokens.retain(|(_, t)| !goes(t));
        for token in &void {
            self.announce(now, Change::AccessTokenRevoked(grant.tenant.clone(), token.hash));
        }
        let hashes = void.iter().map(|t| t.hash).collect();
        self.void.extend(void);
        let surplus = self.void.iter().filter(|t| same(t)).count().saturating_sub(TOKENS_WITH_GRACE.into());
        let mut oldest: Vec<_> = self.void.iter().filter(|t| same(t)).map(|t| (t.expires_at, t.hash)).collect();
        oldest.sort_unstable_by_key(|(end, _)| *end);
        self.void.retain(|t| !oldest.iter().take(surplus).any(|(_, hash)| *hash == t.hash));
        hashes
    }

    fn mark(&mut self, tenant: &TenantId, id: GrantId, generation: u32, first_use: FirstUse) {
        let grant = self.grants.iter_mut().find(|g| g.tenant == *tenant && g.id == id);
        if let Some(grant) = grant.filter(|g| g.takes_mark(generation, first_use)) {
            grant.first_use = first_use;
        }
    }

    /// Marks the generation of an access token as used, if it is the current one.
    fn mark_used(&mut self, tenant: &TenantId, hash: &TokenHash) {
        let found = self.tokens.iter().find(|(_, t)| t.tenant == *tenant && t.hash == *hash);
        if let Some((grant, generation)) = found.map(|(_, t)| (t.grant, t.generation)) {
            self.mark(tenant, grant, generation, FirstUse::Used);
        }
    }

    /// Returns a token with its present value of `reports_use`.
    fn as_it_stands(&self, token: &AccessTokenRecord) -> AccessTokenRecord {
        let grant = self.grant(&token.tenant, token.grant);
        let is_unused = grant.is_some_and(|g| g.takes_mark(token.generation, FirstUse::Used));
        let named = self.account(&token.tenant, token.subject.id());
        let user = named.map_or_else(|| Arc::clone(&token.user), |account| account.name.as_str().into());
        let client = self.client(&token.tenant, &token.client);
        let client_origin = client.map_or(token.client_origin, |client| client.origin);
        let client_limit = client.map_or_else(|| token.client_limit.clone(), |client| client.scope_limit().cloned());
        let now = AccessTokenRecord { reports_use: is_unused, user, client_origin, client_limit, ..token.clone() };
        self.with_groups(now)
    }

    /// Adds the groups of its account to a token.
    pub(super) fn with_groups(&self, token: AccessTokenRecord) -> AccessTokenRecord {
        AccessTokenRecord { groups: self.groups_of(&token.tenant, token.subject.id()), ..token }
    }

    fn put_code(&mut self, code: &CodeRecord) {
        let same = self.codes.iter_mut().filter(|c| c.tenant == code.tenant && c.hash == code.hash);
        same.for_each(|c| *c = code.clone());
    }

    pub(super) fn put_grant(&mut self, grant: &Grant) {
        let same = self.grants.iter_mut().filter(|g| g.tenant == grant.tenant && g.id == grant.id);
        same.for_each(|g| *g = grant.clone());
    }

    /// Adds an issued token and its audit row.
    pub(super) fn add_issued(&mut self, issued: &Issued) {
        self.add_token(AccessTokenRecord::clone(&issued.token));
        issued.audit.iter().for_each(|row| self.record(row.clone()));
    }

    fn add_refreshed(&mut self, request: &RotateRefresh, issued: &Issued) {
        self.add_issued(issued);
        self.remove_oldest_tokens(request);
    }

    /// Remembers what a new code leaves out, and takes it out of what was granted before.
    fn leave_out(&mut self, code: &CodeRecord) {
        let key = ConsentKey::of_code(code);
        self.left_out.retain(|(other, _)| *other != key);
        if code.exclusions.is_empty() {
            return;
        }
        self.left_out.push((key.clone(), code.exclusions.clone()));
        let codes = std::mem::take(&mut self.codes);
        let narrowed = codes.into_iter().filter_map(|other| {
            if other.used_at.is_some() || ConsentKey::of_code(&other) != key {
                return Some(other);
            }
            Some(CodeRecord { exclusions: other.exclusions.union(&code.exclusions)?, ..other })
        });
        self.codes = narrowed.collect();
        let theirs = self.grants.iter().filter(|grant| grant.revoked_at.is_none() && key.is_of(grant));
        let theirs: Vec<Grant> = theirs.cloned().collect();
        for grant in theirs {
            let Some(exclusions) = grant.exclusions.union(&code.exclusions) else {
                self.end_grant(&grant.tenant, grant.id, code.issued_at);
                continue;
            };
            if exclusions == grant.exclusions {
                continue;
            }
            let tokens = self.tokens.iter_mut().map(|(_, token)| token);
            let tokens = tokens.filter(|token| token.tenant == grant.tenant && token.grant == grant.id);
            tokens.for_each(|token| token.exclusions = exclusions.clone());
            self.put_grant(&Grant { exclusions, ..grant });
            self.announce(code.issued_at, Change::AccountGroupsChanged(key.tenant.clone(), key.subject.clone()));
        }
    }

    fn end_by(&mut self, ending: &Ending) {
        self.end_grant(&ending.audit.tenant, ending.grant, ending.audit.at);
        self.record(ending.audit.clone());
    }
}

#[async_trait]
impl GrantStore for MemoryStore {
    async fn insert_code(
        &self,
        code: CodeRecord,
        interaction: EphemeralHash,
        remember: Option<Consent>,
        audit: AuditRow,
    ) -> Result<Update> {
        limits::resource(code.resource.as_str())?;
        let mut state = self.write();
        let key = EphemeralKey { tenant: code.tenant.clone(), kind: EphemeralKind::Interaction, hash: interaction };
        let waiting = state.ephemeral(&key, code.issued_at).filter(|i| i.step == EphemeralStep::Consent);
        let Some(session) = waiting.map(|i| i.session) else { return Ok(Update::NotFound) };
        // A logout or a new password between showing the page and approving it invalidates the approval.
        let same = |s: &LoginSession, hash| s.tenant == code.tenant && s.hash == hash && s.subject == code.subject;
        if session.is_some_and(|hash| !state.sessions.iter().any(|s| same(s, hash))) {
            return Ok(Update::NotFound);
        }
        let is_person = state.account(&code.tenant, &code.subject).is_some_and(|a| a.subject.is_person());
        if !is_person || !state.parties_enabled(&code.tenant, &code.client, &code.subject) {
            return Ok(Update::NotFound);
        }
        if let Some(consent) = &remember {
            let subject = Subject::Person(consent.key.subject.clone());
            state.parties_known(&consent.key.tenant, &consent.key.client, &subject)?;
        }
        state.advance_ephemeral(&key, &Advance::DECIDED, None, code.issued_at)?;
        if let Some(consent) = remember {
            state.consents.retain(|c| c.key != consent.key);
            state.consents.push(consent);
        }
        state.leave_out(&code);
        state.codes.push(code);
        state.done(audit)
    }

    async fn find_code(&self, tenant: &TenantId, hash: &CodeHash) -> Result<Option<CodeRecord>> {
        Ok(self.read().codes.iter().find(|c| c.tenant == *tenant && c.hash == *hash).cloned())
    }

    async fn redeem_code(&self, request: RedeemCode) -> Result<Redemption> {
        let mut state = self.write();
        let code = state.codes.iter().find(|c| c.tenant == request.tenant && c.hash == request.code).cloned();
        let Some(code) = code else { return Ok(Redemption::Unknown) };
        let is_enabled = state.parties_enabled(&code.tenant, &code.client, &code.subject);
        let has_grant = state.grant(&code.tenant, code.grant).is_some_and(|g| g.revoked_at.is_none());
        Ok(match request.decide(&FoundCode { code, is_enabled, has_grant }) {
            CodeEffect::Issue(code, issued) => {
                state.put_code(&code);
                state.grants.push(Grant::clone(&issued.grant));
                state.add_issued(&issued);
                state.issued(&code.tenant, &code.client, request.now);
                Redemption::Redeemed(issued.grant, Box::new(state.with_groups(*issued.token)))
            }
            CodeEffect::Replay(ending) => {
                ending.iter().for_each(|ending| state.end_by(ending));
                Redemption::Replayed(ending.map(|ending| ending.grant))
            }
            CodeEffect::Refuse(refusal, counted) => {
                counted.iter().for_each(|code| state.put_code(code));
                Redemption::Refused(refusal)
            }
        })
    }

    async fn find_grant(&self, tenant: &TenantId, id: GrantId) -> Result<Option<Grant>> {
        Ok(self.read().grant(tenant, id).cloned())
    }

    async fn list_grants(&self, of: &GrantFilter, now: Timestamp) -> Result<Vec<Grant>> {
        let is_meant = |g: &Grant| of.wants(&g.tenant, g.subject.id(), &g.client, &g.resource);
        let wanted = |g: &&Grant| is_meant(g) && g.is_active(now) && now < g.idle_until;
        Ok(self.read().grants.iter().rev().filter(wanted).cloned().collect())
    }

    async fn count_grants(&self, tenant: &TenantId, now: Timestamp) -> Result<Vec<(ClientId, u64)>> {
        let all = GrantFilter::of_tenant(tenant);
        let mut counts = HashMap::<_, u64>::new();
        for grant in self.list_grants(&all, now).await? {
            *counts.entry(grant.client).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }

    async fn rotate_refresh_token(&self, request: RotateRefresh) -> Result<Rotation> {
        let mut state = self.write();
        let Some(grant) = state.grant(&request.tenant, request.grant).cloned() else { return Ok(Rotation::Unknown) };
        let is_enabled = state.parties_enabled(&grant.tenant, &grant.client, grant.subject.id());
        Ok(match request.decide(&grant, is_enabled) {
            RefreshEffect::Rotate(issued) => {
                state.put_grant(&issued.grant);
                state.add_refreshed(&request, &issued);
                state.issued(&grant.tenant, &grant.client, request.now);
                Rotation::Rotated(issued.grant, Box::new(state.with_groups(*issued.token)))
            }
            RefreshEffect::Retry(issued) => {
                state.add_refreshed(&request, &issued);
                Rotation::Retried(issued.grant, Box::new(state.with_groups(*issued.token)))
            }
            RefreshEffect::RetryLate(issued) => {
                let void = state.make_void(&grant, request.now);
                state.put_grant(&issued.grant);
                state.add_refreshed(&request, &issued);
                Rotation::RetriedLate(issued.grant, Box::new(state.with_groups(*issued.token)), void)
            }
            RefreshEffect::Reuse(ending) => {
                state.end_by(&ending);
                Rotation::Reused(ending.grant)
            }
            RefreshEffect::Refuse(refusal) => Rotation::Refused(refusal),
        })
    }

    async fn record_uses(&self, report: UseReport) -> Result<Recorded> {
        let mut state = self.write();
        let mut ended = Vec::new();
        for (tenant, hash) in &report.presented {
            state.mark_used(tenant, hash);
            let void = state.void.iter().find(|t| t.tenant == *tenant && t.hash == *hash && report.now < t.expires_at);
            let Some(grant) = void.and_then(|t| state.grant(tenant, t.grant)).cloned() else { continue };
            if let Some(ending) = Ending::of_void_token(&grant, report.now) {
                state.end_by(&ending);
                ended.push((tenant.clone(), grant.id));
            }
        }
        for (tenant, grant, generation) in &report.issued {
            state.mark(tenant, *grant, *generation, FirstUse::Unused);
        }
        Ok(Recorded { ended, unwritten: None })
    }

    async fn note_activity(&self, uses: &[(TenantId, GrantId, Timestamp)]) -> Result<()> {
        limits::activity(uses.len())?;
        let mut state = self.write();
        for (tenant, id, at) in uses {
            let stands = |g: &&mut Grant| g.tenant == *tenant && g.id == *id && g.revoked_at.is_none();
            let Some(grant) = state.grants.iter_mut().find(stands) else { continue };
            grant.last_used_at = grant.last_used_at.max(Some(*at));
            let client = grant.client.clone();
            if let Some(client) = state.client_mut(tenant, &client).filter(|c| !is_recent(c.last_used_at, *at)) {
                client.last_used_at = Some(*at);
            }
        }
        Ok(())
    }

    async fn insert_operator_token(&self, grant: Grant, token: AccessTokenRecord, audit: AuditRow) -> Result<()> {
        limits::resource(grant.resource.as_str())?;
        let mut state = self.write();
        state.parties_known(&grant.tenant, &grant.client, &grant.subject)?;
        state.issued(&grant.tenant, &grant.client, grant.created_at);
        state.grants.push(settled(grant));
        state.add_token(token);
        state.record(audit);
        Ok(())
    }

    async fn issue_to_client(&self, request: IssueToClient) -> Result<Option<Issued>> {
        self.write().issue_to_client(&request)
    }

    async fn find_access_tokens(
        &self,
        wanted: &[(TenantId, TokenHash)],
        now: Timestamp,
    ) -> Result<Vec<Option<AccessTokenRecord>>> {
        let state = self.read();
        Ok(wanted.iter().map(|(tenant, hash)| state.find_token(tenant, hash, now)).collect())
    }

    async fn find_void_tokens(&self, wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Result<Vec<bool>> {
        let state = self.read();
        let is_void = |(tenant, hash): &(TenantId, TokenHash)| {
            state.void.iter().any(|t| t.tenant == *tenant && t.hash == *hash && now < t.expires_at)
        };
        Ok(wanted.iter().map(is_void).collect())
    }

    async fn live_access_tokens(
        &self,
        after: u64,
        limit: u32,
        now: Timestamp,
    ) -> Result<(Vec<AccessTokenRecord>, Option<u64>)> {
        let state = self.read();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let live = state.tokens.iter().filter(|(n, t)| *n > after && state.is_live(t, now)).take(limit);
        let page: Vec<_> = live.map(|(number, t)| (*number, state.as_it_stands(t))).collect();
        let next = page.last().map(|(number, _)| *number).filter(|_| page.len() == limit);
        Ok((page.into_iter().map(|(_, token)| token).collect(), next))
    }

    async fn revoke_grant(&self, id: GrantId, audit: AuditRow) -> Result<Update> {
        let mut state = self.write();
        state.end_acting(|grant| grant.tenant == audit.tenant && grant.id == id, audit.at);
        if state.end_grant(&audit.tenant, id, audit.at) { state.done(audit) } else { Ok(Update::NotFound) }
    }

    async fn revoke_access_token(&self, hash: &TokenHash, audit: AuditRow) -> Result<Update> {
        let (mut state, tenant) = (self.write(), &audit.tenant);
        // A client that revokes a token must have received it.
        state.mark_used(tenant, hash);
        if prune(&mut state.tokens, |(_, t)| t.tenant != *tenant || t.hash != *hash) == 0 {
            return Ok(Update::NotFound);
        }
        state.announce(audit.at, Change::AccessTokenRevoked(tenant.clone(), *hash));
        state.done(audit)
    }

    async fn revoke_grants(&self, of: &GrantFilter, audit: AuditRow) -> Result<u64> {
        let mut state = self.write();
        let ended = state.end_grants(of, audit.at);
        ended.row(audit).into_iter().for_each(|row| state.record(row));
        Ok(ended.grants)
    }

    async fn list_ended_acting(&self, of: &GrantFilter) -> Result<Vec<EndedActing>> {
        Ok(self.read().list_ended_acting(of))
    }

    async fn resume_acting(&self, of: &GrantFilter, audit: AuditRow) -> Result<u64> {
        let mut state = self.write();
        let lifted =
            prune(&mut state.ended_acting, |ended| !of.wants_parties(&ended.tenant, &ended.subject, &ended.client));
        if lifted > 0 {
            state.record(audit);
        }
        Ok(u64::try_from(lifted).unwrap_or(u64::MAX))
    }
}
