//! Consent: what the page shows, the user's decision, and the code that follows an approval.

use zeroize::Zeroizing;

use super::authorize::NOT_ADMITTED;
use super::interaction::{AccessRequest, Purpose};
use super::remembered::{ApprovedBefore, Memory};
use super::waiting::not_let_in;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::client::identity::display_name;
use crate::issuer::{AuthorizeRejection, ConsentView, Decision, Handles, IssuerRequest, LoginView, NoAccessView, View};
use crate::oauth::{
    AuthorizationCode, AuthorizationResponse, ClientLocation, CodeRecord, Digest, DocumentSource, Exclusions, Grant,
    GrantId, GrantType, OAuthError, RefusedRequest, Rule, ScopeSet, Timestamp, ValidatedRequest,
};
use crate::store::{AuditEvent, AuditRow, Consent, Ephemeral, EphemeralStep, GrantFilter, LoginSession, Update};
use crate::telemetry::ControlEvent;

/// What a user approved, now or before.
struct Approval {
    code: AuthorizationCode,
    scopes: ScopeSet,
    exclusions: Exclusions,
    /// When the user was shown what they approved.
    shown_at: Timestamp,
    remember: Option<Consent>,
    event: AuditEvent,
}

impl IssuerRequest<'_> {
    /// Carries out the user's decision; returns the Location that leads to the client with a code or an error.
    ///
    /// # Errors
    /// `NothingApproved`, `PartLeftOut`, `TooMuchLeftOut`, `NotApproved`; `Gone` when the transaction has expired or is
    /// another session's; `Finished` when it was decided before; `Page` when its client is no longer accepted;
    /// `Unavailable`.
    pub async fn decide(&self, handles: &Handles, decision: Decision) -> Result<ClientLocation, AuthorizeRejection> {
        let pending = self.transaction(handles).await?;
        let session = self.live_session(handles.session.as_deref()).await?;
        // Only the session that saw the page may decide, not another one of the same user.
        let bound = session.filter(|s| pending.interaction.session == Some(s.hash));
        let (Some(session), Purpose::Authorization(asked)) = (bound, pending.purpose) else {
            return Err(self.gone(Rule::SignInOfAnotherSession).await);
        };
        match pending.interaction.step {
            EphemeralStep::Consent => {}
            EphemeralStep::Ended => return self.decided_before(handles, &asked, &session, &decision).await,
            EphemeralStep::LogIn => return Err(self.gone(Rule::SignInBeforeLogin).await),
        }
        let not_let_in = not_let_in(&asked.client, self.policy.standing(&asked.client));
        if not_let_in.is_some() && matches!(decision, Decision::Approve(_)) {
            return Err(AuthorizeRejection::NotApproved);
        }
        let offer = self.offer(&asked, &session).await?;
        let granted = match (&decision, &offer) {
            (Decision::Deny, _) => None,
            (Decision::Approve(_), None) => return Err(AuthorizeRejection::NothingApproved),
            (Decision::Approve(ticked), Some(offer)) => {
                let left = self.granted(&asked, &ticked.scopes, offer);
                // Approving with no scope left decides nothing.
                if left.is_empty() && !asked.request.scopes().is_empty() {
                    return Err(AuthorizeRejection::NothingApproved);
                }
                if self.leaves_out_a_part(&asked, &left, offer) {
                    return Err(AuthorizeRejection::PartLeftOut);
                }
                let exclusions = ticked.exclusions(&offer.left_out).ok_or(AuthorizeRejection::TooMuchLeftOut)?;
                Some((left, exclusions, ticked.shown_at.min(self.now())))
            }
        };
        let Some((scopes, exclusions, shown_at)) = granted else {
            let error = match (offer, not_let_in) {
                (Some(_), Some(error)) => error,
                (Some(_), None) => OAuthError::new(Rule::UserDenied, "the user denied the request"),
                (None, _) => OAuthError::new(Rule::AccountNotAdmitted, NOT_ADMITTED),
            };
            return self.deny(&pending.interaction, *asked, &session, error).await;
        };
        let remember = self.to_remember(&asked, &session, (scopes.clone(), exclusions.clone()), shown_at);
        let code = self.code_of(handles);
        let approval = Approval { code, scopes, exclusions, shown_at, remember, event: AuditEvent::ConsentGiven };
        match self.issue_code(&pending.interaction, &asked, &session, approval).await? {
            Some(location) => Ok(location),
            None => self.decided_before(handles, &asked, &session, &decision).await,
        }
    }

    /// Answers a form that was sent twice. The browser shows the answer to the second click, so it must equal the
    /// first: the same code, as long as that is unused (CN-18). A form with other ticks is another decision: it must
    /// not get a code for scopes that are not ticked on it.
    async fn decided_before(
        &self,
        handles: &Handles,
        asked: &AccessRequest,
        session: &LoginSession,
        decision: &Decision,
    ) -> Result<ClientLocation, AuthorizeRejection> {
        let code = self.code_of(handles);
        let (found, ticked) = match decision {
            Decision::Approve(ticked) => (self.services.store.find_code(&self.tenant, &code.hash()).await, ticked),
            Decision::Deny => return Err(self.finished().await),
        };
        let offer = self.offer(asked, session).await?.unwrap_or_default();
        let left_out = ticked.exclusions(&offer.left_out);
        let waits = |c: &CodeRecord| {
            c.used_at.is_none()
                && c.scopes == self.granted(asked, &ticked.scopes, &offer)
                && Some(&c.exclusions) == left_out.as_ref()
                && self.now() < c.expires_at
                && c.challenge.is_some()
                && c.subject == session.subject
        };
        match found.or_unavailable(self).await?.filter(waits) {
            Some(_) => Ok(self.success(&asked.request, &code)),
            None => Err(self.finished().await),
        }
    }

    /// Returns the newest grant that the user gave the client for the resource, if it stands.
    pub(in crate::issuer) async fn held(
        &self,
        asked: &AccessRequest,
        session: &LoginSession,
    ) -> Result<Option<Grant>, AuthorizeRejection> {
        let theirs = GrantFilter::of_account(&self.tenant, &session.subject);
        let of = GrantFilter { client: Some(asked.client.id.clone()), ..theirs };
        let grants = self.services.store.list_grants(&of, self.now()).await.or_unavailable(self).await?;
        Ok(grants.into_iter().find(|grant| grant.resource == *asked.request.resource()))
    }

    /// Derives the code of a consent form, so that sending the form again gives the same code. It takes both handles,
    /// 256 random bits each, and the server's key.
    fn code_of(&self, handles: &Handles) -> AuthorizationCode {
        let cookie = handles.cookie.as_deref().unwrap_or_default();
        let both = Zeroizing::new(format!("code of {} {cookie}", handles.transaction));
        AuthorizationCode::mint(*Digest::<str>::of(both.as_bytes()).as_bytes(), &self.services.keys.load())
    }

    fn success(&self, request: &ValidatedRequest, code: &AuthorizationCode) -> ClientLocation {
        let (state, issuer) = (request.state(), &self.policy.config.public_url);
        AuthorizationResponse::success(request.redirect(), code.reveal(), state, issuer)
    }

    async fn deny(
        &self,
        interaction: &Ephemeral,
        asked: AccessRequest,
        session: &LoginSession,
        error: OAuthError,
    ) -> Result<ClientLocation, AuthorizeRejection> {
        let consent = self.consent_key(&asked, session);
        let row = AuditRow {
            client: Some(consent.client.clone()),
            resource: Some(consent.resource.clone()),
            scopes: Some(asked.request.scopes().clone()),
            ..self.audit_by(&session.subject, AuditEvent::AuthorizationDenied)
        };
        let denied = self.services.store.deny_interaction(&interaction.key, &consent, row).await;
        if denied.or_unavailable(self).await? == Update::NotFound {
            return Err(self.finished().await);
        }
        self.metrics.control(ControlEvent::AuthorizationDenied);
        let RefusedRequest { redirect, state, error } = asked.request.refuse(error);
        let issuer = &self.policy.config.public_url;
        Ok(AuthorizationResponse::refusal(&redirect, &error, state.as_deref(), issuer))
    }

    /// Issues a code on remembered consent.
    pub(in crate::issuer) async fn issue_code_silently(
        &self,
        interaction: &Ephemeral,
        asked: &AccessRequest,
        session: &LoginSession,
        ApprovedBefore { scopes, exclusions, shown_at }: ApprovedBefore,
    ) -> Result<ClientLocation, AuthorizeRejection> {
        let approval = Approval {
            code: AuthorizationCode::mint(self.services.entropy.random_32(), &self.services.keys.load()),
            scopes,
            exclusions,
            shown_at,
            remember: None,
            event: AuditEvent::CodeIssued,
        };
        match self.issue_code(interaction, asked, session, approval).await? {
            Some(location) => Ok(location),
            None => Err(self.gone(Rule::SignInEnded).await),
        }
    }

    /// Stores a code and ends its transaction in one call, so that a double click makes one code (CN-18); returns the
    /// Location of the success, or `None` when the transaction had already ended.
    async fn issue_code(
        &self,
        interaction: &Ephemeral,
        asked: &AccessRequest,
        session: &LoginSession,
        approval: Approval,
    ) -> Result<Option<ClientLocation>, AuthorizeRejection> {
        let (client, request) = (&asked.client, &asked.request);
        let grant = GrantId(self.services.entropy.random_16());
        let now = self.now();
        let record = CodeRecord {
            hash: approval.code.hash(),
            tenant: self.tenant.clone(),
            grant,
            client: client.id.clone(),
            subject: session.subject.clone(),
            redirect: request.redirect().uri().clone(),
            redirect_was_sent: request.redirect().was_sent(),
            challenge: Some(request.challenge().clone()),
            resource: request.resource().clone(),
            scopes: approval.scopes,
            exclusions: approval.exclusions,
            authenticated_at: session.authenticated_at,
            consented_at: approval.shown_at,
            signed_in_from: self.sign_in_origin().map(Box::new),
            issued_at: now,
            expires_at: now.plus(self.policy.config.tokens.code),
            used_at: None,
            failures: 0,
        };
        let row = AuditRow {
            client: Some(client.id.clone()),
            resource: Some(record.resource.clone()),
            scopes: Some(record.scopes.clone()),
            target: Some(grant.to_string()),
            ..self.audit_by(&session.subject, approval.event)
        };
        let inserted = self.services.store.insert_code(record, interaction.key.hash, approval.remember, row).await;
        Ok(match inserted.or_unavailable(self).await? {
            Update::NotFound => None,
            Update::Done => Some(self.success(request, &approval.code)),
        })
    }

    /// Returns what the login page of a transaction shows.
    pub(in crate::issuer) fn login_view(&self, asked: Option<&AccessRequest>) -> View {
        let policy = &self.policy;
        View::LogIn(LoginView {
            client_name: asked.map(|a| display_name(&a.client)),
            client_has_name: asked.is_some_and(|a| a.client.metadata.client_name.is_some()),
            resource_name: asked.and_then(|a| policy.upstream(a.request.resource())).map(|u| u.display_name.clone()),
        })
    }

    /// Returns what the consent page of a transaction shows, or the page that the account has no access.
    pub(in crate::issuer) async fn consent_view(
        &self,
        asked: &AccessRequest,
        session: &LoginSession,
    ) -> Result<View, AuthorizeRejection> {
        let (client, request) = (&asked.client, &asked.request);
        // Before it asks for tools, so that none that becomes milder meanwhile counts as such unseen.
        let shown_at = self.now();
        let policy = &self.policy;
        let found = self.services.store.find_account(&self.tenant, &session.subject).await;
        // Either can only be missing because of a change just now, which ends the transaction.
        let (Some(account), Some(upstream)) = (found.or_unavailable(self).await?, policy.upstream(request.resource()))
        else {
            return Err(self.gone(Rule::AccountOrResourceGone).await);
        };
        let Some(offer) = self.offer(asked, session).await? else {
            return Ok(View::NoAccess(NoAccessView {
                client_name: display_name(client),
                client_has_name: client.metadata.client_name.is_some(),
                resource_name: upstream.display_name.clone(),
                account: account.name.to_string(),
            }));
        };
        let lifetimes = policy.lifetimes(&upstream.resource);
        let may_refresh = client.metadata.grant_types.contains(&GrantType::RefreshToken);
        let identity = policy.identity(client, request.redirect());
        let mut scopes = self.asked_scopes(asked, &offer);
        if scopes.is_empty() && !request.scopes().is_empty() {
            // The page shows an empty list as "everything", which was not requested.
            return Err(self.gone(Rule::ScopesGone).await);
        }
        let tools = self.list_tools(asked, &account, &mut scopes, (&offer.left_out, shown_at)).await?;
        Ok(View::Consent(Box::new(ConsentView {
            client_name: display_name(client),
            client_has_name: client.metadata.client_name.is_some(),
            looks_like: self.looks_like(client, &identity, request.redirect()).await?,
            identity,
            client_host: policy.document_host(client),
            copied: client.document.filter(|age| age.source != DocumentSource::Fetched).map(|age| age.fetched_at),
            redirect_host: request.redirect().uri().display_host(),
            redirect_is_scheme: request.redirect().uri().private_use_scheme().is_some(),
            redirect_is_local: request.redirect().uri().is_local(),
            resource_name: upstream.display_name.clone(),
            resource: request.resource().as_str().to_owned(),
            shown_at,
            scopes,
            tools,
            account: account.name.to_string(),
            failed_logins: self.failed_logins(session),
            lifetime: if may_refresh {
                client.lifetimes.of_refresh(&lifetimes).1
            } else {
                client.lifetimes.of_access(&lifetimes)
            },
            remembered: (policy.memory(asked) != Memory::Never).then_some(policy.config.tokens.refresh_absolute),
        })))
    }
}
