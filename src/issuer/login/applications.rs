//! The applications that a person has connected, one entry for each client and upstream, and how the person ends them.

use super::usable_tools::{Application, Person};
use crate::issuer::account_view::{AppSession, ConnectedApp, OwnGrants, UsableTools};
use crate::issuer::audit::OrUnavailable;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{AuthorizeRejection, IssuerRequest};
use crate::oauth::{AccountId, Client, ClientId, Grant, GrantId, ResourceIndicator, ScopeSet};
use crate::store::{Account, AuditEvent, AuditRow, GrantFilter, Update};

impl IssuerRequest<'_> {
    /// Returns a person's applications, made of the grants that are not API keys, newest first.
    pub(super) async fn applications(
        &self,
        account: &Account,
        grants: Vec<Grant>,
    ) -> Result<Vec<ConnectedApp>, StoreFailed> {
        let mut apps: Vec<Application> = Vec::new();
        for grant in grants {
            let is_same = |app: &&mut Application| {
                app.resource == grant.resource && app.grants.iter().any(|other| other.client == grant.client)
            };
            if let Some(app) = apps.iter_mut().find(is_same) {
                app.grants.push(grant);
                continue;
            }
            let client =
                self.services.store.find_client(&self.tenant, &grant.client).await.or_unavailable(self).await?;
            apps.push(Application { client, resource: grant.resource.clone(), grants: vec![grant] });
        }
        let groups =
            self.services.store.groups_of(&self.tenant, account.subject.id()).await.or_unavailable(self).await?;
        let tools = self.usable_tools(Person { account, groups: &groups }, &apps).await;
        Ok(apps.into_iter().zip(tools).filter_map(|(app, tools)| self.connected_app(app, tools)).collect())
    }

    fn connected_app(&self, app: Application, tools: UsableTools) -> Option<ConnectedApp> {
        let id = app.grants.first()?.client.clone();
        let scopes = app.grants.iter().fold(ScopeSet::default(), |all, grant| all.union(&grant.scopes));
        let (resource_name, scopes) = self.named(&app.resource, &scopes);
        let is_disabled = app.client.as_ref().is_some_and(|client| client.disabled);
        let session = |grant: &Grant| AppSession {
            grant: grant.id,
            since: grant.created_at,
            last_used: grant.last_used_at,
            until: grant.expires_at,
        };
        Some(ConnectedApp {
            client_name: app.client.map_or_else(|| id.as_str().to_owned(), shown_name),
            client: id,
            acts: app.grants.iter().any(|grant| grant.acting),
            resource: app.resource,
            resource_name,
            is_disabled,
            scopes,
            tools,
            last_used: app.grants.iter().filter_map(|grant| grant.last_used_at).max(),
            sessions: app.grants.iter().map(session).collect(),
        })
    }

    /// Returns the display name of an upstream, and the titles of scopes there.
    pub(super) fn named(&self, resource: &ResourceIndicator, scopes: &ScopeSet) -> (String, Vec<String>) {
        let upstream = self.policy.upstream(resource);
        let title = |name: &str| {
            let known = upstream.and_then(|u| u.scopes.iter().find(|s| s.name.as_str() == name));
            known.map_or_else(|| name.to_owned(), |s| s.title.clone())
        };
        let name = upstream.map_or_else(|| resource.as_str().to_owned(), |u| u.display_name.clone());
        (name, scopes.iter().map(|s| title(s.as_str())).collect())
    }

    /// Ends some of a person's own grants (CN-20); returns how many. None if nobody is signed in, or if what is named
    /// is not theirs or has ended.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn revoke_own(&self, session: &str, which: OwnGrants<'_>) -> Result<u64, AuthorizeRejection> {
        if let OwnGrants::One(id) = which {
            let Some(id) = GrantId::parse(id) else { return Ok(0) };
            return Ok(self.revoke_own_grant(session, id).await?.into());
        }
        let Some(session) = self.live_session(Some(session)).await? else { return Ok(0) };
        Ok(self.revoke_applications(&session.subject, which).await?)
    }

    /// Revokes one of the user's own grants (CN-20); `false` when it is not theirs or has already ended.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn revoke_own_grant(&self, session: &str, grant: GrantId) -> Result<bool, AuthorizeRejection> {
        let Some(session) = self.live_session(Some(session)).await? else { return Ok(false) };
        let found = self.services.store.find_grant(&self.tenant, grant).await.or_unavailable(self).await?;
        let Some(found) = found.filter(|g| *g.subject.id() == session.subject) else { return Ok(false) };
        Ok(self.revoke_found(&session.subject, found).await?)
    }

    /// Revokes the grants of one application of a person, or of all; returns how many. API keys and browser sessions
    /// stay. If some are revoked but cannot be stored yet, the others are revoked too.
    pub(super) async fn revoke_applications(
        &self,
        subject: &AccountId,
        which: OwnGrants<'_>,
    ) -> Result<u64, StoreFailed> {
        let theirs = GrantFilter::of_account(&self.tenant, subject);
        let grants = self.services.store.list_grants(&theirs, self.now()).await.or_unavailable(self).await?;
        let is_meant = |grant: &Grant| match which {
            OwnGrants::Applications => true,
            OwnGrants::Application { client, resource } => {
                (grant.client.as_str(), grant.resource.as_str()) == (client, resource)
            }
            OwnGrants::One(id) => GrantId::parse(id) == Some(grant.id),
        };
        let (mut revoked, mut unstored) = (0, None);
        for grant in grants.into_iter().filter(|grant| grant.key.is_none() && is_meant(grant)) {
            match self.revoke_found(subject, grant).await {
                Ok(done) => revoked += u64::from(done),
                Err(failed @ StoreFailed::NotStored) => unstored = Some(failed),
                Err(failed @ StoreFailed::Unavailable) => return Err(failed),
            }
        }
        unstored.map_or(Ok(revoked), Err)
    }

    async fn revoke_found(&self, subject: &AccountId, found: Grant) -> Result<bool, StoreFailed> {
        let id = found.id;
        let event = if found.key.is_some() { AuditEvent::KeyRevoked } else { AuditEvent::GrantRevoked };
        let row = AuditRow {
            client: Some(found.client),
            resource: Some(found.resource),
            target: Some(id.to_string()),
            reason: found.key.map(|key| key.name),
            ..self.audit_by(subject, event)
        };
        let done = self.services.store.revoke_grant(id, row).await.or_unavailable(self).await?;
        self.cache.forget_grant(&self.tenant, id);
        self.count_revocation(done);
        Ok(done == Update::Done)
    }

    /// Returns a client's name as the page shows it, or its id if it is being deleted.
    pub(in crate::issuer) async fn client_name(&self, id: &ClientId) -> Result<String, StoreFailed> {
        let client = self.services.store.find_client(&self.tenant, id).await.or_unavailable(self).await?;
        Ok(client.map_or_else(|| id.as_str().to_owned(), shown_name))
    }
}

/// Returns a client's name as the list shows it.
fn shown_name(client: Client) -> String {
    client.metadata.client_name.unwrap_or_else(|| "An application without a name".to_owned())
}
