//! The client credentials grant (RFC 6749 4.4): a client acts for itself, within what the operator granted it.

use crate::config::UpstreamConfig;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AccessToken, AccountId, AuthenticatedClient, Client, ClientOrigin, ClientTokenRequest, Form, Grant, GrantId,
    GrantType, LoginName, OAuthError, Rule, ScopeSet, SingleGrant, Subject, TokenResponse,
};
use crate::store::{Account, AuditEvent, AuditRow, IssueFor, IssueToClient, NewAccessToken};
use crate::telemetry::ControlEvent;

/// What a client may use without a person who consents.
pub(super) struct GrantedScopes {
    /// The scopes that it was granted by name.
    pub(super) own: ScopeSet,
    /// These, and those that they include.
    pub(super) all: ScopeSet,
}

impl IssuerRequest<'_> {
    /// Answers a token request of a client for itself.
    pub(in crate::issuer) async fn issue_to_client(
        &self,
        client: &AuthenticatedClient,
        form: &Form,
        request: ClientTokenRequest,
    ) -> Result<TokenResponse, TokenRejection> {
        let refused = AuditEvent::TokenRefused;
        let Some((subject, name)) = client.service_account().filter(|_| self.may_act_for_itself(client)) else {
            let words = "this server does not let clients that registered themselves act for themselves";
            let error = OAuthError::new(Rule::ServicesNotAllowed, words).came("grant_type", "client_credentials");
            return Err(self.refuse_token(refused, client, error).await);
        };
        self.expect_approval(client, GrantType::ClientCredentials).await?;
        let policy = self.policy.request();
        let resource = match policy.resource(form, client) {
            Ok((resource, ..)) => resource,
            Err(error) => return Err(self.refuse_token(refused, client, error).await),
        };
        let nothing = || OAuthError::new(Rule::NothingGranted, "the client was granted none of these scopes");
        let Some(upstream) = self.policy.upstream(resource) else {
            return Err(self.refuse_token(refused, client, nothing()).await);
        };
        let granted = self.granted_to(client, subject.id(), &name, upstream).await?;
        let asked = |granted: &GrantedScopes| match &request.scopes {
            // RFC 6749 3.3: less than was asked for may be granted, and the answer says what. SDKs ask for all scopes
            // of a challenge or of the metadata.
            Some(asked) => Some(asked.intersection(&granted.all)).filter(|scopes| !scopes.is_empty()),
            None => Some(granted.own.clone()),
        };
        let Some((granted, scopes)) = granted.and_then(|granted| asked(&granted).map(|scopes| (granted, scopes)))
        else {
            let error = nothing().came("scope", form.get("scope").unwrap_or_default());
            return Err(self.refuse_token(refused, client, error).await);
        };
        let access = AccessToken::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let grant = self.grant_of_service(client, subject, upstream, granted.own);
        let new = NewAccessToken {
            hash: access.hash(),
            lifetime: client.lifetimes.of_access(&self.policy.lifetimes(resource)),
            scopes: Some(scopes),
            included: granted.all,
            user: name.as_str().into(),
            client_origin: client.origin,
            client_limit: client.scope_limit().cloned(),
        };
        let issue = self.issue_of(grant, name, new);
        let Some(issued) = self.services.store.issue_to_client(issue).await.or_unavailable(self).await? else {
            // It was enabled when it authenticated.
            let error = OAuthError::new(Rule::ClientDisabled, "client authentication failed");
            return Err(self.refuse_token(refused, client, error).await);
        };
        self.metrics.control(ControlEvent::TokenIssued);
        Ok(self.respond(access, &issued.grant, *issued.token))
    }

    /// Returns whether the operator lets the client act for itself: by adding it, or by the configuration in force.
    fn may_act_for_itself(&self, client: &Client) -> bool {
        client.origin == ClientOrigin::Manual || self.policy.config.registration.client_credentials
    }

    /// Returns what an operator granted a client at an upstream, and what that includes.
    pub(super) fn granted_by_operator(&self, client: &Client, upstream: &UpstreamConfig) -> Option<ScopeSet> {
        let granted = self.policy.granted_to_service(client, upstream)?;
        Some(granted.union(&self.policy.included(&upstream.resource, &granted)))
    }

    /// Returns the scopes that the client may use at an upstream for an account, its own or a person's; `None` if it
    /// may have no token for it.
    pub(super) async fn granted_to(
        &self,
        client: &Client,
        account: &AccountId,
        name: &LoginName,
        upstream: &UpstreamConfig,
    ) -> Result<Option<GrantedScopes>, StoreFailed> {
        let Some(granted) = self.policy.granted_to_service(client, upstream) else { return Ok(None) };
        let included = |scopes: &ScopeSet| self.policy.included(&upstream.resource, scopes);
        let all = granted.union(&included(&granted));
        let Some(held) = self.may_hold(account, name, upstream, &all).await? else { return Ok(None) };
        let own = granted.intersection(&held);
        if own.is_empty() && !granted.is_empty() {
            return Ok(None);
        }
        Ok(Some(GrantedScopes { all: own.union(&included(&own).intersection(&held)), own }))
    }

    fn grant_of_service(
        &self,
        client: &AuthenticatedClient,
        subject: Subject,
        upstream: &UpstreamConfig,
        scopes: ScopeSet,
    ) -> Grant {
        let now = self.now();
        // A grant that nobody uses ends as that of an application that is no longer refreshed.
        let lifetimes = self.policy.lifetimes(&upstream.resource);
        let end = now.plus(client.lifetimes.of_refresh(&lifetimes).0.max(client.lifetimes.of_access(&lifetimes)));
        let single = SingleGrant {
            id: GrantId(self.services.entropy.random_16()),
            tenant: self.tenant.clone(),
            client: client.id.clone(),
            subject,
            resource: upstream.resource.clone(),
            scopes,
            made_at: now,
            expires_at: end,
        };
        Grant { by_assertion: client.by_assertion(), ..single.grant() }
    }

    fn issue_of(&self, grant: Grant, name: LoginName, access: NewAccessToken) -> IssueToClient {
        let service = Account::of_service(self.tenant.clone(), grant.subject.clone(), name, self.now());
        let event = AuditEvent::ClientTokenIssued;
        let audit = AuditRow { client: Some(grant.client.clone()), ..self.audit(event) };
        let record_success = self.admit_row_of(event, grant.subject.id());
        IssueToClient { subject: IssueFor::Service(service), grant, access, now: self.now(), record_success, audit }
    }
}
