//! The refresh grant (RFC 6749 6, OAuth 2.1 4.3): checks the policy, then one store call checks and rotates the token.

use std::sync::Arc;

use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AccessToken, AuthenticatedClient, Form, Grant, OAuthError, PresentedRefresh, RefreshClaims, RefreshRefusal,
    RefreshRequest, RefreshVerdict, Rule, ScopeSet, TokenResponse, show,
};
use crate::store::{AuditEvent, AuditRow, NewAccessToken, RotateRefresh, Rotation, StoreError};
use crate::telemetry::ControlEvent;

fn dead(rule: Rule, form: &Form) -> OAuthError {
    let words = "the refresh token is invalid, expired or revoked";
    OAuthError::new(rule, words).came("refresh_token", form.get("refresh_token").unwrap_or_default())
}

impl IssuerRequest<'_> {
    /// Answers a refresh request.
    pub(in crate::issuer) async fn refresh(
        &self,
        client: &AuthenticatedClient,
        form: &Form,
        request: RefreshRequest,
    ) -> Result<TokenResponse, TokenRejection> {
        let refused = AuditEvent::RefreshRefused;
        let Some((claims, grant)) = self.grant_presented(request.claims).await? else {
            return Err(self.refuse_token(refused, client, dead(Rule::RefreshTokenUnknown, form)).await);
        };
        let row = AuditRow {
            subject: Some(grant.subject.id().clone()),
            client: Some(client.id.clone()),
            target: Some(grant.id.to_string()),
            ..self.audit(refused)
        };
        // RT-06: another client's token changes nothing, and nothing about its grant is revealed.
        if grant.client != client.id {
            let error = dead(Rule::RefreshTokenOfAnotherClient, form);
            return Err(self.refuse_with(row, client, error).await);
        }
        let allowed = self.still_allowed(client, grant.subject.id(), &grant.resource, &grant.scopes).await?;
        // All of these checks come before the rotation: a refused request must not cost the client its token (RT-07,
        // RT-08).
        let (scopes, user) = match self.scopes_of(&grant, request, allowed, form) {
            Ok(granted) => granted,
            Err(error) => return Err(self.refuse_with(row, client, error).await),
        };
        let access = AccessToken::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let lifetime = self.policy.access_lifetime(&grant.resource);
        let client_limit = client.scope_limit().cloned();
        let hash = access.hash();
        let new = NewAccessToken { hash, lifetime, scopes, user, client_origin: client.origin, client_limit };
        let request = self.rotation_of(client, &grant, claims, new);
        if matches!(
            grant.judge_refresh(&request.presented, request.now),
            RefreshVerdict::LateRetry | RefreshVerdict::Refused(RefreshRefusal::InDoubt)
        ) {
            // Whether the earlier answer was lost is decided by the recorded uses, so these are written first.
            self.report_uses().await.or_unavailable(self).await?;
        }
        let rotation = self.rotate(request).await.or_unavailable(self).await?;
        let refusal = refusal(&rotation);
        let rule = match self.answer(rotation, access) {
            Ok(response) => return Ok(response),
            Err(rule) => rule,
        };
        let error = dead(rule, form);
        let why = Diagnosis::from(&error).of(client);
        self.refuse_judged(refusal, row, why).await;
        Err(TokenRejection::because(error))
    }

    /// Finds the grant that a refresh token is of; `None` when the token is not one of ours, or its grant is gone.
    async fn grant_presented(
        &self,
        claims: Option<RefreshClaims>,
    ) -> Result<Option<(RefreshClaims, Grant)>, StoreFailed> {
        let Some(claims) = claims else { return Ok(None) };
        let found = self.services.store.find_grant(&self.tenant, claims.grant).await.or_unavailable(self).await?;
        Ok(found.map(|grant| (claims, grant)))
    }

    /// Says what the store is to do: whether it may, the rule decides inside the transaction.
    fn rotation_of(
        &self,
        client: &AuthenticatedClient,
        grant: &Grant,
        claims: RefreshClaims,
        access: NewAccessToken,
    ) -> RotateRefresh {
        let tokens = &self.policy.config.tokens;
        RotateRefresh {
            tenant: self.tenant.clone(),
            grant: grant.id,
            presented: PresentedRefresh {
                client: client.id.clone(),
                generation: claims.generation,
                grace: tokens.refresh_grace,
                lost_answer: tokens.refresh_lost_answer,
                clock_in_doubt: self.services.clock.is_in_doubt(),
            },
            access,
            idle: tokens.refresh_idle,
            now: self.now(),
            record_success: self.admit_row_of(AuditEvent::TokenRefreshed, grant.subject.id()),
            audit: AuditRow {
                subject: Some(grant.subject.id().clone()),
                client: Some(client.id.clone()),
                resource: Some(grant.resource.clone()),
                ..self.audit(AuditEvent::TokenRefreshed)
            },
        }
    }

    /// Decides the scopes of the new access token, `None` for all of the grant's; with the login name that goes with
    /// them. `allowed`: what the policy still allows, and whose grant it is.
    fn scopes_of(
        &self,
        grant: &Grant,
        request: RefreshRequest,
        allowed: Option<(ScopeSet, Arc<str>)>,
        form: &Form,
    ) -> Result<(Option<ScopeSet>, Arc<str>), OAuthError> {
        let policy = &self.policy;
        let resource = request.resource.map(|named| policy.named_at_token(named, &grant.resource));
        if let Some(resource) = resource.filter(|resource| *resource != grant.resource) {
            let error = OAuthError::new(Rule::ResourceDiffers, "the resource is not the one that was granted");
            return Err(error.came("resource", resource.as_str()).expected(show(grant.resource.as_str())));
        }
        let requested = request.scopes.map(|scopes| policy.known_to(grant, &scopes)).filter(|s| !s.is_empty());
        // RFC 6749 6: never more than was granted.
        if let Some(requested) = requested.as_ref().filter(|r| !r.is_subset(&grant.scopes)) {
            let error = OAuthError::new(Rule::ScopeExceedsGrant, "the scope is more than was granted");
            return Err(error.came("scope", &requested.to_string()).expected(format!("scopes of: {}", grant.scopes)));
        }
        let withdrawn = || dead(Rule::AccessWithdrawn, form);
        let (allowed, user) = allowed.ok_or_else(withdrawn)?;
        let scopes = requested.map_or_else(|| allowed.clone(), |r| r.intersection(&allowed));
        if scopes.is_empty() && !grant.scopes.is_empty() {
            return Err(withdrawn());
        }
        Ok(((scopes != grant.scopes).then_some(scopes), user))
    }

    /// Rotates and updates the cache in a task of its own: if the client hangs up meanwhile, the answer is lost, and
    /// that it was never used must still be recorded.
    async fn rotate(&self, request: RotateRefresh) -> Result<Rotation, StoreError> {
        let (store, cache) = (Arc::clone(&self.services.store), Arc::clone(&self.cache));
        let rotation = tokio::spawn(async move {
            let tenant = request.tenant.clone();
            let outcome = store.rotate_refresh_token(request).await;
            if let Ok(rotation) = &outcome {
                match rotation {
                    Rotation::Rotated(grant, _) => cache.note_issued(&tenant, grant.id, grant.generation),
                    Rotation::RetriedLate(grant, _, void) => {
                        void.iter().for_each(|token| cache.forget_token(token));
                        cache.note_issued(&tenant, grant.id, grant.generation);
                    }
                    // OAuth 2.1 4.3.1: the store has revoked the family; here its tokens are removed from the cache.
                    Rotation::Reused(grant) => cache.forget_grant(&tenant, *grant),
                    Rotation::Retried(..) | Rotation::Refused(_) | Rotation::Unknown => {}
                }
            }
            outcome
        });
        let ended = |error| StoreError::Unavailable(format!("the rotation of a refresh token did not finish: {error}"));
        rotation.await.unwrap_or_else(|error| Err(ended(error)))
    }

    fn answer(&self, rotation: Rotation, access: AccessToken) -> Result<TokenResponse, Rule> {
        let (event, grant, token) = match rotation {
            Rotation::Rotated(grant, token) | Rotation::Retried(grant, token) => {
                (ControlEvent::TokenRefreshed, grant, token)
            }
            Rotation::RetriedLate(grant, token, _) => (ControlEvent::RefreshRetriedLate, grant, token),
            Rotation::Reused(_) => {
                self.metrics.control(ControlEvent::RefreshReused);
                return Err(Rule::RefreshTokenReused);
            }
            Rotation::Refused(refusal) => {
                return Err(match refusal {
                    RefreshRefusal::Ahead => Rule::RefreshTokenAhead,
                    RefreshRefusal::InDoubt => Rule::RefreshTokenInDoubt,
                    RefreshRefusal::WrongClient => Rule::RefreshTokenOfAnotherClient,
                    RefreshRefusal::NotAllowed => Rule::RefreshNotGranted,
                    RefreshRefusal::Dead => Rule::RefreshTokenDead,
                });
            }
            Rotation::Unknown => return Err(Rule::RefreshTokenUnknown),
        };
        self.metrics.control(event);
        Ok(self.respond(access, &grant, *token))
    }
}

/// Returns event and reason of a refusal that changed nothing; `None` for what the store recorded itself.
const fn refusal(rotation: &Rotation) -> Option<(AuditEvent, &'static str)> {
    let reason = match rotation {
        Rotation::Rotated(..) | Rotation::Retried(..) | Rotation::RetriedLate(..) | Rotation::Reused(_) => return None,
        Rotation::Refused(RefreshRefusal::Ahead) => return Some((AuditEvent::StoreRollback, "ahead_of_store")),
        Rotation::Unknown => "unknown",
        Rotation::Refused(RefreshRefusal::Dead) => "dead",
        Rotation::Refused(RefreshRefusal::InDoubt) => "in_doubt",
        Rotation::Refused(RefreshRefusal::WrongClient) => "wrong_client",
        Rotation::Refused(RefreshRefusal::NotAllowed) => "not_allowed",
    };
    Some((AuditEvent::RefreshRefused, reason))
}
