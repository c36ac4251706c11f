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
        // CR-08: what is not one of ours by format and MAC never reaches the store.
        let Some(code) = presented.code else {
            return Err(self.refuse_token(refused, client, dead(), caller).await);
        };
        let Some(record) = self.store.find_code(&self.tenant, &code).await.or_unavailable(self, caller).await? else {
            return Err(self.refuse_token(refused, client, dead(), caller).await);
        };
        let row = AuditRow {
            subject: Some(record.subject.clone()),
            client: Some(client.id.clone()),
            target: Some(record.grant.to_string()),
            ..self.audit(refused, caller)
        };
        let policy = self.policy();
        let mut allowed = None;
        // Another client's code is judged by the store alone: its owner's account is none of this client's business. So is
        // a damaged one, of which nothing is believed.
        if record.client == client.id && record.challenge.is_some() {
            let (subject, resource) = (&record.subject, &record.resource);
            allowed = self.still_allowed(&policy, client, subject, resource, &record.scopes, caller).await?;
            if allowed.is_none() {
                return Err(self.refuse_with(row, dead()).await);
            }
        }
        let tokens = &policy.config.tokens;
        let own = policy.upstream(&record.resource).and_then(|u| u.access_lifetime);
        let access = AccessToken::mint(self.entropy.random_32(), &self.keys.load());
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
                subject: Some(record.subject),
                client: Some(client.id.clone()),
                ..self.audit(AuditEvent::CodeRedeemed, caller)
            },
        };
        let redemption = self.store.redeem_code(request).await.or_unavailable(self, caller).await?;
        if let Some((event, reason)) = refusal(&redemption) {
            self.record_refusal(AuditRow { event, reason: Some(reason.to_owned()), ..row }).await;
        }
        let verdict = match redemption {
            Redemption::Redeemed(grant, token) => {
                self.metrics.control(ControlEvent::TokenIssued);
                return Ok(self.respond(access, &grant, *token));
            }
            // OAuth 2.1 4.1.3: the store has revoked the grant; here its tokens leave the memory.
            Redemption::Replayed(grant) => {
                self.forget_grant(grant);
                CodeVerdict::Replayed
            }
            Redemption::Refused(verdict) => verdict,
            Redemption::Unknown => CodeVerdict::Dead,
        };
        if verdict == CodeVerdict::Replayed {
            self.metrics.control(ControlEvent::CodeReplayed);
        }
        Err(TokenRejection::because(error_of(verdict)))
    }
}

fn dead() -> OAuthError {
    OAuthError::new(ErrorCode::InvalidGrant, "the code is invalid, expired or was used before")
}

/// Returns what a client is told.
fn error_of(verdict: CodeVerdict) -> OAuthError {
    match verdict {
        CodeVerdict::WrongVerifier => {
            OAuthError::new(ErrorCode::InvalidGrant, "the code_verifier is missing or does not match")
        }
        CodeVerdict::WrongRedirect => {
            OAuthError::new(ErrorCode::InvalidGrant, "the redirect_uri is not that of the authorization request")
        }
        CodeVerdict::WrongResource => {
            OAuthError::new(ErrorCode::InvalidTarget, "the resource is not the one that was granted")
        }
        CodeVerdict::Dead
        | CodeVerdict::Damaged
        | CodeVerdict::WrongClient
        | CodeVerdict::Redeem
        | CodeVerdict::Replayed => dead(),
    }
}

/// Returns event and reason of a refusal that changed nothing; `None` for what the store recorded itself.
const fn refusal(redemption: &Redemption) -> Option<(AuditEvent, &'static str)> {
    let reason = match redemption {
        Redemption::Redeemed(..) | Redemption::Replayed(_) | Redemption::Refused(CodeVerdict::Redeem) => return None,
        Redemption::Refused(CodeVerdict::Damaged) => {
            return Some((AuditEvent::StoreInvariant, "a code does not match its seal"));
        }
        Redemption::Unknown => "unknown",
        Redemption::Refused(CodeVerdict::Dead) => "dead",
        // Its grant had ended before, so that this changed nothing.
        Redemption::Refused(CodeVerdict::Replayed) => "replayed",
        Redemption::Refused(CodeVerdict::WrongVerifier) => "wrong_verifier",
        Redemption::Refused(CodeVerdict::WrongClient) => "wrong_client",
        Redemption::Refused(CodeVerdict::WrongRedirect) => "wrong_redirect_uri",
        Redemption::Refused(CodeVerdict::WrongResource) => "wrong_resource",
    };
    Some((AuditEvent::CodeRefused, reason))
}
