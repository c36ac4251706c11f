//! Begins an authorization (RFC 6749 4.1.1): finds the client, checks the redirect URI and the request, and decides
//! what the browser does next.

use super::interaction::{AccessRequest, Pending, Purpose};
use super::waiting::not_let_in;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::face::Face;
use crate::issuer::rejection::ClientLink;
use crate::issuer::{AuthorizeRejection, IssuerRequest, Started, Step};
use crate::oauth::{
    AuthorizationRequest, AuthorizationResponse, Client, ClientOrigin, ClientStanding, Form, Lifetime, OAuthError,
    RedirectUri, RefusedRequest, Rule,
};
use crate::store::{AuditEvent, AuditRow, EphemeralStep, GrantFilter, LoginSession};

/// The configuration key of the limit on pages and forms.
const PAGE_RATE: &str = "rates.authorize_per_second";

/// What a client is told when the person who signed in may hold no token.
pub(super) const NOT_ADMITTED: &str = "this account may not hold a token for the resource";

impl IssuerRequest<'_> {
    /// Begins an authorization, or finishes it at once when the user need not be asked. `referer` is the `Referer` of a
    /// top-level navigation, not of a frame.
    ///
    /// # Errors
    /// `Page` until the redirect URI is verified, from then on `Redirect`, or `Unsolicited` for a client that the user
    /// does not know; `Throttled`, `Unavailable`.
    pub async fn begin_authorization(
        &self,
        query: Form,
        session: Option<&str>,
        referer: Option<&str>,
    ) -> Result<Started, AuthorizeRejection> {
        let policy = &self.policy;
        self.charge_authorization().await?;
        let request = AuthorizationRequest::new(query);
        // RFC 6749 4.1.2.1: client and redirect URI first. Until both are verified nobody is redirected anywhere.
        let id = match request.client_id() {
            Ok(id) => id,
            Err(error) => return Err(self.refuse_by_page(error, None, None).await),
        };
        let client = self.client_for_authorization(&id).await?;
        let redirect = match request.verify_redirect(&client, &policy.config.redirect_policy()) {
            Ok(redirect) => redirect,
            Err(error) => return Err(self.refuse_by_page(error, None, Some(&client)).await),
        };
        match request.validate(&client, redirect, &policy.request()) {
            Ok(request) => Box::pin(self.start(AccessRequest { client, request }, session, referer)).await,
            Err(refused) => {
                let session = self.live_session(session).await?;
                Err(self.refuse_to_client(*refused, &client, session.as_ref()).await)
            }
        }
    }

    async fn start(
        &self,
        asked: AccessRequest,
        session: Option<&str>,
        referer: Option<&str>,
    ) -> Result<Started, AuthorizeRejection> {
        let prompt = asked.request.prompt();
        let session = self.live_session(session).await?;
        let standing = self.policy.standing(&asked.client);
        if let Some(error) = not_let_in(&asked.client, standing).filter(|_| standing == ClientStanding::Rejected) {
            return Err(self.refuse_silently(asked, error, session.as_ref()).await);
        }
        let session = session.filter(|_| !prompt.login);
        let Some(session) = session else {
            if prompt.none {
                let error = OAuthError::new(Rule::LoginNeeded, "nobody is signed in");
                return Err(self.refuse_silently(asked, error, None).await);
            }
            let (_, transaction) = self.begin_transaction(Some(&asked), None).await?;
            return Ok(Started { step: Step::LogIn, transaction: Some(transaction) });
        };
        let may = self.may_approve(&session.subject, &asked).await?;
        let granted = match &may {
            Some(may) => self.consent_is_remembered(&asked, &session, may, referer).await?,
            None => None,
        };
        if prompt.none && granted.is_none() {
            let error = match (may, not_let_in(&asked.client, standing)) {
                (Some(_), Some(error)) => error,
                (Some(_), None) => OAuthError::new(Rule::ConsentNeeded, "consent is needed"),
                (None, _) => OAuthError::new(Rule::AccountNotAdmitted, NOT_ADMITTED),
            };
            return Err(self.refuse_silently(asked, error, Some(&session)).await);
        }
        let (interaction, transaction) = self.begin_transaction(Some(&asked), Some(&session)).await?;
        if let Some(granted) = granted {
            let location = self.issue_code_silently(&interaction, &asked, &session, granted).await?;
            return Ok(Started { step: Step::Redirect(location), transaction: None });
        }
        Ok(Started { step: Step::Consent, transaction: Some(transaction) })
    }

    /// Refuses a valid request without a page of ours: a page may not be shown, or would be of no use.
    async fn refuse_silently(
        &self,
        asked: AccessRequest,
        error: OAuthError,
        session: Option<&LoginSession>,
    ) -> AuthorizeRejection {
        let refused = asked.request.refuse(error);
        self.refuse_to_client(refused, &asked.client, session).await
    }

    /// Charges one authorization request to the budget of the caller's address.
    pub(in crate::issuer) async fn charge_authorization(&self) -> Result<(), AuthorizeRejection> {
        let Err(wait) = self.throttle.charge_authorization(self.caller, &self.policy.config.rates) else {
            return Ok(());
        };
        self.refuse_authorization(Diagnosis::from(Rule::RateLimited).by(PAGE_RATE)).await;
        Err(AuthorizeRejection::Throttled(wait))
    }

    /// Charges one page or form to the budget of the caller's address, before the store or a body is read.
    ///
    /// # Errors
    /// `Throttled`.
    pub async fn admit_form(&self) -> Result<(), AuthorizeRejection> {
        let Err(wait) = self.throttle.charge_form(self.caller, &self.policy.config.rates) else { return Ok(()) };
        self.record_refused(Face::Page, Diagnosis::from(Rule::RateLimited).by(PAGE_RATE)).await;
        Err(AuthorizeRejection::Throttled(wait))
    }

    /// Records that a transaction cannot continue; the log gets `rule` as the reason, the page does not.
    pub(in crate::issuer) async fn gone(&self, rule: Rule) -> AuthorizeRejection {
        self.refuse_authorization(rule.into()).await;
        AuthorizeRejection::Gone
    }

    /// Records that a transaction was not finished in time; the rejection says how to start it again.
    pub(in crate::issuer) async fn expired(&self, pending: Pending, after: Lifetime) -> AuthorizeRejection {
        self.refuse_authorization(Rule::SignInExpired.into()).await;
        let asked = match pending.purpose {
            Purpose::Account => return AuthorizeRejection::Expired { after, again: "/account".to_owned() },
            Purpose::Authorization(asked) => asked,
        };
        let again = format!("/authorize?{}", asked.request.to_query(&asked.client.id));
        let waited = pending.interaction.step == EphemeralStep::Consent;
        match not_let_in(&asked.client, self.policy.standing(&asked.client)).filter(|_| waited) {
            Some(error) => {
                let RefusedRequest { redirect, state, error } = asked.request.refuse(error);
                let issuer = &self.policy.config.public_url;
                let back = AuthorizationResponse::refusal(&redirect, &error, state.as_deref(), issuer);
                AuthorizeRejection::WaitedInVain { after, again, back: ClientLink::to(&redirect, back) }
            }
            None => AuthorizeRejection::Expired { after, again },
        }
    }

    /// Records that a transaction was already decided.
    pub(in crate::issuer) async fn finished(&self) -> AuthorizeRejection {
        self.refuse_authorization(Rule::SignInEnded.into()).await;
        AuthorizeRejection::Finished
    }

    /// Records a refusal that is shown on our own origin. `detail` is for log and audit trail, never for the page.
    pub(in crate::issuer) async fn refuse_by_page(
        &self,
        error: OAuthError,
        detail: Option<&str>,
        client: Option<&Client>,
    ) -> AuthorizeRejection {
        let why = Diagnosis::from(&error).because(detail);
        self.refuse_authorization(client.map_or(why, |client| why.of(client))).await;
        AuthorizeRejection::Page(error)
    }

    /// Records a refusal that is meant for the client, and decides how it is sent.
    async fn refuse_to_client(
        &self,
        refused: RefusedRequest,
        client: &Client,
        session: Option<&LoginSession>,
    ) -> AuthorizeRejection {
        self.refuse_authorization(Diagnosis::from(&refused.error).of(client)).await;
        let is_known = match self.is_known_to_user(client, refused.redirect.uri(), session).await {
            Ok(is_known) => is_known,
            Err(unavailable) => return unavailable,
        };
        let issuer = &self.policy.config.public_url;
        let RefusedRequest { redirect, state, error } = refused;
        let location = AuthorizationResponse::refusal(&redirect, &error, state.as_deref(), issuer);
        if is_known {
            return AuthorizeRejection::Redirect(location);
        }
        AuthorizeRejection::Unsolicited { error, link: ClientLink::to(&redirect, location) }
    }

    /// Returns whether a browser may be sent to a client of which its user has seen no page yet.
    ///
    /// RFC 9700 4.11.2: anybody can register a client, so a link to the gateway must not lead on to an arbitrary site
    /// or launch a program. Exempt are servers on the user's own machine, clients that an operator added, publishers
    /// that the operator trusts, and clients that this user has connected before.
    async fn is_known_to_user(
        &self,
        client: &Client,
        redirect: &RedirectUri,
        session: Option<&LoginSession>,
    ) -> Result<bool, AuthorizeRejection> {
        let is_vouched_for = client.origin == ClientOrigin::Manual || self.policy.publisher(client).is_some();
        if is_vouched_for || redirect.is_loopback() {
            return Ok(true);
        }
        let Some(session) = session else { return Ok(false) };
        let theirs = GrantFilter::of_account(&self.tenant, &session.subject);
        let of = GrantFilter { client: Some(client.id.clone()), ..theirs };
        let grants = self.services.store.list_grants(&of, self.now()).await;
        Ok(!grants.or_unavailable(self).await?.is_empty())
    }

    pub(in crate::issuer) async fn refuse_authorization(&self, why: Diagnosis<'_>) {
        let row = self.audit(AuditEvent::AuthorizationRefused);
        self.refuse(AuditRow { client: why.client_id(), ..row }, why).await;
    }
}
