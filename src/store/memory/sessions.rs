//! Browser sessions, pending authorizations and remembered consent in memory.

use async_trait::async_trait;

use super::super::record::PENDING_AT_MOST;
use super::super::{
    AccountStatus, AuditRow, Consent, Interaction, InteractionStep, LoginSession, SessionStore, StoreError, Update,
    limits,
};
use super::MemoryStore;
use crate::oauth::{ClientId, ResourceIndicator, Subject, TenantId, Timestamp, TokenHash};

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
