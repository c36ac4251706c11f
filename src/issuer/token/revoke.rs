//! Token revocation (RFC 7009).

use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AccessToken, AccountId, AuthenticatedClient, Form, GrantId, OAuthError, RefreshToken, Rule, TokenHash,
};
use crate::store::{AuditEvent, AuditRow, Update};
use crate::telemetry::ControlEvent;

impl IssuerRequest<'_> {
    /// Revokes a token of the authenticated client: a refresh token with its whole grant, an access token alone. Any
    /// other text has no effect and gets the same answer (RFC 7009 2.2), and so does another client's token (RV-02).
    ///
    /// # Errors
    /// `Refused`: `invalid_client`, `invalid_request`; `Throttled`; `Unavailable` or `NotStored`, and never a false
    /// success (RV-05).
    pub async fn revoke(&self, authorization: Option<&[u8]>, form: &Form) -> Result<(), TokenRejection> {
        let client = self.authenticate(authorization, form).await?;
        let token = self.presented_token(&client, form).await?;
        // RFC 7009 2.1: token_type_hint is a hint. Our tokens show their own type, so the hint is not read.
        let family = RefreshToken::recognise(token, &self.services.keys.load());
        match (family, AccessToken::recognise(token.as_bytes(), &self.services.keys.load())) {
            (Some(claims), _) => self.revoke_family(&client, claims.grant).await?,
            (None, Some(hash)) => self.revoke_access_token(&client, hash).await?,
            (None, None) => {}
        }
        // RFC 7009 2.2: 200 says that the token is invalid, but an unstored revocation holds only until a restart.
        if self.services.store.stats().unstored > 0 { Err(TokenRejection::NotStored) } else { Ok(()) }
    }

    /// Returns the token that a request is about.
    pub(in crate::issuer) async fn presented_token<'f>(
        &self,
        client: &AuthenticatedClient,
        form: &'f Form,
    ) -> Result<&'f str, TokenRejection> {
        if let Some(token) = form.get("token").filter(|_| form.first_repeated().is_none()) {
            return Ok(token);
        }
        let words = "the parameter token is required, and each parameter only once";
        let error = match form.first_repeated() {
            Some(name) => OAuthError::new(Rule::ParameterRepeated, words).came("parameter", name),
            None => OAuthError::new(Rule::TokenMissing, words),
        };
        Err(self.refuse_token(AuditEvent::TokenRefused, client, error).await)
    }

    async fn revoke_family(&self, client: &AuthenticatedClient, grant: GrantId) -> Result<(), TokenRejection> {
        let Some(found) = self.services.store.find_grant(&self.tenant, grant).await.or_unavailable(self).await? else {
            return Ok(());
        };
        if found.client != client.id {
            return self.record_foreign(client, grant, found.subject.id().clone()).await;
        }
        let row = AuditRow {
            subject: Some(found.subject.id().clone()),
            client: Some(found.client),
            resource: Some(found.resource),
            target: Some(grant.to_string()),
            reason: Some("refresh_token".to_owned()),
            ..self.audit(AuditEvent::TokenRevoked)
        };
        let done = self.services.store.revoke_grant(grant, row).await.or_unavailable(self).await?;
        self.forget_grant(grant);
        self.count_revocation(done);
        Ok(())
    }

    async fn revoke_access_token(&self, client: &AuthenticatedClient, hash: TokenHash) -> Result<(), TokenRejection> {
        let now = self.now();
        let found = self.services.store.find_access_token(&self.tenant, &hash, now).await.or_unavailable(self).await?;
        let Some(found) = found else { return Ok(()) };
        if found.client != client.id {
            return self.record_foreign(client, found.grant, found.subject.id().clone()).await;
        }
        let row = AuditRow {
            subject: Some(found.subject.id().clone()),
            client: Some(found.client),
            resource: Some(found.resource),
            target: Some(found.grant.to_string()),
            reason: Some("access_token".to_owned()),
            ..self.audit(AuditEvent::TokenRevoked)
        };
        let done = self.services.store.revoke_access_token(&hash, row).await.or_unavailable(self).await?;
        self.cache.forget_token(&hash);
        self.count_revocation(done);
        Ok(())
    }

    /// Counts a revocation that ended something.
    pub(in crate::issuer) fn count_revocation(&self, done: Update) {
        match done {
            Update::Done => self.metrics.control(ControlEvent::TokenRevoked),
            Update::NotFound => {}
        }
    }

    /// Records that a client presented another client's token; the answer must not reveal that the token is real.
    async fn record_foreign(
        &self,
        client: &AuthenticatedClient,
        grant: GrantId,
        subject: AccountId,
    ) -> Result<(), TokenRejection> {
        let row = AuditRow {
            subject: Some(subject),
            client: Some(client.id.clone()),
            target: Some(grant.to_string()),
            ..self.audit(AuditEvent::TokenRefused)
        };
        self.refuse(row, Diagnosis::from(Rule::TokenOfAnotherClient).of(client)).await;
        Ok(())
    }
}
