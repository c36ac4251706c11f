//! A pending authorization between requests: created, found again by its two handles, advanced by compare-and-set.

use crate::issuer::audit::OrUnavailable;
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::limits::throttle::source_of;
use crate::issuer::{AuthorizeRejection, Handles, IssuerRequest, Started, Step, Transaction, View};
use crate::oauth::{Client, Lifetime, OAuthError, Rule, StoredRequest, ValidatedRequest};
use crate::store::{
    Advance, Ephemeral, EphemeralHash, EphemeralKey, EphemeralKind, EphemeralLimits, EphemeralSecret, EphemeralStep,
    LoginSession, SessionHash, SessionSecret, TransactionSecret, Update,
};

/// How many pending authorizations may exist. One address has room for an office of 200 people, one person for as many
/// tabs as a browser opens at once; all of them together take about 100 MB. A site can use up its own share within
/// minutes, and then only the hosts with the most there lose any.
const PENDING: EphemeralLimits = EphemeralLimits { of_host: 200, of_site: 800, of_session: 50, in_all: 50_000 };

/// How long an unfinished transaction is kept after it expired, so that its page can offer to start it again.
const REMEMBERED: Lifetime = Lifetime::from_secs(3600);

/// An authorization request with its client.
#[derive(Debug)]
pub(in crate::issuer) struct AccessRequest {
    /// The client, as stored now.
    pub(in crate::issuer) client: Client,
    /// The request, as validated when it arrived.
    pub(in crate::issuer) request: ValidatedRequest,
}

/// What a pending transaction is for.
#[derive(Debug)]
pub(in crate::issuer) enum Purpose {
    /// Signing in to see the account page.
    Account,
    /// Authorizing a client, which gets a code.
    Authorization(Box<AccessRequest>),
}

/// A transaction found by its handles.
#[derive(Debug)]
pub(in crate::issuer) struct Pending {
    /// The stored row.
    pub(in crate::issuer) interaction: Ephemeral,
    /// What the transaction is for.
    pub(in crate::issuer) purpose: Purpose,
}

