//! What a store does about browser sessions and remembered consent.

use async_trait::async_trait;

use super::{AuditRow, Consent, ConsentKey, EphemeralKey, LoginSession, Result, SessionHash, Update};
use crate::oauth::{TenantId, Timestamp};

/// Browser sessions, remembered consent.
#[async_trait]
pub trait SessionStore {
    /// Adds a login session; the one of the same tenant that it replaces ends. `Update::NotFound`, and nothing is done, when
    /// the account is gone or switched off, or its password is not the one that was set at `password_set_at`: what was
    /// compared may have been replaced meanwhile, and a session must not outlive its password.
    async fn insert_session(
        &self,
        session: LoginSession,
        replaces: Option<SessionHash>,
        password_set_at: Option<Timestamp>,
        audit: AuditRow,
    ) -> Result<Update>;
    /// Finds a session that has not ended and whose account is enabled. Moves its idle end where that moves by a minute, or
    /// by a tenth of the idle time if that is less; otherwise, and for a hash of no such session, only reads: anybody can
    /// ask this as often as they open a page.
    async fn touch_session(
        &self,
        tenant: &TenantId,
        hash: &SessionHash,
        now: Timestamp,
    ) -> Result<Option<LoginSession>>;
    /// Ends a session.
    async fn delete_session(&self, hash: &SessionHash, audit: AuditRow) -> Result<Update>;
    /// Ends a pending authorization at `Consent` because its user denied it, and forgets what the same user consented to before.
    async fn deny_interaction(&self, key: &EphemeralKey, denied: &ConsentKey, audit: AuditRow) -> Result<Update>;
    /// Finds remembered consent.
    async fn find_consent(&self, key: &ConsentKey) -> Result<Option<Consent>>;
}
