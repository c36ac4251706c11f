//! The code grant (RFC 6749 4.1.3): checks the policy, then one store call checks and consumes the code and issues the
//! token.

use std::sync::Arc;

use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::rejection::StoreFailed;
use crate::issuer::{IssuerRequest, TokenRejection};
use crate::oauth::{
    AccessToken, AuthenticatedClient, CodeHash, CodeRecord, CodeRefusal, CodeRequest, CodeVerifier, Form, GrantType,
    OAuthError, PresentedCode, Rule, ScopeSet, TokenResponse, redirect_difference, show,
};
use crate::store::{AuditEvent, AuditRow, NewAccessToken, RedeemCode, Redemption};
use crate::telemetry::ControlEvent;

impl IssuerRequest<'_> {
    /// Answers a token request with an authorization code.
    pub(in crate::issuer) async fn redeem_authorization_code(
        &self,
        client: &AuthenticatedClient,
        form: &Form,
        request: CodeRequest,
    ) -> Result<TokenResponse, TokenRejection> {
        let refused = AuditEvent::CodeRefused;
        let Some(record) = self.code_presented(request.code).await? else {
            return Err(self.refuse_token(refused, client, dead(Rule::CodeUnknown, form)).await);
        };
        let row = AuditRow {
            subject: Some(record.subject.clone()),
            client: Some(client.id.clone()),
            target: Some(record.grant.to_string()),
            ..self.audit(refused)
        };
        let mut allowed = None;
        // Another client's code is left to the store alone, so that this client learns nothing about its owner's
        // account. So is a damaged one, whose content cannot be trusted.
        if record.client == client.id && record.challenge.is_some() {
            let (subject, resource) = (&record.subject, &record.resource);
            allowed = self.still_allowed(client, subject, resource, &record.scopes).await?;
            if allowed.is_none() {
                return Err(self.refuse_with(row, client, dead(Rule::AccessWithdrawn, form)).await);
            }
        }
        let access = AccessToken::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let new = NewAccessToken {
            hash: access.hash(),
            lifetime: client.lifetimes.of_access(&self.policy.lifetimes(&record.resource)),
            user: allowed.as_ref().map_or_else(|| "".into(), |(_, user)| Arc::clone(user)),
            scopes: allowed.map(|(scopes, _)| scopes).filter(|a| *a != record.scopes),
            included: ScopeSet::default(),
            client_origin: client.origin,
            client_limit: client.scope_limit().cloned(),
        };
        let redemption = self.redemption_of(client, &record, request, new);
        let (refusal, error) = match self.services.store.redeem_code(redemption).await.or_unavailable(self).await? {
            Redemption::Redeemed(grant, token) => {
                self.metrics.control(ControlEvent::TokenIssued);
                let (hash, resource) = (token.hash, grant.resource.clone());
                let response = self.respond(access, &grant, *token);
                self.await_arrival(hash, client, grant.subject.id().clone(), resource);
                return Ok(response);
            }
            // OAuth 2.1 4.1.3: the store has revoked the grant; here its tokens are removed from the cache.
            Redemption::Replayed(ended) => {
                ended.into_iter().for_each(|grant| self.forget_grant(grant));
                self.metrics.control(ControlEvent::CodeReplayed);
                // If the store revoked something, it has recorded that itself.
                (ended.is_none().then_some((refused, "replayed")), dead(Rule::CodeReplayed, form))
            }
            Redemption::Refused(refusal) => (Some(recorded(refusal)), error_of(refusal, form, &record)),
            // It existed a moment ago.
            Redemption::Unknown => (Some((refused, "unknown")), dead(Rule::CodeDead, form)),
        };
        let why = Diagnosis::from(&error).of(client);
        self.refuse_judged(refusal, row, why).await;
        Err(TokenRejection::because(error))
    }

    /// Finds a code. CR-08: one whose format or MAC is not ours never reaches the store.
    async fn code_presented(&self, code: Option<CodeHash>) -> Result<Option<CodeRecord>, StoreFailed> {
        let Some(code) = code else { return Ok(None) };
        self.services.store.find_code(&self.tenant, &code).await.or_unavailable(self).await
    }

    /// Says what the store is to do: whether it may, the rule decides inside the transaction.
    fn redemption_of(
        &self,
        client: &AuthenticatedClient,
        record: &CodeRecord,
        request: CodeRequest,
        access: NewAccessToken,
    ) -> RedeemCode {
        let (idle, grant_lifetime) = client.lifetimes.of_refresh(&self.policy.lifetimes(&record.resource));
        RedeemCode {
            tenant: self.tenant.clone(),
            code: record.hash,
            presented: PresentedCode {
                client: client.id.clone(),
                verifier: request.verifier,
                redirect_uri: request.redirect_uri,
                resource: request.resource.map(|named| self.policy.named_at_token(named, &record.resource)),
            },
            access,
            may_refresh: client.metadata.grant_types.contains(&GrantType::RefreshToken),
            by_assertion: client.by_assertion(),
            grant_lifetime,
            idle,
            now: self.now(),
            audit: AuditRow {
                subject: Some(record.subject.clone()),
                client: Some(client.id.clone()),
                ..self.audit(AuditEvent::CodeRedeemed)
            },
        }
    }
}

