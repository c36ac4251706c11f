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

/// What a grant may still give.
struct HeldScopes {
    /// The scopes that were granted.
    own: ScopeSet,
    /// Those that they include, which a client may ask for by name.
    included: ScopeSet,
    /// The login name of the grant's account.
    user: Arc<str>,
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
        let held = self.still_held(client, &grant).await?;
        // All of these checks come before the rotation: a refused request must not cost the client its token (RT-07,
        // RT-08).
        let (scopes, HeldScopes { included, user, .. }) = match self.scopes_of(&grant, request, held, form) {
            Ok(granted) => granted,
            Err(error) => return Err(self.refuse_with(row, client, error).await),
        };
        let access = AccessToken::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let lifetime = client.lifetimes.of_access(&self.policy.lifetimes(&grant.resource));
        let client_limit = client.scope_limit().cloned();
        let hash = access.hash();
        let new = NewAccessToken { hash, lifetime, scopes, included, user, client_origin: client.origin, client_limit };
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
                by_assertion: client.by_assertion(),
                generation: claims.generation,
                grace: tokens.refresh_grace,
                lost_answer: tokens.refresh_lost_answer,
                clock_in_doubt: self.services.clock.is_in_doubt(),
            },
            access,
            idle: client.lifetimes.of_refresh(&self.policy.lifetimes(&grant.resource)).0,
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

    /// Returns what a grant may still give; `None` when nothing is left.
    async fn still_held(&self, client: &AuthenticatedClient, grant: &Grant) -> Result<Option<HeldScopes>, StoreFailed> {
        let included = |scopes: &ScopeSet| self.policy.included(&grant.resource, scopes);
        let all = grant.scopes.union(&included(&grant.scopes));
        let allowed = self.still_allowed(client, grant.subject.id(), &grant.resource, &all).await?;
        let held = |(allowed, user): (ScopeSet, Arc<str>)| {
            let own = grant.scopes.intersection(&allowed);
            HeldScopes { included: included(&own).intersection(&allowed), own, user }
        };
        Ok(allowed.map(held).filter(|held| grant.scopes.is_empty() || !held.own.is_empty()))
    }

    /// Decides the scopes of the new access token, `None` for all of the grant's, given what the grant still holds.
    fn scopes_of(
        &self,
        grant: &Grant,
        request: RefreshRequest,
        held: Option<HeldScopes>,
        form: &Form,
    ) -> Result<(Option<ScopeSet>, HeldScopes), OAuthError> {
        let policy = &self.policy;
        let resource = request.resource.map(|named| policy.named_at_token(named, &grant.resource));
        if let Some(resource) = resource.filter(|resource| *resource != grant.resource) {
            let error = OAuthError::new(Rule::ResourceDiffers, "the resource is not the one that was granted");
            return Err(error.came("resource", resource.as_str()).expected(show(grant.resource.as_str())));
        }
        let requested = request.scopes.map(|scopes| policy.known_to(grant, &scopes)).filter(|s| !s.is_empty());
        // RFC 6749 6: never more than was granted. What a granted scope includes was granted with it.
        let granted = held.as_ref().map_or_else(|| grant.scopes.clone(), |held| grant.scopes.union(&held.included));
        if let Some(requested) = requested.as_ref().filter(|r| !r.is_subset(&granted)) {
            let error = OAuthError::new(Rule::ScopeExceedsGrant, "the scope is more than was granted");
            return Err(error.came("scope", &requested.to_string()).expected(format!("scopes of: {}", grant.scopes)));
        }
        let withdrawn = || dead(Rule::AccessWithdrawn, form);
        let held = held.ok_or_else(withdrawn)?;
        let scopes = requested.map_or_else(|| held.own.clone(), |r| r.intersection(&held.own.union(&held.included)));
        if scopes.is_empty() && !grant.scopes.is_empty() {
            return Err(withdrawn());
        }
        Ok(((scopes != grant.scopes).then_some(scopes), held))
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
                    RefreshRefusal::NoAssertion => Rule::RefreshNeedsAssertion,
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
        Rotation::Refused(RefreshRefusal::NoAssertion) => "no_assertion",
    };
    Some((AuditEvent::RefreshRefused, reason))
}
