//! Login of resource owners: throttled, in equal time for every wrong answer, and always into a new session.

use zeroize::Zeroizing;

use super::audit::OrUnavailable;
use super::interaction::{Pending, Purpose};
use super::login_limits::LoginAttempt;
use super::password::{self, HashError, Verified};
use super::throttle::network;
use super::{AuthorizeRejection, Caller, Handles, Issuer, LoginOutcome, PasswordRefused, Step};
use crate::config::LoginPolicy;
use crate::oauth::{Lifetime, SessionSecret, Subject};
use crate::store::{Account, AccountStatus, AuditEvent, AuditRow, LoginSession, Update};
use crate::telemetry::ControlEvent;

impl Issuer {
    /// Checks name and password, and moves the transaction on.
    ///
    /// # Errors
    /// `Gone`, `Page` when its client is no longer welcome, `Unavailable`.
    pub async fn log_in(
        &self,
        handles: &Handles,
        name: &str,
        password: &str,
        caller: &Caller,
    ) -> Result<LoginOutcome, AuthorizeRejection> {
        let pending = self.pending(handles, caller).await?;
        let config = self.config.load_full();
        let name = name.trim().to_lowercase();
        let attempt = match self.login_limits.login(&name, caller, &config.rates) {
            Ok(attempt) => attempt,
            Err(wait) => return Ok(self.login_throttled(None, wait, caller).await),
        };
        let account = self.store.find_account_by_name(&self.tenant, &name).await.or_unavailable(self, caller).await?;
        let failures = account.as_ref().map(|a| a.failed_logins);
        // After a restart only the store knows the networks that the owner uses. It is asked for a name that nobody has as
        // well, or the time would tell which names exist (LI-04).
        let subject = account.as_ref().map(|a| a.subject.clone()).or_else(|| Subject::parse("nobody"));
        if let Some(subject) = subject
            && let Some(network) = self.login_limits.unfamiliar(&attempt, failures, &config.rates)
        {
            let last = self.store.find_login_network(&self.tenant, &subject, network).await;
            let last = last.or_unavailable(self, caller).await?;
            last.into_iter().for_each(|last| self.login_limits.is_familiar(&attempt, last));
        }
        if let Err(wait) = self.login_limits.account(&attempt, failures, &config.rates) {
            // The attempt stays charged: who hammers at a paused name uses up his network, not the owner's next chance.
            return Ok(self.login_throttled(account.as_ref(), wait, caller).await);
        }
        let stored = account.as_ref().and_then(|a| a.password.clone());
        let verified = match self.verify(stored, password, &config.login).await? {
            Ok(verified) => verified,
            Err(wait) => {
                self.login_limits.login_unheard(&attempt);
                return Ok(self.login_throttled(account.as_ref(), wait, caller).await);
            }
        };
        match account {
            Some(account) if verified != Verified::No && account.status == AccountStatus::Enabled => {
                if verified == Verified::NeedsRehash {
                    self.rehash(&account, password, &config.login).await;
                }
                self.logged_in(&pending, handles, &attempt, account, caller).await
            }
            account => self.login_failed(&attempt, account, caller).await,
        }
    }

