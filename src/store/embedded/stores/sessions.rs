//! `SessionStore`: browser sessions, pending authorizations and remembered consent.

use async_trait::async_trait;

use crate::oauth::{AccountId, ClientId, ResourceIndicator, TenantId, Timestamp, TokenHash};
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{accounts, audit, interactions, sessions};
use crate::store::{
    Advance, AuditRow, Consent, Interaction, InteractionStep, LoginSession, PendingLimits, Result, SessionStore,
    Update, limits,
};

#[async_trait]
impl SessionStore for EmbeddedStore {
    async fn insert_session(
        &self,
        session: LoginSession,
        replaces: Option<TokenHash>,
        password_set_at: Option<Timestamp>,
        audit: AuditRow,
    ) -> Result<Update> {
        self.write(move |db| {
            let account = accounts::find(db, &session.tenant, &session.subject)?;
            let Some((account_no, _)) = account.filter(|(_, a)| a.may_sign_in_by(password_set_at)) else {
                return Ok(Update::NotFound);
            };
            if let Some(old) = replaces {
                sessions::end(db, &session.tenant, &old)?;
            }
            sessions::insert(db, &session, account_no)?;
            audit::append(db, &audit)?;
            Ok(Update::Done)
        })
        .await
    }

    async fn touch_session(&self, tenant: &TenantId, hash: &TokenHash, now: Timestamp) -> Result<Option<LoginSession>> {
        let (tenant, hash) = (tenant.clone(), *hash);
        let of = tenant.clone();
        let found = self.read(move |db| sessions::find(db, &of, &hash)).await?;
        let Some(session) = found.filter(|s| s.is_live(now)) else { return Ok(None) };
        if session.touched(now).is_none() {
            return Ok(Some(session));
        }
        // It may have ended, or been used, since it was read.
        self.write(move |db| sessions::touch(db, &tenant, &hash, now)).await
    }

    async fn delete_session(&self, tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Result<Update> {
        let (tenant, hash) = (tenant.clone(), *hash);
        self.write_urgently(EndedBy::of(&audit), move |db| {
            if !sessions::end(db, &tenant, &hash)? {
                return Ok(Update::NotFound);
            }
            audit::append(db, &audit)?;
            Ok(Update::Done)
        })
        .await
    }

    async fn begin_interaction(&self, interaction: Interaction, limits: PendingLimits) -> Result<()> {
        interaction.request.as_deref().map_or(Ok(()), limits::document)?;
        self.write(move |db| interactions::insert(db, &interaction, &limits)).await
    }

    async fn find_interaction(&self, tenant: &TenantId, id: &TokenHash, now: Timestamp) -> Result<Option<Interaction>> {
        let (tenant, id) = (tenant.clone(), *id);
        self.read(move |db| interactions::find(db, &tenant, &id, now)).await
    }

    async fn advance_interaction(
        &self,
        tenant: &TenantId,
        id: &TokenHash,
        advance: Advance,
        limits: PendingLimits,
        now: Timestamp,
    ) -> Result<Update> {
        let (tenant, id) = (tenant.clone(), *id);
        self.write(move |db| match interactions::find(db, &tenant, &id, now)?.filter(|i| i.step == advance.from) {
            Some(interaction) => {
                let limits = (advance.to == InteractionStep::Consent).then_some(&limits);
                interactions::advance(db, &interaction, advance.to, advance.session, limits)
            }
            None => Ok(Update::NotFound),
        })
        .await
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
        let id = *id;
        let (tenant, subject, client, resource) = (tenant.clone(), subject.clone(), client.clone(), resource.clone());
        self.write(move |db| {
            let waiting =
                interactions::find(db, &tenant, &id, audit.at)?.filter(|i| i.step == InteractionStep::Consent);
            let Some(waiting) = waiting else { return Ok(Update::NotFound) };
            let denied = interactions::advance(db, &waiting, InteractionStep::Ended, None, None)?;
            sessions::forget_consent(db, &tenant, &subject, &client, &resource)?;
            audit::append(db, &audit)?;
            Ok(denied)
        })
        .await
    }

    async fn find_consent(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        client: &ClientId,
        resource: &ResourceIndicator,
    ) -> Result<Option<Consent>> {
        let (tenant, subject, client, resource) = (tenant.clone(), subject.clone(), client.clone(), resource.clone());
        self.read(move |db| sessions::find_consent(db, &tenant, &subject, &client, &resource)).await
    }
}
