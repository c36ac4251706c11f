//! Browser sessions and remembered consent in memory.

use async_trait::async_trait;

use super::super::{
    AccountStatus, Advance, AuditRow, Consent, ConsentKey, EphemeralKey, LoginSession, Result, SessionHash,
    SessionStore, Update,
};
use super::{MemoryStore, State, prune};
use crate::oauth::{Exclusions, TenantId, Timestamp};

impl State {
    /// Finds a session of an enabled account that has not ended.
    fn live_session(&self, tenant: &TenantId, hash: &SessionHash, now: Timestamp) -> Option<LoginSession> {
        let session = self.sessions.iter().find(|s| s.tenant == *tenant && s.hash == *hash && s.is_live(now))?;
        let account = self.account(&session.tenant, &session.subject)?;
        (account.status == AccountStatus::Enabled).then(|| session.clone())
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn insert_session(
        &self,
        session: LoginSession,
        replaces: Option<SessionHash>,
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
        state.done(audit)
    }

    async fn touch_session(
        &self,
        tenant: &TenantId,
        hash: &SessionHash,
        now: Timestamp,
    ) -> Result<Option<LoginSession>> {
        let Some(session) = self.read().live_session(tenant, hash, now) else { return Ok(None) };
        if session.touched(now).is_none() {
            return Ok(Some(session));
        }
        let mut state = self.write();
        // The session may have ended or been used since it was read.
        let Some(session) = state.live_session(tenant, hash, now) else { return Ok(None) };
        let Some(touched) = session.touched(now) else { return Ok(Some(session)) };
        let same = |s: &&mut LoginSession| s.tenant == *tenant && s.hash == *hash;
        state.sessions.iter_mut().filter(same).for_each(|s| *s = touched.clone());
        Ok(Some(touched))
    }

    async fn delete_session(&self, hash: &SessionHash, audit: AuditRow) -> Result<Update> {
        let mut state = self.write();
        let ended = prune(&mut state.sessions, |s| s.tenant != audit.tenant || s.hash != *hash);
        if ended > 0 { state.done(audit) } else { Ok(Update::NotFound) }
    }

    async fn deny_interaction(&self, key: &EphemeralKey, denied: &ConsentKey, audit: AuditRow) -> Result<Update> {
        let mut state = self.write();
        if state.advance_ephemeral(key, &Advance::DECIDED, None, audit.at)? == Update::NotFound {
            return Ok(Update::NotFound);
        }
        state.consents.retain(|c| c.key != *denied);
        state.done(audit)
    }

    async fn find_consent(&self, key: &ConsentKey) -> Result<Option<Consent>> {
        Ok(self.read().consents.iter().find(|c| c.key == *key).cloned())
    }

    async fn find_left_out(&self, key: &ConsentKey) -> Result<Option<Exclusions>> {
        Ok(self.read().left_out.iter().find(|(other, _)| other == key).map(|(_, exclusions)| exclusions.clone()))
    }
}
