//! Browser sessions, pending authorizations and remembered consent in memory.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use async_trait::async_trait;

use super::super::record::{PENDING_AT_MOST, PENDING_PER_CLIENT, PENDING_PER_SOURCE};
use super::super::{
    AccountStatus, AuditRow, Consent, Interaction, InteractionStep, LoginSession, SessionStore, StoreError, Update,
    limits,
};
use super::{MemoryStore, State};
use crate::oauth::{ClientId, ResourceIndicator, Subject, TenantId, Timestamp, TokenHash};

impl State {
    /// Removes the oldest of the source, and of the source that has the most at the client, where there are too many.
    fn make_room_for(&mut self, new: &Interaction) {
        if new.source.is_some() {
            let theirs: Vec<_> = self.places(|i| i.source == new.source);
            if theirs.len() >= usize::try_from(PENDING_PER_SOURCE).unwrap_or(usize::MAX) {
                let has_ended =
                    |place: &&usize| self.interactions.get(**place).is_some_and(|i| i.step == InteractionStep::Ended);
                let goes = theirs.iter().find(has_ended).or_else(|| theirs.first());
                goes.map(|place| self.interactions.remove(*place));
            }
        }
        if new.client.is_some() {
            let at_client = self.places(|i| i.tenant == new.tenant && i.client == new.client);
            if at_client.len() < usize::try_from(PENDING_PER_CLIENT).unwrap_or(usize::MAX) {
                return;
            }
            let mut by_source: HashMap<Option<IpAddr>, Vec<usize>> = HashMap::new();
            for place in at_client {
                by_source.entry(self.interactions.get(place).and_then(|i| i.source)).or_default().push(place);
            }
            let heaviest =
                by_source.into_values().max_by_key(|places| (places.len(), Reverse(places.first().copied())));
            heaviest.and_then(|places| places.first().map(|oldest| self.interactions.remove(*oldest)));
        }
    }

    fn places(&self, is_meant: impl Fn(&Interaction) -> bool) -> Vec<usize> {
        self.interactions.iter().enumerate().filter(|(_, i)| is_meant(i)).map(|(place, _)| place).collect()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert_session(
        &self,
        session: LoginSession,
        replaces: Option<TokenHash>,
        audit: AuditRow,
    ) -> Result<(), StoreError> {
        let mut state = self.write();
        if state.account(&session.tenant, &session.subject).is_none() {
            return Err(StoreError::Conflict("the account is not in the store".to_owned()));
        }
        state.sessions.retain(|s| s.tenant != session.tenant || Some(s.hash) != replaces);
        state.sessions.push(session);
        state.record(audit);
        Ok(())
    }

    async fn touch_session(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<LoginSession>, StoreError> {
        let mut state = self.write();
        let same = |s: &LoginSession| s.tenant == *tenant && s.hash == *hash;
        let found = state.sessions.iter().find(|s| same(s) && s.is_live(now)).cloned();
        let Some(session) = found else { return Ok(None) };
        let account = state.account(&session.tenant, &session.subject);
        if account.is_none_or(|a| a.status != AccountStatus::Enabled) {
            return Ok(None);
        }
        let touched = session.touched(now);
        state.sessions.iter_mut().filter(|s| same(s)).for_each(|s| *s = touched.clone());
        Ok(Some(touched))
    }

    async fn delete_session(&self, tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Result<Update, StoreError> {
        let mut state = self.write();
        let before = state.sessions.len();
        state.sessions.retain(|s| s.tenant != *tenant || s.hash != *hash);
        if state.sessions.len() == before {
            return Ok(Update::NotFound);
        }
        state.record(audit);
        Ok(Update::Done)
    }

    async fn begin_interaction(&self, interaction: Interaction) -> Result<(), StoreError> {
        interaction.request.as_deref().map_or(Ok(()), limits::document)?;
        let mut state = self.write();
        if let Some(client) = &interaction.client
            && state.client(&interaction.tenant, client).is_none()
        {
            return Err(StoreError::Conflict("the client is not in the store".to_owned()));
        }
        state.make_room_for(&interaction);
        state.interactions.push(interaction);
        let surplus = state.interactions.len().saturating_sub(usize::try_from(PENDING_AT_MOST).unwrap_or(usize::MAX));
        state.interactions.drain(..surplus);
        Ok(())
    }

    async fn find_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<Interaction>, StoreError> {
        let mut state = self.read();
        Ok(state.interaction(tenant, id, now).cloned())
    }

    async fn advance_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        expected: InteractionStep,
        next: InteractionStep,
        session: Option<TokenHash>,
        now: Timestamp,
    ) -> Result<Update, StoreError> {
        let mut state = self.write();
        let Some(interaction) = state.interaction(tenant, id, now).filter(|i| i.step == expected) else {
            return Ok(Update::NotFound);
        };
        interaction.step = next;
        interaction.session = session.or(interaction.session);
        Ok(Update::Done)
    }

    async fn deny_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        subject: &Subject,
        client: &ClientId,
        resource: &ResourceIndicator,
        audit: AuditRow,
    ) -> Result<Update, StoreError> {
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
        subject: &Subject,
        client: &ClientId,
        resource: &ResourceIndicator,
    ) -> Result<Option<Consent>, StoreError> {
        let state = self.read();
        let same = |c: &&Consent| {
            c.tenant == *tenant && c.subject == *subject && c.client == *client && c.resource == *resource
        };
        Ok(state.consents.iter().find(same).cloned())
    }
}
