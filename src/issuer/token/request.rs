//! The token endpoint: authenticates the client, then matches on the grant type (RFC 6749 3.2).

use std::sync::Arc;

use super::assertion::Unproved;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::face::Face;
use crate::issuer::limits::throttle::Throttled;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AccessToken, AccessTokenRecord, AccountId, AuthMethod, AuthenticatedClient, ClientAuthentication, ClientOrigin,
    CredentialError, Form, Grant, GrantId, GrantType, OAuthError, RefreshClaims, RefreshToken, ResourceIndicator, Rule,
    ScopeSet, TokenRequest, TokenResponse,
};
use crate::store::{AccountStatus, AuditEvent, AuditRow};
use crate::telemetry::ControlEvent;

impl IssuerRequest<'_> {
    /// Answers a token request.
    ///
    /// # Errors
    /// `Refused` in the words of RFC 6749 5.2, `Throttled`, `Unavailable`.
    pub async fn token(&self, authorization: Option<&[u8]>, form: &Form) -> Result<TokenResponse, TokenRejection> {
        let answer = self.answer_token(authorization, form).await;
        if matches!(answer, Err(TokenRejection::Refused { .. })) {
            self.metrics.control(ControlEvent::TokenRefused);
        }
        answer
    }

    async fn answer_token(&self, authorization: Option<&[u8]>, form: &Form) -> Result<TokenResponse, TokenRejection> {
        // RFC 7521 4.1: for this grant, authentication of a client is optional; a workload has none.
        if self.is_of_workload(authorization, form) {
            return Box::pin(self.issue_to_workload(form)).await;
        }
        let client = self.authenticate(authorization, form).await?;
        let request = match TokenRequest::read(form, &self.services.keys.load()) {
            Ok(request) => request,
            Err(error) => return Err(self.refuse_token(AuditEvent::TokenRefused, &client, error).await),
        };
        if !client.metadata.grant_types.contains(&request.grant_type()) {
            let registered: Vec<_> = client.metadata.grant_types.iter().map(|grant| grant.as_str()).collect();
            let error = OAuthError::new(Rule::GrantNotRegistered, "the client is not registered for this grant type")
                .came("grant_type", request.grant_type().as_str())
                .expected(format!("one of: {}", registered.join(", ")));
            return Err(self.refuse_token(AuditEvent::TokenRefused, &client, error).await);
        }
        // Who acts for itself is listed as waiting only where that is allowed at all.
        if request.grant_type() != GrantType::ClientCredentials {
            self.expect_approval(&client, request.grant_type()).await?;
        }
        // A stranger's own client that acts for itself proves nothing about who is at this address.
        let is_known = request.grant_type() != GrantType::ClientCredentials || client.origin == ClientOrigin::Manual;
        let answer = match request {
            TokenRequest::AuthorizationCode(request) => self.redeem_authorization_code(&client, form, request).await,
            TokenRequest::ClientCredentials(request) => self.issue_to_client(&client, form, request).await,
            TokenRequest::RefreshToken(request) => self.refresh(&client, form, request).await,
            TokenRequest::JwtBearer(request) => Box::pin(self.issue_for_person(&client, form, *request)).await,
        };
        if answer.is_ok() && is_known {
            self.throttle.record_token(self.caller);
        }
        answer
    }

    /// Charges one request to the budget of the caller's address, before its body is read.
    ///
    /// # Errors
    /// `Throttled`.
    pub async fn admit_request(&self, face: Face) -> Result<(), TokenRejection> {
        let Err(held) = self.throttle.charge_request(face, self.caller, &self.policy.config.rates) else {
            return Ok(());
        };
        self.record_refused(face, Diagnosis::from(Rule::RateLimited).by(held.key)).await;
        Err(TokenRejection::Throttled(held.wait))
    }

    /// Authenticates the client of a request to `/token` or `/revoke`, and charges the client's budget.
    pub(in crate::issuer) async fn authenticate(
        &self,
        authorization: Option<&[u8]>,
        form: &Form,
    ) -> Result<AuthenticatedClient, TokenRejection> {
        self.authenticate_at(Face::Token, authorization, form).await
    }

    /// Authenticates the client of a request to one of the faces, and charges the client's budget.
    pub(in crate::issuer) async fn authenticate_at(
        &self,
        face: Face,
        authorization: Option<&[u8]>,
        form: &Form,
    ) -> Result<AuthenticatedClient, TokenRejection> {
        let config = &self.policy.config;
        let rates = &config.rates;
        let refused = |CredentialError { error, basic }| TokenRejection::Refused { error, basic };
        let credentials = match ClientAuthentication::read(authorization, form) {
            Ok(credentials) => credentials,
            Err(error) => {
                self.refuse(self.audit(AuditEvent::TokenRefused), Diagnosis::from(&error.error)).await;
                return Err(refused(error));
            }
        };
        if let Err(held) = self.throttle.charge_client(face, &credentials.client_id, self.caller, rates) {
            return Err(self.slow_down(held, &credentials).await);
        }
        let client = self.enabled_client(&credentials.client_id).await?;
        // The id of an unknown client is arbitrary text, and stays out of the audit trail.
        let known = client.as_ref().map(|c| (c.id.clone(), c.metadata.client_name.clone()));
        let is_guarded = client.as_ref().is_some_and(|c| c.metadata.token_endpoint_auth_method != AuthMethod::None);
        match self.prove(&credentials, client).await {
            Ok(client) => Ok(client),
            Err(Unproved::Undecided(rejection)) => Err(rejection),
            Err(Unproved::Wrong(error)) => {
                let (client, name) = known.unzip();
                let row = AuditRow { client, ..self.audit(AuditEvent::TokenRefused) };
                let name = name.flatten();
                self.refuse(row, Diagnosis::from(&error.error).named(name.as_deref())).await;
                // CA-14: guessing a client's secret or signature leads to delays, wherever the guesses come from.
                match self.throttle.record_client_failure(&credentials.client_id, is_guarded, self.caller, rates) {
                    Ok(()) => Err(refused(error)),
                    Err(wait) => Err(TokenRejection::Throttled(wait)),
                }
            }
        }
    }

    async fn slow_down(&self, held: Throttled, of: &ClientAuthentication) -> TokenRejection {
        let error = OAuthError::new(Rule::RateLimited, "").came("client_id", of.client_id.as_str());
        let why = Diagnosis::throttled(&error).by(held.key);
        self.refuse(self.audit(AuditEvent::TokenRefused), why).await;
        TokenRejection::Throttled(held.wait)
    }

    /// Records the refusal of an authenticated client and returns it.
    pub(in crate::issuer) async fn refuse_token(
        &self,
        event: AuditEvent,
        client: &AuthenticatedClient,
        error: OAuthError,
    ) -> TokenRejection {
        let row = AuditRow { client: Some(client.id.clone()), ..self.audit(event) };
        self.refuse_with(row, client, error).await
    }

    /// Refuses a client with an audit row that has more than the client's identity.
    pub(in crate::issuer) async fn refuse_with(
        &self,
        row: AuditRow,
        client: &AuthenticatedClient,
        error: OAuthError,
    ) -> TokenRejection {
        self.refuse(row, Diagnosis::from(&error).of(client)).await;
        TokenRejection::because(error)
    }

    /// Returns what a grant may still give under the current policy, with the login name of its user; every redemption
    /// and refresh asks this (CR-16, RT-09). `None` when nothing is left: the user is disabled or may not hold a
    /// token for the resource, the resource is gone, or none of the scopes remains.
    pub(in crate::issuer) async fn still_allowed(
        &self,
        client: &AuthenticatedClient,
        subject: &AccountId,
        resource: &ResourceIndicator,
        scopes: &ScopeSet,
    ) -> Result<Option<(ScopeSet, Arc<str>)>, StoreFailed> {
        let account = self.services.store.find_account(&self.tenant, subject).await.or_unavailable(self).await?;
        let Some(account) = account.filter(|a| a.status == AccountStatus::Enabled) else { return Ok(None) };
        let bound_elsewhere = client.resource.as_ref().is_some_and(|r| r != resource);
        let Some(upstream) = self.policy.upstream(resource).filter(|_| !bound_elsewhere) else { return Ok(None) };
        let left = scopes.intersection(&self.policy.allowed(client, upstream));
        let left = self
            .may_hold(account.subject.id(), &account.name, upstream, &left)
            .await?
            .filter(|left| scopes.is_empty() || !left.is_empty());
        Ok(left.map(|left| (left, account.name.as_str().into())))
    }

    /// Puts a new token into the cache and makes the response.
    pub(in crate::issuer) fn respond(
        &self,
        access: AccessToken,
        grant: &Grant,
        record: AccessTokenRecord,
    ) -> TokenResponse {
        // A replay may have revoked the grant since our commit: the cache remembers that, and refuses its tokens.
        self.cache.insert(&record);
        let claims = RefreshClaims { grant: grant.id, generation: grant.generation };
        TokenResponse {
            access_token: access,
            // RFC 6749 5.1: the lifetime counts from the token's issue, not from now.
            expires_in: record.expires_at.since(record.issued_at).as_secs(),
            refresh_token: grant.may_refresh.then(|| RefreshToken::derive(claims, &self.services.keys.load())),
            scopes: record.scopes,
        }
    }

    /// Removes the tokens of a grant that the store has just revoked from the cache.
    pub(in crate::issuer) fn forget_grant(&self, grant: GrantId) {
        self.cache.forget_grant(&self.tenant, grant);
    }
}