    /// Ends a session.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn log_out(&self, session: &str, caller: &Caller) -> Result<(), AuthorizeRejection> {
        if let Some(session) = self.live_session(Some(session), caller).await? {
            let actor = Some(session.subject.as_str().to_owned());
            let row = AuditRow { actor, ..self.audit(AuditEvent::LoggedOut, caller) };
            self.store.delete_session(&self.tenant, &session.hash, row).await.or_unavailable(self, caller).await?;
        }
        Ok(())
    }

    async fn logged_in(
        &self,
        pending: &Pending,
        handles: &Handles,
        attempt: &LoginAttempt,
        account: Account,
        caller: &Caller,
    ) -> Result<LoginOutcome, AuthorizeRejection> {
        self.login_limits.login_succeeded(attempt);
        let (subject, from) = (&account.subject, network(caller));
        let recorded = self.store.record_login_success(&self.tenant, subject, from, self.clock.now()).await;
        recorded.or_unavailable(self, caller).await?;
        let policy = self.config.load().login.clone();
        let secret = SessionSecret::mint(self.entropy.random_32(), &self.keys);
        let now = self.clock.now();
        let session = LoginSession {
            hash: secret.hash(),
            tenant: self.tenant.clone(),
            subject: account.subject,
            authenticated_at: now,
            idle_until: now.plus(policy.session_idle),
            idle: policy.session_idle,
            expires_at: now.plus(policy.session_absolute),
            failed_before: account
                .last_failed_at
                .filter(|_| account.failed_logins > 0)
                .map(|at| (account.failed_logins, at)),
        };
        // CN-05: whatever session this browser had, planted or its own, ends here.
        let replaces = handles.session.as_deref().and_then(|s| SessionSecret::recognise(s.as_bytes(), &self.keys));
        let actor = Some(session.subject.as_str().to_owned());
        let row = AuditRow { actor, ..self.audit(AuditEvent::LoginSucceeded, caller) };
        self.store.insert_session(session.clone(), replaces, row).await.or_unavailable(self, caller).await?;
        self.metrics.control(ControlEvent::LoginSucceeded);
        let step = self.after_login(pending, &session, caller).await?;
        Ok(LoginOutcome::LoggedIn { session: secret, step })
    }

    async fn after_login(
        &self,
        pending: &Pending,
        session: &LoginSession,
        caller: &Caller,
    ) -> Result<Step, AuthorizeRejection> {
        let Purpose::Authorization(asked) = &pending.purpose else {
            self.end(&pending.interaction, caller).await?;
            return Ok(Step::Account);
        };
        self.bind(&pending.interaction, session, caller).await?;
        if self.consent_is_remembered(asked, session, caller).await? {
            let location = self.issue_code_silently(&pending.interaction, asked, session, caller).await?;
            return Ok(Step::Redirect(location));
        }
        Ok(Step::Consent)
    }

    async fn login_failed(
        &self,
        attempt: &LoginAttempt,
        account: Option<Account>,
        caller: &Caller,
    ) -> Result<LoginOutcome, AuthorizeRejection> {
        self.metrics.control(ControlEvent::LoginFailed);
        let row = self.audit(AuditEvent::LoginFailed, caller);
        // Both branches write one row before they answer, so that the time does not tell a name that exists (LI-04).
        // The typed name is not recorded: people type passwords there. The hash slots bound how often this happens.
        let rates = self.config.load().rates.clone();
        match account {
            Some(account) => {
                let off = account.status == AccountStatus::Disabled;
                let reason = Some(if off { "account_disabled" } else { "wrong_password" }.to_owned());
                let (actor, subject) = (Some(account.subject.as_str().to_owned()), account.subject);
                let row = AuditRow { actor, reason, ..row };
                let failures = self.store.record_login_failure(&self.tenant, &subject, row).await;
                let failures = failures.or_unavailable(self, caller).await?;
                if let Some(network) = self.login_limits.account_failed(attempt, failures, &rates) {
                    // First in the store: an attempt between the two would read the row back and have its failures anew.
                    let forgotten = self.store.forget_login_network(&self.tenant, &subject, network).await;
                    forgotten.or_unavailable(self, caller).await?;
                    self.login_limits.is_strange(attempt, &rates);
                }
            }
            None => {
                let row = AuditRow { reason: Some("unknown_account".to_owned()), ..row };
                self.store.append_audit(row).await.or_unavailable(self, caller).await?;
                let failures = self.login_limits.unknown_account_failed(attempt);
                self.login_limits.account_failed(attempt, failures, &rates);
            }
        }
        Ok(LoginOutcome::Refused)
    }

    async fn login_throttled(&self, account: Option<&Account>, wait: Lifetime, caller: &Caller) -> LoginOutcome {
        self.metrics.control(ControlEvent::LoginThrottled);
        let actor = account.map(|a| a.subject.as_str().to_owned());
        self.record_refusal(AuditRow { actor, ..self.audit(AuditEvent::LoginThrottled, caller) }).await;
        LoginOutcome::Throttled(wait)
    }

    /// Compares a password off the runtime's thread; the inner error says how long to wait when all slots are taken.
    /// Without a stored hash the dummy takes the same time.
    async fn verify(
        &self,
        stored: Option<String>,
        password: &str,
        policy: &LoginPolicy,
    ) -> Result<Result<Verified, Lifetime>, AuthorizeRejection> {
        let slot = match self.login_limits.hash_slot().await {
            Ok(slot) => slot,
            Err(wait) => return Ok(Err(wait)),
        };
        let (password, policy) = (Zeroizing::new(password.to_owned()), policy.clone());
        let verified = password::off_thread(move || {
            // The slot goes along: a browser that hangs up does not free it while the hash is still being computed.
            let _slot = slot;
            match stored {
                Some(phc) => Ok(password::verify(&phc, &password, &policy)),
                None => password::dummy_phc(&policy).map(|phc| {
                    password::verify(&phc, &password, &policy);
                    Verified::No
                }),
            }
        });
        verified.await.map(Ok).map_err(not_hashed)
    }

    /// Judges and hashes a new password for the account `name`.
    pub(super) async fn hash_new(
        &self,
        password: &str,
        name: &str,
        policy: &LoginPolicy,
    ) -> Result<Result<String, PasswordRefused>, AuthorizeRejection> {
        let (password, name, policy) = (Zeroizing::new(password.to_owned()), name.to_owned(), policy.clone());
        let salt = self.entropy.random_16();
        self.in_hash_slot(move || password::hash_new(&password, &name, &policy, salt)).await
    }

    async fn hash(&self, password: &str, policy: &LoginPolicy) -> Result<String, AuthorizeRejection> {
        let (password, policy) = (Zeroizing::new(password.to_owned()), policy.clone());
        let salt = self.entropy.random_16();
        self.in_hash_slot(move || password::hash(&password, &policy, salt)).await
    }

    /// Does slow work with a password off the runtime's thread, when it is its turn.
    async fn in_hash_slot<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, AuthorizeRejection> {
        let slot = self.login_limits.hash_slot().await.map_err(AuthorizeRejection::Throttled)?;
        let done = password::off_thread(move || {
            let _slot = slot;
            work()
        });
        done.await.map_err(not_hashed)
    }

    /// Hashes a right password again with the present parameters. When that fails the old hash goes on serving.
    async fn rehash(&self, account: &Account, password: &str, policy: &LoginPolicy) {
        let (Some(old), Ok(new)) = (&account.password, self.hash(password, policy).await) else { return };
        match self.store.rehash_password(&self.tenant, &account.subject, old, new).await {
            Ok(Update::Done | Update::NotFound) => {}
            Err(error) => tracing::warn!(%error, "a password hash could not be renewed"),
        }
    }
}

fn not_hashed(error: HashError) -> AuthorizeRejection {
    tracing::error!(%error, "a password could not be hashed");
    AuthorizeRejection::Unavailable
}
