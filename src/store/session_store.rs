//! The part of a store for browser sessions and remembered consent.

use async_trait::async_trait;

use super::{AuditRow, Consent, ConsentKey, EphemeralKey, LoginSession, Result, SessionHash, Update};
use crate::oauth::{Exclusions, TenantId, Timestamp};

/// Adds, finds and ends browser sessions; finds remembered consent.
#[async_trait]
pub trait SessionStore {
    /// Adds a login session and ends the one of the same tenant that it replaces. `Update::NotFound`, with no effect,
    /// if the account is gone or disabled, or its password is not the one set at `password_set_at`: the compared
    /// password may have been replaced meanwhile, and a session must not outlive its password.
    async fn insert_session(
        &self,
        session: LoginSession,
        replaces: Option<SessionHash>,
        password_set_at: Option<Timestamp>,
        audit: AuditRow,
    ) -> Result<Update>;
    /// Finds a session that has not ended and whose account is enabled. Moves its idle end if that changes it by at
    /// least a minute, or a tenth of the idle time if that is less; otherwise only reads, since anybody can cause this
    /// by opening a page.
    async fn touch_session(
        &self,
        tenant: &TenantId,
        hash: &SessionHash,
        now: Timestamp,
    ) -> Result<Option<LoginSession>>;
    /// Ends a session.
    async fn delete_session(&self, hash: &SessionHash, audit: AuditRow) -> Result<Update>;
    /// Ends a pending authorization at `Consent` because its user denied it, and removes what the same user consented
    /// to before.
    async fn deny_interaction(&self, key: &EphemeralKey, denied: &ConsentKey, audit: AuditRow) -> Result<Update>;
    /// Finds remembered consent.
    async fn find_consent(&self, key: &ConsentKey) -> Result<Option<Consent>>;
    /// Finds what a user left out for a client when a code was last added; `None` for nothing. It is kept when grants,
    /// codes and consents end, as long as client and account are in the store.
    async fn find_left_out(&self, key: &ConsentKey) -> Result<Option<Exclusions>>;
}