fn dead(rule: Rule, form: &Form) -> OAuthError {
    let words = "the code is invalid, expired or was used before";
    OAuthError::new(rule, words).came("code", form.get("code").unwrap_or_default())
}

/// Makes the error for the client that sent this form; `granted` is what the code was for, for the log.
fn error_of(refusal: CodeRefusal, form: &Form, granted: &CodeRecord) -> OAuthError {
    let sent = |name| form.get(name).unwrap_or_default();
    match refusal {
        CodeRefusal::WrongVerifier => {
            let problem = form.get("code_verifier").map(CodeVerifier::problem);
            let words = match problem {
                None => "code_verifier is missing".to_owned(),
                Some(Some(problem)) => format!("code_verifier {problem}"),
                Some(None) => "code_verifier does not match the code_challenge: it must be the text whose SHA-256 was \
                               sent with the authorization request"
                    .to_owned(),
            };
            OAuthError::new(Rule::VerifierWrong, words).came("code_verifier", sent("code_verifier"))
        }
        CodeRefusal::WrongRedirect => {
            let parts = redirect_difference(sent("redirect_uri"), std::slice::from_ref(&granted.redirect));
            let words = match form.get("redirect_uri") {
                Some(_) if !parts.is_empty() => {
                    format!("the redirect_uri is not that of the authorization request: it differs in the {parts}")
                }
                Some(_) => "the redirect_uri is not that of the authorization request".to_owned(),
                None => "the redirect_uri of the authorization request is missing".to_owned(),
            };
            let error = OAuthError::new(Rule::RedirectUriDiffers, words).came("redirect_uri", sent("redirect_uri"));
            error.expected(show(granted.redirect.as_str()))
        }
        CodeRefusal::WrongResource => {
            let error = OAuthError::new(Rule::ResourceDiffers, "the resource is not the one that was granted");
            error.came("resource", sent("resource")).expected(show(granted.resource.as_str()))
        }
        CodeRefusal::Damaged => dead(Rule::CodeDamaged, form),
        CodeRefusal::WrongClient => dead(Rule::CodeOfAnotherClient, form),
        CodeRefusal::Dead => dead(Rule::CodeDead, form),
    }
}

/// Returns event and reason for the audit row of a refusal.
const fn recorded(refusal: CodeRefusal) -> (AuditEvent, &'static str) {
    let reason = match refusal {
        CodeRefusal::Damaged => return (AuditEvent::StoreInvariant, "a code does not match its seal"),
        CodeRefusal::Dead => "dead",
        CodeRefusal::WrongVerifier => "wrong_verifier",
        CodeRefusal::WrongClient => "wrong_client",
        CodeRefusal::WrongRedirect => "wrong_redirect_uri",
        CodeRefusal::WrongResource => "wrong_resource",
    };
    (AuditEvent::CodeRefused, reason)
}
