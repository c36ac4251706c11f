//! The account page, and signing out everywhere.

use crate::issuer::audit::OrUnavailable;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{AccountView, AuthorizeRejection, EndedApp, FailedLogins, IssuerRequest, OwnGrants, OwnKeyView};
use crate::oauth::{ClientId, Grant};
use crate::store::{AuditEvent, AuditRow, EndedActing, GrantFilter, LoginSession, Update};

impl IssuerRequest<'_> {
    /// Returns the content of the account page for a session; `None` when the session is not valid.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn account(&self, session: &str) -> Result<Option<AccountView>, AuthorizeRejection> {
        let Some(session) = self.live_session(Some(session)).await? else { return Ok(None) };
        let found = self.services.store.find_account(&self.tenant, &session.subject).await;
        let Some(account) = found.or_unavailable(self).await? else { return Ok(None) };
        let theirs = GrantFilter::of_account(&self.tenant, &session.subject);
        let grants = self.services.store.list_grants(&theirs, self.now()).await;
        let (keys, grants): (Vec<_>, Vec<_>) =
            grants.or_unavailable(self).await?.into_iter().partition(|grant| grant.key.is_some());
        let apps = self.applications(&account, grants).await?;
        let mut ended = Vec::new();
        for EndedActing { client, at, .. } in
            self.services.store.list_ended_acting(&theirs).await.or_unavailable(self).await?
        {
            let client_name = self.client_name(&client).await?;
            ended.push(EndedApp { client, client_name, since: at });
        }
        let keys = keys.into_iter().filter_map(|grant| self.own_key(grant)).collect();
        let key_offers = self.key_offers(&account).await?;
        let activity = self.activity(&session.subject).await?;
        let (name, failed_logins) = (account.name.to_string(), self.failed_logins(&session));
        Ok(Some(AccountView { name, failed_logins, apps, ended, keys, key_offers, activity }))
    }

    /// Ends a session and those of all applications of its user. If the applications can be disconnected but that
    /// cannot be stored, the session ends too; if they cannot be disconnected at all, it does not.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn log_out_with_applications(&self, session: &str) -> Result<(), AuthorizeRejection> {
        let Some(live) = self.live_session(Some(session)).await? else { return Ok(()) };
        let ended = self.revoke_applications(&live.subject, OwnGrants::Applications).await;
        match ended {
            Ok(_) | Err(StoreFailed::NotStored) => self.log_out(session).await?,
            Err(StoreFailed::Unavailable) => {}
        }
        Ok(ended.map(drop)?)
    }

    /// Lets a client act for the user again, after that was ended; `false` when there is nothing to lift.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn resume_own_acting(&self, session: &str, client: &ClientId) -> Result<bool, AuthorizeRejection> {
        let Some(session) = self.live_session(Some(session)).await? else { return Ok(false) };
        let of =
            GrantFilter { client: Some(client.clone()), ..GrantFilter::of_account(&self.tenant, &session.subject) };
        let row = self.audit_by(&session.subject, AuditEvent::ActingResumed);
        let row = AuditRow { client: Some(client.clone()), ..row };
        Ok(self.services.store.resume_acting(&of, row).await.or_unavailable(self).await? > 0)
    }

    /// Ends all of the user's browser sessions, this one included, and all grants of applications (RT-14); `false` when
    /// nobody is logged in.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn sign_out_everywhere(&self, session: &str) -> Result<bool, AuthorizeRejection> {
        let Some(session) = self.live_session(Some(session)).await? else { return Ok(false) };
        let row = self.audit_by(&session.subject, AuditEvent::SignedOutEverywhere);
        let theirs = GrantFilter::of_account(&self.tenant, &session.subject);
        let done = self.services.store.revoke_grants(&theirs, row).await;
        let revoked = done.or_unavailable(self).await?;
        self.cache.forget_subject(&self.tenant, &session.subject);
        (0..revoked).for_each(|_| self.count_revocation(Update::Done));
        Ok(true)
    }

    /// Returns the failed logins to show to the owner of a session, if they were enough to pause password login
    /// (LI-02).
    pub(in crate::issuer) fn failed_logins(&self, session: &LoginSession) -> Option<FailedLogins> {
        let enough = self.policy.config.rates.login_pause_failures;
        let failed = session.failed_before.map(|(count, last)| FailedLogins { count, last });
        failed.filter(|failed| failed.count >= enough)
    }

    fn own_key(&self, grant: Grant) -> Option<OwnKeyView> {
        let (resource_name, scopes) = self.named(&grant.resource, &grant.scopes);
        let until = grant.end();
        let key = grant.key?;
        Some(OwnKeyView {
            grant: grant.id,
            name: key.name,
            hint: key.hint,
            resource_name,
            scopes,
            addresses: key.addresses.to_stored(),
            since: grant.created_at,
            last_used: grant.last_used_at,
            until,
        })
    }
}
