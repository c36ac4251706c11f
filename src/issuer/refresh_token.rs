//! The refresh grant (RFC 6749 6, OAuth 2.1 4.3): policy, then one store call that judges and rotates.

use super::audit::OrUnavailable;
use super::{Caller, Issuer, TokenRejection};
use crate::oauth::{
    AccessToken, Client, ErrorCode, Grant, OAuthError, PresentedRefresh, RefreshClaims, RefreshVerdict,
    ResourceIndicator, ScopeSet, TokenResponse,
};
use crate::store::{AuditEvent, AuditRow, NewAccessToken, RotateRefresh, Rotation};
use crate::telemetry::ControlEvent;

/// What a refresh request presented.
pub(super) struct RefreshAtToken {
    pub(super) claims: Option<RefreshClaims>,
    pub(super) scopes: Option<ScopeSet>,
    pub(super) resource: Option<ResourceIndicator>,
}

fn dead() -> OAuthError {
    OAuthError::new(ErrorCode::InvalidGrant, "the refresh token is invalid, expired or revoked")
}

impl Issuer {
    pub(super) async fn refresh(
        &self,
        client: &Client,
        presented: RefreshAtToken,
        caller: &Caller,
    ) -> Result<TokenResponse, TokenRejection> {
        let refused = AuditEvent::RefreshRefused;
        let Some(claims) = presented.claims else {
            return Err(self.refuse_token(refused, client, dead(), caller).await);
        };
        let found = self.store.find_grant(&self.tenant, claims.grant).await.or_unavailable(caller)?;
        // RT-06: another client's token changes nothing, and nothing of its grant is told.
        let Some(grant) = found.filter(|g| g.client == client.id) else {
            return Err(self.refuse_token(refused, client, dead(), caller).await);
        };
        let policy = self.policy();
        let allowed =
            self.still_allowed(&policy, client, &grant.subject, &grant.resource, &grant.scopes, caller).await?;
        // All of this before the rotation: a request that is refused must not cost the client its token (RT-07, RT-08).
        let scopes = match scopes_of(&grant, presented.scopes, presented.resource, allowed) {
            Ok(scopes) => scopes,
            Err(error) => return Err(self.refuse_token(refused, client, error, caller).await),
        };
        let tokens = &policy.config.tokens;
        let own = policy.upstream(&grant.resource).and_then(|u| u.access_lifetime);
        let access = AccessToken::mint(self.entropy.random_32(), &self.keys);
        let request = RotateRefresh {
            tenant: self.tenant.clone(),
            grant: grant.id,
            presented: PresentedRefresh {
                client: client.id.clone(),
                generation: claims.generation,
                grace: tokens.refresh_grace,
            },
            access: NewAccessToken { hash: access.hash(), lifetime: own.unwrap_or(tokens.access), scopes },
            idle: tokens.refresh_idle,
            now: self.clock.now(),
            audit: AuditRow {
                actor: Some(grant.subject.as_str().to_owned()),
                client: Some(client.id.clone()),
                target: Some(format!("grant {}", grant.id)),
                ..self.audit(AuditEvent::TokenRefreshed, caller)
            },
        };
        let event = match self.store.rotate_refresh_token(request).await.or_unavailable(caller)? {
            Rotation::Rotated(grant, token) | Rotation::Retried(grant, token) => {
                self.metrics.control(ControlEvent::TokenRefreshed);
                return Ok(self.respond(access, &grant, *token).await);
            }
            // OAuth 2.1 4.3.1: the store has revoked the family and recorded it; here its tokens leave the memory.
            Rotation::Reused(grant) => {
                self.metrics.control(ControlEvent::RefreshReused);
                self.forget_grant(grant);
                return Err(TokenRejection::Refused { error: dead(), basic: false });
            }
            // RT-16: the store knows less than the token, so it is an older copy of itself.
            Rotation::Refused(RefreshVerdict::Ahead) => AuditEvent::RefreshAhead,
            Rotation::Refused(
                RefreshVerdict::Dead
                | RefreshVerdict::WrongClient
                | RefreshVerdict::NotAllowed
                | RefreshVerdict::Rotate
                | RefreshVerdict::Retry
                | RefreshVerdict::Reused,
            )
            | Rotation::Unknown => refused,
        };
        Err(self.refuse_token(event, client, dead(), caller).await)
    }
}

/// Decides the scopes of the new access token; `None` means all of the grant's.
fn scopes_of(
    grant: &Grant,
    requested: Option<ScopeSet>,
    resource: Option<ResourceIndicator>,
    allowed: Option<ScopeSet>,
) -> Result<Option<ScopeSet>, OAuthError> {
    if resource.is_some_and(|r| r != grant.resource) {
        return Err(OAuthError::new(ErrorCode::InvalidTarget, "the resource is not the one that was granted"));
    }
    // RFC 6749 6: never more than was granted.
    if requested.as_ref().is_some_and(|r| !r.is_subset(&grant.scopes)) {
        return Err(OAuthError::new(ErrorCode::InvalidScope, "the scope is more than was granted"));
    }
    let allowed = allowed.ok_or_else(dead)?;
    let scopes = requested.map_or_else(|| allowed.clone(), |r| r.intersection(&allowed));
    if scopes.is_empty() && !grant.scopes.is_empty() {
        return Err(dead());
    }
    Ok((scopes != grant.scopes).then_some(scopes))
}
