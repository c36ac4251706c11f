//! The refresh grant (RFC 6749 6, OAuth 2.1 4.3): checks the policy, then one store call checks and rotates the token.

use std::sync::Arc;

use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Why;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AccessToken, Client, Form, Grant, OAuthError, PresentedRefresh, RefreshClaims, RefreshRefusal, RefreshVerdict,
    ResourceIndicator, Rule, ScopeSet, TokenResponse, show,
};
use crate::store::{AuditEvent, AuditRow, NewAccessToken, RotateRefresh, Rotation, StoreError};
use crate::telemetry::ControlEvent;

/// The parameters of a refresh request.
pub(in crate::issuer) struct RefreshAtToken<'a> {
    /// The whole form, for the log.
    pub(in crate::issuer) form: &'a Form,
    pub(in crate::issuer) claims: Option<RefreshClaims>,
    pub(in crate::issuer) scopes: Option<ScopeSet>,
    pub(in crate::issuer) resource: Option<ResourceIndicator>,
}

fn dead(rule: Rule, form: &Form) -> OAuthError {
    let words = "the refresh token is invalid, expired or revoked";
    OAuthError::new(rule, words).came("refresh_token", form.get("refresh_token").unwrap_or_default())
}

impl IssuerRequest<'_> {
    #[allow(clippy::too_many_lines, reason = "the steps of a refresh, in their order")]
    pub(in crate::issuer) async fn refresh(
        &self,
        client: &Client,
        presented: RefreshAtToken<'_>,
    ) -> Result<TokenResponse, TokenRejection> {
        let (refused, form) = (AuditEvent::RefreshRefused, presented.form);
        let Some(claims) = presented.claims else {
            return Err(self.refuse_token(refused, client, dead(Rule::RefreshTokenUnknown, form)).await);
        };
        let found = self.services.store.find_grant(&self.tenant, claims.grant).await.or_unavailable(self).await?;
        // RT-06: another client's token changes nothing, and nothing about its grant is revealed.
        let Some(grant) = found else {
            return Err(self.refuse_token(refused, client, dead(Rule::RefreshTokenUnknown, form)).await);
        };
        let row = AuditRow {
            subject: Some(grant.subject.id().clone()),
            client: Some(client.id.clone()),
            target: Some(grant.id.to_string()),
            ..self.audit(refused)
        };
        if grant.client != client.id {
            let error = dead(Rule::RefreshTokenOfAnotherClient, form);
            return Err(self.refuse_with(row, client, error).await);
        }
        let policy = &self.policy;
        let allowed = self.still_allowed(client, grant.subject.id(), &grant.resource, &grant.scopes).await?;
        let (allowed, user) = allowed.map_or_else(|| (None, "".into()), |(scopes, user)| (Some(scopes), user));
        // All of these checks come before the rotation: a refused request must not cost the client its token (RT-07,
        // RT-08).
        let requested = presented.scopes.map(|scopes| policy.known_to(&grant, &scopes)).filter(|s| !s.is_empty());
        let resource = presented.resource.map(|named| policy.named_at_token(named, &grant.resource));
        let scopes = match scopes_of(&grant, requested, resource, allowed, form) {
            Ok(scopes) => scopes,
            Err(error) => return Err(self.refuse_with(row, client, error).await),
        };
        let tokens = &policy.config.tokens;
        let own = policy.upstream(&grant.resource).and_then(|u| u.access_lifetime);
        let access = AccessToken::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let request = RotateRefresh {
            tenant: self.tenant.clone(),
            grant: grant.id,
            presented: PresentedRefresh {
                client: client.id.clone(),
                generation: claims.generation,
                grace: tokens.refresh_grace,
                lost_answer: tokens.refresh_lost_answer,
                clock_in_doubt: self.services.clock.is_in_doubt(),
            },
            access: NewAccessToken { hash: access.hash(), lifetime: own.unwrap_or(tokens.access), scopes, user },
            idle: tokens.refresh_idle,
            now: self.now(),
            record_success: self.is_worth_a_row(AuditEvent::TokenRefreshed, grant.subject.id()),
            audit: AuditRow {
                subject: Some(grant.subject.id().clone()),
                client: Some(client.id.clone()),
                resource: Some(grant.resource.clone()),
                ..self.audit(AuditEvent::TokenRefreshed)
            },
        };
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
        let why = Why::from(&error).of(client);
        self.refuse_judged(refusal, row, why).await;
        Err(TokenRejection::because(error))
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
        let ended = |error| StoreError::Unavailable(format!("the rotation of a refresh token did not end: {error}"));
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

/// Returns the scopes of the new access token; without `requested`, all of the grant's.
fn scopes_of(
    grant: &Grant,
    requested: Option<ScopeSet>,
    resource: Option<ResourceIndicator>,
    allowed: Option<ScopeSet>,
    form: &Form,
) -> Result<Option<ScopeSet>, OAuthError> {
    if let Some(resource) = resource.filter(|r| *r != grant.resource) {
        let error = OAuthError::new(Rule::ResourceDiffers, "the resource is not the one that was granted");
        return Err(error.came("resource", resource.as_str()).expected(show(grant.resource.as_str())));
    }
    // RFC 6749 6: never more than was granted.
    if let Some(requested) = requested.as_ref().filter(|r| !r.is_subset(&grant.scopes)) {
        let error = OAuthError::new(Rule::ScopeExceedsGrant, "the scope is more than was granted");
        return Err(error.came("scope", &requested.to_string()).expected(format!("scopes of: {}", grant.scopes)));
    }
    let withdrawn = || dead(Rule::AccessWithdrawn, form);
    let allowed = allowed.ok_or_else(withdrawn)?;
    let scopes = requested.map_or_else(|| allowed.clone(), |r| r.intersection(&allowed));
    if scopes.is_empty() && !grant.scopes.is_empty() {
        return Err(withdrawn());
    }
    Ok((scopes != grant.scopes).then_some(scopes))
}
