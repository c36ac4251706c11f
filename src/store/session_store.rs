//! What a store does about browser sessions, pending authorizations and remembered consent.

use async_trait::async_trait;

use super::{Advance, AuditRow, Consent, Interaction, LoginSession, PendingLimits, Result, Update};
use crate::oauth::{AccountId, ClientId, ResourceIndicator, TenantId, Timestamp, TokenHash};

/// Browser sessions, pending authorizations, remembered consent.
#[async_trait]
pub trait SessionStore {
    /// Adds a login session; the one of the same tenant that it replaces ends. `Update::NotFound`, and nothing is done, when
    /// the account is gone or switched off, or its password is not the one that was set at `password_set_at`: what was
    /// compared may have been replaced meanwhile, and a session must not outlive its password.
    async fn insert_session(
        &self,
        session: LoginSession,
        replaces: Option<TokenHash>,
        password_set_at: Option<Timestamp>,
        audit: AuditRow,
    ) -> Result<Update>;
    /// Finds a session that has not ended and whose account is enabled. Moves its idle end where that moves by a minute, or
    /// by a tenth of the idle time if that is less; otherwise, and for a hash of no such session, only reads: anybody can
    /// ask this as often as they open a page.
    async fn touch_session(&self, tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Result<Option<LoginSession>>;
    /// Ends a session.
    async fn delete_session(&self, tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Result<Update>;
    /// Starts a pending authorization. Where `limits` leave no room for it, others go: of its host; else of the host that
    /// holds the most at its site; else of the host that holds the most at the site that holds the most. Of a host the
    /// oldest that has ended goes first, then the oldest.
    async fn begin_interaction(&self, interaction: Interaction, limits: PendingLimits) -> Result<()>;
    /// Finds one that has not expired, ended or not.
    async fn find_interaction(&self, tenant: &TenantId, id: &TokenHash, now: Timestamp) -> Result<Option<Interaction>>;
    /// Moves one to its next step (compare and set), binding it to a login session. One that comes to wait for the consent
    /// of a session's user takes its room from that session; others of the session go where `limits` leave none.
    async fn advance_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        advance: Advance,
        limits: PendingLimits,
        now: Timestamp,
    ) -> Result<Update>;
    /// Ends one at `consent` because its user denied it, and forgets what the same user consented to before.
    async fn deny_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        subject: &AccountId,
        client: &ClientId,
        resource: &ResourceIndicator,
        audit: AuditRow,
    ) -> Result<Update>;
    /// Finds remembered consent.
    async fn find_consent(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        client: &ClientId,
        resource: &ResourceIndicator,
    ) -> Result<Option<Consent>>;
}
