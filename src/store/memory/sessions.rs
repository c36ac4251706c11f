//! Browser sessions, pending authorizations and remembered consent in memory.

use std::cmp::Reverse;
use std::collections::HashMap;

use async_trait::async_trait;

use super::super::pending::{Holder, Place};
use super::super::{
    AccountStatus, Advance, AuditRow, Consent, Interaction, InteractionStep, LoginSession, PendingLimits, Result,
    SessionStore, Source, StoreError, Update, limits,
};
use super::{MemoryStore, State};
use crate::oauth::{AccountId, ClientId, ResourceIndicator, TenantId, Timestamp, TokenHash};

impl State {
    /// Removes as many pending authorizations as are too many for one more to stay within its limits.
    fn make_room(&mut self, place: &Place, limits: &PendingLimits) {
        let Place { holder, weight } = *place;
        let at_host = |other: &Holder| *other == holder;
        while self.held_by(&at_host) + weight > holder.limit(limits) && self.remove_first(&at_host) {}
        let at_site = |other: &Holder| other.is_at_site_of(&holder);
        while self.held_by(&at_site) + weight > holder.limit_of_site(limits) && self.remove_of_heaviest(&at_site) {}
        while self.held_by(&|other: &Holder| other.competes_with(&holder)) + weight > limits.in_all {
            let Some(site) = self.heaviest_site(&holder) else { return };
            self.remove_of_heaviest(&|other: &Holder| other.is_at_site_of(&site));
        }
    }

    fn held_by(&self, is_meant: &impl Fn(&Holder) -> bool) -> u64 {
        let places = self.interactions.iter().map(Place::of);
        places.filter(|place| is_meant(&place.holder)).map(|place| place.weight).sum()
    }

    /// Returns a holder at the site that holds the most of those that compete with `holder`.
    fn heaviest_site(&self, holder: &Holder) -> Option<Holder> {
        let of_site = |holder: Holder| match holder {
            Holder::Stranger(source) => Holder::Stranger(Source { host: source.site, ..source }),
            Holder::Session(_) => holder,
        };
        self.heaviest(|other| other.competes_with(holder), of_site)
    }

    /// Returns who holds the most of those that are meant, told apart by `key`; among equals the one that has begun none
    /// for the longest.
    fn heaviest(&self, is_meant: impl Fn(&Holder) -> bool, key: impl Fn(Holder) -> Holder) -> Option<Holder> {
        let mut held: HashMap<Holder, (u64, Reverse<usize>)> = HashMap::new();
        for (no, place) in self.interactions.iter().map(Place::of).enumerate().filter(|(_, p)| is_meant(&p.holder)) {
            let entry = held.entry(key(place.holder)).or_insert((0, Reverse(no)));
            *entry = (entry.0 + place.weight, Reverse(no));
        }
        held.into_iter().max_by_key(|(_, held)| *held).map(|(holder, _)| holder)
    }

    /// Removes one of the host that holds the most of those that are meant; whether there is one.
    fn remove_of_heaviest(&mut self, is_meant: &impl Fn(&Holder) -> bool) -> bool {
        let heaviest = self.heaviest(is_meant, |holder| holder);
        heaviest.is_some_and(|heaviest| self.remove_first(&|other: &Holder| *other == heaviest))
    }

