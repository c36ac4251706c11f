//! `SessionStore`: browser sessions and remembered consent.

use async_trait::async_trait;

use crate::oauth::{AccountId, ClientId, ResourceIndicator, TenantId, Timestamp};
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{accounts, audit, ephemeral, sessions};
use crate::store::{Advance, AuditRow, Consent, EphemeralKey, LoginSession, Result, SessionHash, SessionStore, Update};

#[async_trait]
impl SessionStore for EmbeddedStore {
    async fn insert_session(
        &self,
        session: LoginSession,
        replaces: Option<SessionHash>,
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

    async fn touch_session(
        &self,
        tenant: &TenantId,
        hash: &SessionHash,
        now: Timestamp,
    ) -> Result<Option<LoginSession>> {
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

    async fn delete_session(&self, tenant: &TenantId, hash: &SessionHash, audit: AuditRow) -> Result<Update> {
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

    async fn deny_interaction(
        &self,
        key: &EphemeralKey,
        subject: &AccountId,
        client: &ClientId,
        resource: &ResourceIndicator,
        audit: AuditRow,
    ) -> Result<Update> {
        let (key, subject, client, resource) = (key.clone(), subject.clone(), client.clone(), resource.clone());
        self.write(move |db| {
            if ephemeral::advance(db, &key, &Advance::DECIDED, None, audit.at)? == Update::NotFound {
                return Ok(Update::NotFound);
            }
            sessions::forget_consent(db, &key.tenant, &subject, &client, &resource)?;
            audit::append(db, &audit)?;
            Ok(Update::Done)
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
