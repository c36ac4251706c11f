//! The account page: the applications that a user has connected, and how the user ends their access.

use std::collections::HashMap;

use crate::issuer::audit::OrUnavailable;
use crate::issuer::{AccountView, AuthorizeRejection, ConnectedApp, EndedApp, FailedLogins, IssuerRequest, OwnKeyView};
use crate::oauth::{Client, ClientId, Grant, GrantId};
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
        let ended = self.services.store.list_ended_acting(&theirs).await.or_unavailable(self).await?;
        let mut names: HashMap<ClientId, String> = HashMap::new();
        let (keys, grants): (Vec<_>, Vec<_>) =
            grants.or_unavailable(self).await?.into_iter().partition(|grant| grant.key.is_some());
        let mut apps = Vec::new();
        for id in grants.iter().map(|grant| &grant.client).chain(ended.iter().map(|ended| &ended.client)) {
            if !names.contains_key(id) {
                let client = self.services.store.find_client(&self.tenant, id).await.or_unavailable(self).await?;
                names.insert(id.clone(), client.map_or_else(|| id.as_str().to_owned(), shown_name));
            }
        }
        let name_of = |id: &ClientId| names.get(id).cloned().unwrap_or_default();
        for grant in grants {
            let name = name_of(&grant.client);
            apps.push(self.connected_app(grant, name));
        }
        let ended = ended.into_iter().map(|EndedActing { client, at, .. }| {
            let client_name = name_of(&client);
            EndedApp { client, client_name, since: at }
        });
        let ended = ended.collect();
        let keys = keys.into_iter().filter_map(|grant| self.own_key(grant)).collect();
        let key_offers = self.key_offers(&account).await?;
        let (name, failed_logins) = (account.name.to_string(), self.failed_logins(&session));
        Ok(Some(AccountView { name, failed_logins, apps, ended, keys, key_offers }))
    }

    /// Revokes one of the user's own grants (CN-20); `false` when it is not theirs or has already ended.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn revoke_own_grant(&self, session: &str, grant: GrantId) -> Result<bool, AuthorizeRejection> {
        let Some(session) = self.live_session(Some(session)).await? else { return Ok(false) };
        let found = self.services.store.find_grant(&self.tenant, grant).await.or_unavailable(self).await?;
        let Some(found) = found.filter(|g| *g.subject.id() == session.subject) else { return Ok(false) };
        let event = if found.key.is_some() { AuditEvent::KeyRevoked } else { AuditEvent::GrantRevoked };
        let row = AuditRow {
            client: Some(found.client),
            resource: Some(found.resource),
            target: Some(grant.to_string()),
            reason: found.key.map(|key| key.name),
            ..self.audit_by(&session.subject, event)
        };
        let done = self.services.store.revoke_grant(grant, row).await.or_unavailable(self).await?;
        self.cache.forget_grant(&self.tenant, grant);
        self.count_revocation(done);
        Ok(done == Update::Done)
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

    fn connected_app(&self, grant: Grant, client_name: String) -> ConnectedApp {
        let (resource_name, scopes) = self.named(&grant);
        ConnectedApp {
            grant: grant.id,
            client_name,
            acts: grant.acting,
            resource_name,
            scopes,
            since: grant.created_at,
            last_used: grant.last_used_at,
            until: grant.expires_at,
        }
    }

    fn own_key(&self, grant: Grant) -> Option<OwnKeyView> {
        let (resource_name, scopes) = self.named(&grant);
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

    /// Returns the display name of a grant's upstream, and the titles of its scopes.
    fn named(&self, grant: &Grant) -> (String, Vec<String>) {
        let upstream = self.policy.upstream(&grant.resource);
        let title = |name: &str| {
            let known = upstream.and_then(|u| u.scopes.iter().find(|s| s.name.as_str() == name));
            known.map_or_else(|| name.to_owned(), |s| s.title.clone())
        };
        let name = upstream.map_or_else(|| grant.resource.as_str().to_owned(), |u| u.display_name.clone());
        (name, grant.scopes.iter().map(|s| title(s.as_str())).collect())
    }
}

/// Returns a client's name as the list shows it.
fn shown_name(client: Client) -> String {
    client.metadata.client_name.unwrap_or_else(|| "An application without a name".to_owned())
}