    /// Finds a session that has not ended, of an enabled account.
    fn live_session(&self, tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Option<LoginSession> {
        let session = self.sessions.iter().find(|s| s.tenant == *tenant && s.hash == *hash && s.is_live(now))?;
        let account = self.account(&session.tenant, &session.subject)?;
        (account.status == AccountStatus::Enabled).then(|| session.clone())
    }

    /// Removes the oldest that has ended, else the oldest; whether there is one.
    fn remove_first(&mut self, is_meant: &impl Fn(&Holder) -> bool) -> bool {
        let theirs = self.interactions.iter().enumerate().filter(|(_, i)| is_meant(&Place::of(i).holder));
        let first = theirs.min_by_key(|(no, i)| (i.step != InteractionStep::Ended, *no)).map(|(no, _)| no);
        first.map(|no| self.interactions.remove(no)).is_some()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert_session(
        &self,
        session: LoginSession,
        replaces: Option<TokenHash>,
        password_set_at: Option<Timestamp>,
        audit: AuditRow,
    ) -> Result<Update> {
        let mut state = self.write();
        let account = state.account(&session.tenant, &session.subject);
        if account.is_none_or(|a| !a.may_sign_in_by(password_set_at)) {
            return Ok(Update::NotFound);
        }
        state.sessions.retain(|s| s.tenant != session.tenant || Some(s.hash) != replaces);
        state.sessions.push(session);
        state.record(audit);
        Ok(Update::Done)
    }

    async fn touch_session(&self, tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Result<Option<LoginSession>> {
        let Some(session) = self.read().live_session(tenant, hash, now) else { return Ok(None) };
        if session.touched(now).is_none() {
            return Ok(Some(session));
        }
        let mut state = self.write();
        // It may have ended, or been used, since it was read.
        let Some(session) = state.live_session(tenant, hash, now) else { return Ok(None) };
        let Some(touched) = session.touched(now) else { return Ok(Some(session)) };
        let same = |s: &&mut LoginSession| s.tenant == *tenant && s.hash == *hash;
        state.sessions.iter_mut().filter(same).for_each(|s| *s = touched.clone());
        Ok(Some(touched))
    }

    async fn delete_session(&self, tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Result<Update> {
        let mut state = self.write();
        let before = state.sessions.len();
        state.sessions.retain(|s| s.tenant != *tenant || s.hash != *hash);
        if state.sessions.len() == before {
            return Ok(Update::NotFound);
        }
        state.record(audit);
        Ok(Update::Done)
    }

    async fn begin_interaction(&self, interaction: Interaction, limits: PendingLimits) -> Result<()> {
        interaction.request.as_deref().map_or(Ok(()), limits::document)?;
        let mut state = self.write();
        if let Some(client) = &interaction.client
            && state.client(&interaction.tenant, client).is_none()
        {
            return Err(StoreError::Conflict("the client is not in the store".to_owned()));
        }
        state.make_room(&Place::of(&interaction), &limits);
        state.interactions.push(interaction);
        Ok(())
    }

    async fn find_interaction(&self, tenant: &TenantId, id: &TokenHash, now: Timestamp) -> Result<Option<Interaction>> {
        let mut state = self.read();
        Ok(state.interaction(tenant, id, now).cloned())
    }

    async fn advance_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        advance: Advance,
        limits: PendingLimits,
        now: Timestamp,
    ) -> Result<Update> {
        let mut state = self.write();
        let waiting = |state: &mut State| {
            state.interaction(tenant, id, now).filter(|i| i.step == advance.from).map(|i| i.clone())
        };
        let Some(interaction) = waiting(&mut state) else { return Ok(Update::NotFound) };
        let session = advance.session.or(interaction.session);
        let moved = Interaction { step: advance.to, session, ..interaction.clone() };
        let place = Place::of(&moved);
        if advance.to == InteractionStep::Consent && place.holder != Place::of(&interaction).holder {
            state.make_room(&place, &limits);
        }
        // It may have been in the way itself.
        let Some(interaction) = state.interaction(tenant, id, now) else { return Ok(Update::NotFound) };
        *interaction = moved;
        Ok(Update::Done)
    }

    async fn deny_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        subject: &AccountId,
        client: &ClientId,
        resource: &ResourceIndicator,
        audit: AuditRow,
    ) -> Result<Update> {
        let mut state = self.write();
        let waiting = state.interaction(tenant, id, audit.at).filter(|i| i.step == InteractionStep::Consent);
        let Some(waiting) = waiting else { return Ok(Update::NotFound) };
        waiting.step = InteractionStep::Ended;
        state.forget_consent(tenant, subject, client, resource);
        state.record(audit);
        Ok(Update::Done)
    }

    async fn find_consent(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        client: &ClientId,
        resource: &ResourceIndicator,
    ) -> Result<Option<Consent>> {
        let state = self.read();
        let same = |c: &&Consent| {
            c.tenant == *tenant && c.subject == *subject && c.client == *client && c.resource == *resource
        };
        Ok(state.consents.iter().find(same).cloned())
    }
}