impl IssuerRequest<'_> {
    /// Begins a login for the account page, unless the session is still valid.
    ///
    /// # Errors
    /// `Throttled`, `Unavailable`.
    pub async fn begin_account(&self, session: Option<&str>) -> Result<Started, AuthorizeRejection> {
        self.charge_authorization().await?;
        if self.live_session(session).await?.is_some() {
            return Ok(Started { step: Step::Account, transaction: None });
        }
        let (_, transaction) = self.begin_transaction(None, None).await?;
        Ok(Started { step: Step::LogIn, transaction: Some(transaction) })
    }

    /// Returns what the page of a transaction shows now.
    ///
    /// # Errors
    /// `Gone`, `Page` when its client is no longer accepted, `Unavailable`.
    pub async fn view(&self, handles: &Handles) -> Result<View, AuthorizeRejection> {
        let pending = self.pending(handles).await?;
        let session = self.live_session(handles.session.as_deref()).await?;
        let asked = match (&pending.purpose, &session) {
            (Purpose::Account, Some(_)) => return Ok(View::Account),
            (Purpose::Account, None) => return Ok(self.login_view(None)),
            (Purpose::Authorization(asked), _) => asked,
        };
        let Some(session) = session.filter(|s| satisfies_login(s, asked, &pending.interaction)) else {
            self.back_to_login(&pending.interaction).await?;
            return Ok(self.login_view(Some(asked)));
        };
        // Somebody logged in from another tab of this browser; the page names the account, so the user can see which.
        if pending.interaction.step == EphemeralStep::LogIn || pending.interaction.session != Some(session.hash) {
            self.bind(&pending.interaction, &session).await?;
        }
        match Box::pin(self.waiting_view(&pending.interaction, asked, &session)).await? {
            Some(waiting) => Ok(waiting),
            None => self.consent_view(asked, &session).await,
        }
    }

    /// "Not you?": ends the session and moves the transaction back to the login step.
    ///
    /// # Errors
    /// `Gone`, `Page`, `Unavailable`.
    pub async fn switch_account(&self, handles: &Handles) -> Result<(), AuthorizeRejection> {
        let pending = self.pending(handles).await?;
        if let Some(session) = &handles.session {
            self.log_out(session).await?;
        }
        self.back_to_login(&pending.interaction).await
    }

    /// Finds the session of a cookie, if it is valid.
    pub(in crate::issuer) async fn live_session(
        &self,
        cookie: Option<&str>,
    ) -> Result<Option<LoginSession>, AuthorizeRejection> {
        let Some(hash) = cookie.and_then(|c| SessionSecret::recognise(c.as_bytes(), &self.services.keys.load())) else {
            return Ok(None);
        };
        Ok(self.services.store.touch_session(&self.tenant, &hash, self.now()).await.or_unavailable(self).await?)
    }

    /// Begins a transaction: at the login step, or at the consent step of a session.
    pub(in crate::issuer) async fn begin_transaction(
        &self,
        asked: Option<&AccessRequest>,
        session: Option<&LoginSession>,
    ) -> Result<(Ephemeral, Transaction), AuthorizeRejection> {
        let (entropy, keys, now) = (&self.services.entropy, self.services.keys.load_full(), self.now());
        let id = EphemeralSecret::mint(entropy.random_32(), &keys);
        let cookie = TransactionSecret::mint(entropy.random_32(), &keys);
        let expires_at = now.plus(self.policy.config.login.interaction).plus(REMEMBERED);
        let interaction = Ephemeral {
            key: self.interaction_key(id.hash()),
            browser: Some(cookie.hash()),
            client: asked.map(|a| a.client.id.clone()),
            body: asked.map(|a| a.request.to_stored()),
            step: if session.is_some() { EphemeralStep::Consent } else { EphemeralStep::LogIn },
            session: session.map(|s| s.hash),
            source: source_of(self.caller),
            created_at: now,
            expires_at,
        };
        // The id is 256 random bits, so no row can have it already.
        self.services.store.put_ephemeral(interaction.clone(), PENDING).await.or_unavailable(self).await?;
        Ok((interaction, Transaction { id: id.reveal().to_owned(), cookie, lifetime: expires_at.since(now) }))
    }

    fn interaction_key(&self, hash: EphemeralHash) -> EphemeralKey {
        EphemeralKey { tenant: self.tenant.clone(), kind: EphemeralKind::Interaction, hash }
    }

    /// Finds a transaction that has not been decided yet.
    pub(in crate::issuer) async fn pending(&self, handles: &Handles) -> Result<Pending, AuthorizeRejection> {
        let pending = self.transaction(handles).await?;
        match pending.interaction.step {
            EphemeralStep::LogIn | EphemeralStep::Consent => Ok(pending),
            EphemeralStep::Ended => Err(self.finished().await),
        }
    }

    /// Finds a transaction by its two handles, decided or not. A request with one handle but not the other comes from
    /// another browser (AZ-32): the id may have been seen in an address bar, but the cookie never leaves the browser
    /// that began.
    pub(in crate::issuer) async fn transaction(&self, handles: &Handles) -> Result<Pending, AuthorizeRejection> {
        let id = EphemeralSecret::recognise(handles.transaction.as_bytes(), &self.services.keys.load());
        let cookie = handles.cookie.as_ref().map(String::as_bytes);
        let cookie = cookie.and_then(|cookie| TransactionSecret::recognise(cookie, &self.services.keys.load()));
        let (Some(id), Some(cookie)) = (id, cookie) else {
            return Err(self.gone(Rule::SignInUnreadable).await);
        };
        let found = self
            .services
            .store
            .find_ephemeral(&self.interaction_key(id), self.now())
            .await
            .or_unavailable(self)
            .await?;
        let Some(interaction) = found.filter(|i| i.browser == Some(cookie)) else {
            return Err(self.gone(Rule::SignInUnknown).await);
        };
        let open = self.policy.config.login.interaction;
        // AZ-29. A decided transaction is reported as decided, however late its form is sent again.
        let is_late = interaction.step != EphemeralStep::Ended && self.now() >= interaction.created_at.plus(open);
        let pending = self.purpose_of(interaction).await?;
        if is_late { Err(self.expired(pending, open).await) } else { Ok(pending) }
    }

    /// Reads what a transaction is for, and whether its client may still ask.
    async fn purpose_of(&self, interaction: Ephemeral) -> Result<Pending, AuthorizeRejection> {
        let Some(client) = &interaction.client else {
            return Ok(Pending { interaction, purpose: Purpose::Account });
        };
        let Some(request) = interaction.body.as_deref().and_then(StoredRequest::read) else {
            tracing::error!("a stored authorization request is damaged; its user must start again");
            return Err(self.gone(Rule::SignInDamaged).await);
        };
        // AZ-27: the client may have been disabled, or its redirect URIs changed, since it asked.
        let client = self.enabled_client(client).await?;
        let redirects = self.policy.config.redirect_policy();
        let verified = client.and_then(|client| Some((request.verify(&client, &redirects)?, client)));
        let Some((request, client)) = verified else {
            self.end(&interaction).await?;
            let error = OAuthError::new(Rule::ClientNoLongerWelcome, "This application can no longer connect here.");
            let why = interaction
                .client
                .as_ref()
                .map_or_else(|| Diagnosis::from(&error), |id| Diagnosis::from(&error).of_id(id));
            self.refuse_authorization(why).await;
            return Err(AuthorizeRejection::Page(error));
        };
        let asked = Box::new(AccessRequest { client, request });
        Ok(Pending { interaction, purpose: Purpose::Authorization(asked) })
    }

    /// Moves a transaction to the consent step of a session.
    pub(in crate::issuer) async fn bind(
        &self,
        interaction: &Ephemeral,
        session: &LoginSession,
    ) -> Result<(), AuthorizeRejection> {
        // From the login step, or from the consent step when the form was sent twice or after going back.
        for expected in [EphemeralStep::LogIn, EphemeralStep::Consent] {
            if self.advance(interaction, expected, EphemeralStep::Consent, Some(session.hash)).await? {
                return Ok(());
            }
        }
        Err(self.gone(Rule::SignInEnded).await)
    }

    /// Ends a transaction at its current step; returns whether it was still open.
    pub(in crate::issuer) async fn end(&self, interaction: &Ephemeral) -> Result<bool, AuthorizeRejection> {
        self.advance(interaction, interaction.step, EphemeralStep::Ended, interaction.session).await
    }

    async fn back_to_login(&self, interaction: &Ephemeral) -> Result<(), AuthorizeRejection> {
        if interaction.step == EphemeralStep::Consent {
            self.advance(interaction, EphemeralStep::Consent, EphemeralStep::LogIn, None).await?;
        }
        Ok(())
    }

    async fn advance(
        &self,
        interaction: &Ephemeral,
        expected: EphemeralStep,
        next: EphemeralStep,
        session: Option<SessionHash>,
    ) -> Result<bool, AuthorizeRejection> {
        let now = self.now();
        let advance = Advance { from: expected, to: next, session, body: None };
        let moved = self.services.store.advance_ephemeral(&interaction.key, advance, PENDING, now).await;
        Ok(moved.or_unavailable(self).await? == Update::Done)
    }
}

/// Returns whether a session satisfies the request: `prompt=login` needs a login after the request, or on its own page.
fn satisfies_login(session: &LoginSession, asked: &AccessRequest, interaction: &Ephemeral) -> bool {
    !asked.request.prompt().login
        || interaction.session == Some(session.hash)
        || session.authenticated_at > interaction.created_at
}
