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
        let found = self.store.find_grant(&self.tenant, claims.grant).await.or_unavailable(self, caller).await?;
        // RT-06: another client's token changes nothing, and nothing of its grant is told.
        let Some(grant) = found.filter(|g| g.client == client.id) else {
            return Err(self.refuse_token(refused, client, dead(), caller).await);
        };
        let policy = self.policy();
        let allowed =
            self.still_allowed(&policy, client, &grant.subject, &grant.resource, &grant.scopes, caller).await?;
        // All of this before the rotation: a request that is refused must not cost the client its token (RT-07, RT-08).
        let requested = presented.scopes.map(|scopes| policy.known_to(&grant, &scopes)).filter(|s| !s.is_empty());
        let resource = presented.resource.map(|named| policy.named_at_token(named, &grant.resource));
        let scopes = match scopes_of(&grant, requested, resource, allowed) {
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
                target: Some(grant.id.to_string()),
                ..self.audit(AuditEvent::TokenRefreshed, caller)
            },
        };
        // From here on the store has recorded whatever it answers.
        match self.store.rotate_refresh_token(request).await.or_unavailable(self, caller).await? {
            Rotation::Rotated(grant, token) | Rotation::Retried(grant, token) => {
                self.metrics.control(ControlEvent::TokenRefreshed);
                Ok(self.respond(access, &grant, *token))
            }
            // OAuth 2.1 4.3.1: the store has revoked the family; here its tokens leave the memory.
            Rotation::Reused(grant) => {
                self.metrics.control(ControlEvent::RefreshReused);
                self.forget_grant(grant);
                Err(TokenRejection::because(dead()))
            }
            Rotation::Refused(
                RefreshVerdict::Ahead
                | RefreshVerdict::Dead
                | RefreshVerdict::WrongClient
                | RefreshVerdict::NotAllowed
                | RefreshVerdict::Rotate
                | RefreshVerdict::Retry
                | RefreshVerdict::Reused,
            )
            | Rotation::Unknown => Err(TokenRejection::because(dead())),
        }
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
