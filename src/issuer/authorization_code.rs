//! The code grant (RFC 6749 4.1.3): policy, then one store call that judges, burns and issues.

use super::audit::OrUnavailable;
use super::{Caller, Issuer, TokenRejection};
use crate::oauth::{
    AccessToken, Client, CodeVerdict, CodeVerifier, ErrorCode, GrantType, OAuthError, PresentedCode, ResourceIndicator,
    TokenHash, TokenResponse,
};
use crate::store::{AuditEvent, AuditRow, NewAccessToken, RedeemCode, Redemption};
use crate::telemetry::ControlEvent;

/// What a code request presented.
pub(super) struct PresentedAtToken {
    pub(super) code: Option<TokenHash>,
    pub(super) verifier: Option<CodeVerifier>,
    pub(super) redirect_uri: Option<String>,
    pub(super) resource: Option<ResourceIndicator>,
}

impl Issuer {
    pub(super) async fn redeem_authorization_code(
        &self,
        client: &Client,
        presented: PresentedAtToken,
        caller: &Caller,
    ) -> Result<TokenResponse, TokenRejection> {
        let refused = AuditEvent::CodeRefused;
        let dead = || OAuthError::new(ErrorCode::InvalidGrant, "the code is invalid, expired or was used before");
        // CR-08: what is not one of ours by format and MAC never reaches the store.
        let Some(code) = presented.code else {
            return Err(self.refuse_token(refused, client, dead(), caller).await);
        };
        let Some(record) = self.store.find_code(&self.tenant, &code).await.or_unavailable(self, caller).await? else {
            return Err(self.refuse_token(refused, client, dead(), caller).await);
        };
        let policy = self.policy();
        let mut allowed = None;
        // Another client's code is judged by the store alone: its owner's account is none of this client's business. So is
        // a damaged one, of which nothing is believed.
        if record.client == client.id && record.challenge.is_some() {
            let (subject, resource) = (&record.subject, &record.resource);
            allowed = self.still_allowed(&policy, client, subject, resource, &record.scopes, caller).await?;
            if allowed.is_none() {
                return Err(self.refuse_token(refused, client, dead(), caller).await);
            }
        }
        let tokens = &policy.config.tokens;
        let own = policy.upstream(&record.resource).and_then(|u| u.access_lifetime);
        let access = AccessToken::mint(self.entropy.random_32(), &self.keys);
        let request = RedeemCode {
            tenant: self.tenant.clone(),
            code,
            presented: PresentedCode {
                client: client.id.clone(),
                verifier: presented.verifier,
                redirect_uri: presented.redirect_uri,
                resource: presented.resource.map(|named| policy.named_at_token(named, &record.resource)),
            },
            access: NewAccessToken {
                hash: access.hash(),
                lifetime: own.unwrap_or(tokens.access),
                scopes: allowed.filter(|a| *a != record.scopes),
            },
            may_refresh: client.metadata.grant_types.contains(&GrantType::RefreshToken),
            grant_lifetime: tokens.refresh_absolute,
            idle: tokens.refresh_idle,
            now: self.clock.now(),
            audit: AuditRow {
                actor: Some(record.subject.as_str().to_owned()),
                client: Some(client.id.clone()),
                target: Some(record.grant.to_string()),
                ..self.audit(AuditEvent::CodeRedeemed, caller)
            },
        };
        // From here on the store has recorded whatever it answers.
        let error = match self.store.redeem_code(request).await.or_unavailable(self, caller).await? {
            Redemption::Redeemed(grant, token) => {
                self.metrics.control(ControlEvent::TokenIssued);
                return Ok(self.respond(access, &grant, *token));
            }
            // OAuth 2.1 4.1.3: the store has revoked the grant; here its tokens leave the memory.
            Redemption::Replayed(grant) => {
                self.metrics.control(ControlEvent::CodeReplayed);
                self.forget_grant(grant);
                dead()
            }
            Redemption::Refused(CodeVerdict::WrongVerifier) => {
                OAuthError::new(ErrorCode::InvalidGrant, "the code_verifier is missing or does not match")
            }
            Redemption::Refused(CodeVerdict::WrongRedirect) => {
                OAuthError::new(ErrorCode::InvalidGrant, "the redirect_uri is not that of the authorization request")
            }
            Redemption::Refused(CodeVerdict::WrongResource) => {
                OAuthError::new(ErrorCode::InvalidTarget, "the resource is not the one that was granted")
            }
            Redemption::Refused(
                CodeVerdict::Dead
                | CodeVerdict::Damaged
                | CodeVerdict::WrongClient
                | CodeVerdict::Redeem
                | CodeVerdict::Replayed,
            )
            | Redemption::Unknown => dead(),
        };
        Err(TokenRejection::because(error))
    }
}
