//! Token introspection (RFC 7662): what a resource server is told about the tokens for its resource.

use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::face::Face;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AccessTokenRecord, AuthMethod, AuthenticatedClient, Form, Introspection, OAuthError, ResourceIndicator, Rule,
    recognise_bearer,
};
use crate::store::{AuditEvent, AuditRow};

impl IssuerRequest<'_> {
    /// Tells the resource server of an upstream about an access token for it. Any other token, a refresh token and any
    /// other text get the same answer, and so does every question of a client that is no resource server (IR-02).
    ///
    /// # Errors
    /// `Refused`: `invalid_client`, `invalid_request`; `Throttled`; `Unavailable`.
    pub async fn introspect(&self, authorization: Option<&[u8]>, form: &Form) -> Result<Introspection, TokenRejection> {
        let client = self.authenticate_at(Face::Introspection, authorization, form).await?;
        // RFC 7662 2.1: without authentication, tokens could be guessed here.
        if client.metadata.token_endpoint_auth_method == AuthMethod::None {
            let error = OAuthError::new(Rule::SecretMissing, "client authentication failed");
            return Err(self.refuse_token(AuditEvent::TokenRefused, &client, error).await);
        }
        let token = self.presented_token(&client, form).await?;
        let Some(resource) = client.resource_server() else {
            let row = self.audit(AuditEvent::TokenRefused);
            self.record_question(&client, row, Rule::NotAResourceServer).await;
            return Ok(Introspection::Inactive);
        };
        self.throttle.record_server(self.caller);
        let Some(found) = self.valid_token(token).await? else { return Ok(Introspection::Inactive) };
        if found.resource != *resource {
            let row = AuditRow {
                subject: Some(found.subject.id().clone()),
                target: Some(found.grant.to_string()),
                ..self.audit(AuditEvent::TokenRefused)
            };
            self.record_question(&client, row, Rule::TokenOfAnotherResource).await;
            return Ok(Introspection::Inactive);
        }
        Ok(self.told_of(&found, resource).await?)
    }

    /// Finds an access token that requests to upstreams would be accepted with, wherever they come from: the question
    /// does not say where the token was presented.
    async fn valid_token(&self, token: &str) -> Result<Option<AccessTokenRecord>, StoreFailed> {
        let Some(hash) = recognise_bearer(token.as_bytes(), &self.services.keys.load()) else { return Ok(None) };
        let found = self.services.store.find_access_token(&self.tenant, &hash, self.now()).await;
        Ok(found.or_unavailable(self).await?.filter(|token| token.addresses.is_empty()))
    }

    /// Tells of a token what is in force now, as a request with it would be judged.
    async fn told_of(
        &self,
        token: &AccessTokenRecord,
        resource: &ResourceIndicator,
    ) -> Result<Introspection, StoreFailed> {
        let upstream = self.policy.upstream(resource);
        let held = upstream.and_then(|upstream| upstream.holders.narrow(&token.user, &token.groups, &token.scopes));
        let grant = self.services.store.find_grant(&self.tenant, token.grant).await.or_unavailable(self).await?;
        let (Some(held), Some(grant)) = (held, grant) else { return Ok(Introspection::Inactive) };
        Ok(Introspection::of(token, &grant, &held, &self.policy.config.public_url))
    }

    /// Records a question whose answer must not tell why it is what it is.
    async fn record_question(&self, client: &AuthenticatedClient, row: AuditRow, rule: Rule) {
        let row = AuditRow { client: Some(client.id.clone()), ..row };
        self.refuse(row, Diagnosis::from(rule).of(client)).await;
    }
}
