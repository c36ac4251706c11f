//! Begins an authorization (RFC 6749 4.1.1): who asks, where the answer goes, whether the request obeys the rules, and
//! what the browser does next.

use super::interaction::Asked;
use super::{AuthorizeRejection, Caller, Issuer, Started, Step};
use crate::config::Rates;
use crate::oauth::{
    AuthorizationRequest, AuthorizationResponse, ClientId, ErrorCode, Form, OAuthError, RefusedRequest,
};
use crate::store::{AuditEvent, AuditRow};

impl Issuer {
    /// Begins an authorization, or finishes it at once when nothing need be asked.
    ///
    /// # Errors
    /// `Page` until the redirect URI is verified, `Redirect` from then on, `Throttled`, `Unavailable`.
    pub async fn begin_authorization(
        &self,
        query: Form,
        session: Option<&str>,
        caller: &Caller,
    ) -> Result<Started, AuthorizeRejection> {
        let policy = self.policy();
        self.within_budget(&policy.config.rates, caller).await?;
        let request = AuthorizationRequest::new(query);
        // RFC 6749 4.1.2.1: client and redirect URI first. Until both hold nobody is redirected anywhere.
        let id = match request.client_id() {
            Ok(id) => id,
            Err(error) => return Err(self.refuse_by_page(error, "client_id", None, caller).await),
        };
        let client = self.client_for_authorization(&id, caller).await?;
        let redirect = match request.verify_redirect(&client, &policy.config.own_origins()) {
            Ok(redirect) => redirect,
            Err(error) => return Err(self.refuse_by_page(error, "redirect_uri", Some(&id), caller).await),
        };
        match request.validate(&client, redirect, &policy.request()) {
            Ok(request) => self.start(Asked { client, request }, session, caller).await,
            Err(refused) => Err(self.refuse_by_redirect(*refused, &id, caller).await),
        }
    }

    async fn start(&self, asked: Asked, session: Option<&str>, caller: &Caller) -> Result<Started, AuthorizeRejection> {
        let prompt = asked.request.prompt;
        let session = self.live_session(session, caller).await?.filter(|_| !prompt.login);
        let Some(session) = session else {
            if prompt.none {
                return Err(self.refuse_silently(asked, ErrorCode::LoginRequired, "nobody is logged in", caller).await);
            }
            let (_, transaction) = self.begin_transaction(Some(&asked), None, caller).await?;
            return Ok(Started { step: Step::LogIn, transaction: Some(transaction) });
        };
        let granted = self.consent_is_remembered(&asked, &session, caller).await?;
        if prompt.none && !granted {
            return Err(self.refuse_silently(asked, ErrorCode::ConsentRequired, "consent is needed", caller).await);
        }
        let (interaction, transaction) = self.begin_transaction(Some(&asked), Some(&session), caller).await?;
        if granted {
            let location = self.issue_code_silently(&interaction, &asked, &session, caller).await?;
            return Ok(Started { step: Step::Redirect(location), transaction: None });
        }
        Ok(Started { step: Step::Consent, transaction: Some(transaction) })
    }

    /// Refuses because nothing may be shown (`prompt=none`) and something would have to be.
    async fn refuse_silently(
        &self,
        asked: Asked,
        code: ErrorCode,
        words: &'static str,
        caller: &Caller,
    ) -> AuthorizeRejection {
        let error = OAuthError::new(code, words);
        let refused = RefusedRequest { redirect: asked.request.redirect, state: asked.request.state, error };
        self.refuse_by_redirect(refused, &asked.client.id, caller).await
    }

    /// Takes one request from the budget of its address.
    pub(super) async fn within_budget(&self, rates: &Rates, caller: &Caller) -> Result<(), AuthorizeRejection> {
        let Err(wait) = self.throttle.authorize(caller, rates) else { return Ok(()) };
        self.record_refused_authorization("rate_limited".to_owned(), None, caller).await;
        Err(AuthorizeRejection::Throttled(wait))
    }

    /// Records that a transaction cannot go on; `detail` says why, which the page does not.
    pub(super) async fn gone(&self, detail: &'static str, caller: &Caller) -> AuthorizeRejection {
        self.record_refused_authorization(detail.to_owned(), None, caller).await;
        AuthorizeRejection::Gone
    }

    /// Records that a transaction was decided before.
    pub(super) async fn finished(&self, caller: &Caller) -> AuthorizeRejection {
        self.record_refused_authorization("transaction_ended".to_owned(), None, caller).await;
        AuthorizeRejection::Finished
    }

    /// Records a refusal that is shown on our own origin. `detail` is for the audit trail, never for the page.
    pub(super) async fn refuse_by_page(
        &self,
        error: OAuthError,
        detail: &str,
        client: Option<&ClientId>,
        caller: &Caller,
    ) -> AuthorizeRejection {
        self.record_refused_authorization(format!("{} ({detail})", error.code().as_str()), client, caller).await;
        AuthorizeRejection::Page(error)
    }

    /// Records a refusal that goes to the client, and says where.
    pub(super) async fn refuse_by_redirect(
        &self,
        refused: RefusedRequest,
        client: &ClientId,
        caller: &Caller,
    ) -> AuthorizeRejection {
        self.record_refused_authorization(refused.error.code().as_str().to_owned(), Some(client), caller).await;
        let issuer = &self.config.load().public_url;
        let RefusedRequest { redirect, state, error } = refused;
        AuthorizeRejection::Redirect(AuthorizationResponse::refusal(&redirect, &error, state.as_deref(), issuer))
    }

    pub(super) async fn record_refused_authorization(
        &self,
        reason: String,
        client: Option<&ClientId>,
        caller: &Caller,
    ) {
        let row = self.audit(AuditEvent::AuthorizationRefused, caller);
        self.record_refusal(AuditRow { client: client.cloned(), reason: Some(reason), ..row }).await;
    }
}
