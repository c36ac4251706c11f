//! Login of resource owners: throttled, taking the same time for every failure, and always starting a new session.

use zeroize::Zeroizing;

use super::hash_queue::HashSlot;
use super::password::{self, HashError, Verified};
use crate::config::LoginPolicy;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::authorization::interaction::{Pending, Purpose};
use crate::issuer::diagnosis::Diagnosis;
use crate::issuer::limits::login_limits::{LoginAttempt, places};
use crate::issuer::limits::throttle::Throttled;
use crate::issuer::{AuthorizeRejection, Handles, IssuerRequest, LoginOutcome, PasswordRefused, Step};
use crate::oauth::{AccountId, Lifetime, LoginName, LoginNameHash, Rule};
use crate::store::{Account, AccountStatus, AuditEvent, AuditRow, LoginSession, SessionSecret, SignIn, Update};
use crate::telemetry::ControlEvent;

impl IssuerRequest<'_> {
    /// Checks name and password, and advances the transaction.
    ///
    /// # Errors
    /// `Gone`, `Page` when its client is no longer accepted, `Unavailable`.
    pub async fn log_in(
        &self,
        handles: &Handles,
        name: &str,
        password: &str,
    ) -> Result<LoginOutcome, AuthorizeRejection> {
        let pending = self.pending(handles).await?;
        match self.compare_password(name, password).await? {
            Compared::Right(attempt, account) => self.logged_in(&pending, handles, &attempt, &account).await,
            Compared::Wrong => Ok(LoginOutcome::Refused),
            Compared::Throttled(wait) => Ok(LoginOutcome::Throttled(wait)),
        }
    }

    /// Compares a password with that of the named account, after waiting for a hash slot; counts and records a failure.
    pub(in crate::issuer) async fn compare_password(
        &self,
        name: &str,
        password: &str,
    ) -> Result<Compared, AuthorizeRejection> {
        let config = &self.policy.config;
        let sign_in = self.sign_in(name.trim());
        // One read whether or not the name exists, so that the time does not reveal which names do (LI-04).
        let history = self.services.store.find_login(sign_in.clone(), LoginName::parse(name.trim())).await;
        let history = history.or_unavailable(self).await?;
        let attempt = match self.login_limits.begin(sign_in.hash, &history, self.caller, &config.rates) {
            Ok(attempt) => attempt,
            Err(held) => return Ok(self.login_throttled(history.account.as_ref(), held).await),
        };
        if let Err(held) = self.login_limits.admit_during_pause(&attempt, history.failures, &config.rates) {
            // The attempt stays charged to its network's budget; the owner's next attempt is not affected.
            return Ok(self.login_throttled(history.account.as_ref(), held).await);
        }
        let slot = match self.login_limits.wait_for_slot(&attempt).await {
            Ok(slot) => slot,
            Err(held) => return Ok(self.login_throttled(history.account.as_ref(), held).await),
        };
        let stored = history.account.as_ref().and_then(|a| a.password.clone());
        let verified = verify_off_thread(slot, stored, password, &config.login).await?;
        self.advance_now();
        match history.account {
            Some(account) if verified != Verified::No && account.status == AccountStatus::Enabled => {
                let account = match verified {
                    Verified::NeedsRehash => self.rehash(account, password, &config.login).await,
                    Verified::Yes | Verified::No => account,
                };
                Ok(Compared::Right(attempt, Box::new(account)))
            }
            account => {
                self.login_failed(&attempt, sign_in, account).await?;
                Ok(Compared::Wrong)
            }
        }
    }

    fn sign_in(&self, typed: &str) -> SignIn {
        let hash = LoginNameHash::of(&self.tenant, typed, &self.services.keys.load());
        SignIn { tenant: self.tenant.clone(), hash, places: places(self.caller), now: self.now() }
    }

    /// Ends a session.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn log_out(&self, session: &str) -> Result<(), AuthorizeRejection> {
        if let Some(session) = self.live_session(Some(session)).await? {
            let row = self.audit_by(&session.subject, AuditEvent::LoggedOut);
            self.services.store.delete_session(&session.hash, row).await.or_unavailable(self).await?;
        }
        Ok(())
    }

    async fn logged_in(
        &self,
        pending: &Pending,
        handles: &Handles,
        attempt: &LoginAttempt,
        account: &Account,
    ) -> Result<LoginOutcome, AuthorizeRejection> {
        let Some((secret, session)) = self.begin_session(account, handles.session.as_deref()).await? else {
            self.password_was_replaced(account.subject.id()).await;
            return Ok(LoginOutcome::Refused);
        };
        self.login_limits.record_success(attempt);
        self.remember_login(account).await?;
        self.metrics.control(ControlEvent::LoginSucceeded);
        let step = self.after_login(pending, &session).await?;
        Ok(LoginOutcome::LoggedIn { session: secret, step })
    }

    /// Begins a browser session for a person who has proved that the account is theirs; `None` when the account was
    /// disabled, deleted or given another password since it was read.
    pub(in crate::issuer) async fn begin_session(
        &self,
        account: &Account,
        replaces: Option<&str>,
    ) -> Result<Option<(SessionSecret, LoginSession)>, AuthorizeRejection> {
        let (secret, session) = self.new_session(account);
        // CN-05: any session that this browser had before, planted or its own, ends here.
        let replaces = replaces.and_then(|s| SessionSecret::recognise(s.as_bytes(), &self.services.keys.load()));
        let row = self.audit_by(&session.subject, AuditEvent::LoginSucceeded);
        let begun = self.services.store.insert_session(session.clone(), replaces, account.password_set_at, row).await;
        Ok(match begun.or_unavailable(self).await? {
            Update::Done => Some((secret, session)),
            Update::NotFound => None,
        })
    }

    /// Makes a new session of an account, with the secret for its cookie.
    pub(in crate::issuer) fn new_session(&self, account: &Account) -> (SessionSecret, LoginSession) {
        let policy = &self.policy.config.login;
        let secret = SessionSecret::mint(self.services.entropy.random_32(), &self.services.keys.load());
        let now = self.now();
        let failed = account.last_failed_at.filter(|_| account.failed_logins > 0);
        let session = LoginSession {
            hash: secret.hash(),
            tenant: self.tenant.clone(),
            subject: account.subject.id().clone(),
            authenticated_at: now,
            idle_until: now.plus(policy.session_idle),
            idle: policy.session_idle,
            expires_at: now.plus(policy.session_absolute),
            failed_before: failed.map(|at| (account.failed_logins, at)),
        };
        (secret, session)
    }

    /// Remembers the caller's place as familiar to the account, and resets the count of failures.
    pub(in crate::issuer) async fn remember_login(&self, account: &Account) -> Result<(), AuthorizeRejection> {
        let attempt = self.sign_in(account.name.as_str());
        let recorded = self.services.store.record_login_success(attempt, account.subject.id().clone()).await;
        Ok(recorded.or_unavailable(self).await?)
    }

    async fn after_login(&self, pending: &Pending, session: &LoginSession) -> Result<Step, AuthorizeRejection> {
        let Purpose::Authorization(asked) = &pending.purpose else {
            self.end(&pending.interaction).await?;
            return Ok(Step::Account);
        };
        self.bind(&pending.interaction, session).await?;
        // The `Referer` is not known at this step, which may cost the user, who has just entered a password, one more
        // page.
        if let Some(scopes) = self.may_approve(&session.subject, asked).await?
            && let Some(granted) = self.consent_is_remembered(asked, session, &scopes, None).await?
        {
            let location = self.issue_code_silently(&pending.interaction, asked, session, granted).await?;
            return Ok(Step::Redirect(location));
        }
        Ok(Step::Consent)
    }

    async fn login_failed(
        &self,
        attempt: &LoginAttempt,
        sign_in: SignIn,
        account: Option<Account>,
    ) -> Result<(), AuthorizeRejection> {
        self.metrics.control(ControlEvent::LoginFailed);
        let reason = match &account {
            Some(account) if account.status == AccountStatus::Disabled => "account_disabled",
            Some(_) => "wrong_password",
            None => "unknown_account",
        };
        let subject = account.map(|a| a.subject.id().clone());
        // The typed name is not recorded, because people sometimes type their password there. The same rows are written
        // before the answer whether or not the name exists, so that the time does not reveal it (LI-04).
        let sign_in = SignIn { now: self.now(), ..sign_in };
        let failures = self.services.store.record_login_failure(sign_in, subject.clone()).await;
        let failures = failures.or_unavailable(self).await?;
        self.refuse_password(subject.clone(), reason).await;
        let strange = self.login_limits.record_failure(attempt, failures, &self.policy.config.rates);
        if let Some(subject) = subject.filter(|_| !strange.is_empty()) {
            let forgotten = self.services.store.forget_login_places(&self.tenant, &subject, strange).await;
            forgotten.or_unavailable(self).await?;
        }
        Ok(())
    }

    /// Records that a password was right when it was compared, but that the account has got another one since.
    pub(in crate::issuer) async fn password_was_replaced(&self, subject: &AccountId) {
        self.refuse_password(Some(subject.clone()), "password_replaced").await;
    }

    async fn refuse_password(&self, subject: Option<AccountId>, reason: &'static str) {
        let row = self.audit(AuditEvent::LoginFailed);
        let row = AuditRow { subject, reason: Some(reason.to_owned()), ..row };
        self.refuse(row, Diagnosis::from(Rule::WrongPassword).because(Some(reason))).await;
    }

    async fn login_throttled(&self, account: Option<&Account>, held: Throttled) -> Compared {
        self.refuse_for_now(account.map(|a| a.subject.id().clone()), held).await;
        Compared::Throttled(held.wait)
    }

    async fn refuse_for_now(&self, subject: Option<AccountId>, held: Throttled) {
        self.metrics.control(ControlEvent::LoginThrottled);
        let row = AuditRow { subject, ..self.audit(AuditEvent::LoginThrottled) };
        self.refuse(row, Diagnosis::from(Rule::LoginThrottled).by(held.key)).await;
    }

    /// Checks and hashes a new password for an account; records it if it is refused.
    pub(in crate::issuer) async fn hash_new(
        &self,
        password: &str,
        account: &Account,
        policy: &LoginPolicy,
    ) -> Result<Result<String, PasswordRefused>, AuthorizeRejection> {
        let (password, name) = (Zeroizing::new(password.to_owned()), account.name.clone());
        let salt = self.services.entropy.random_16();
        let hash = LoginNameHash::of(&self.tenant, name.as_str(), &self.services.keys.load());
        let judged = policy.clone();
        let hashed = self.in_hash_slot(hash, move || password::hash_new(&password, name.as_str(), &judged, salt)).await;
        self.advance_now();
        let refused = match hashed {
            Ok(Err(refused)) => refused,
            Ok(Ok(phc)) => return Ok(Ok(phc)),
            Err(NotHashed::Throttled(held)) => {
                self.refuse_for_now(Some(account.subject.id().clone()), held).await;
                return Err(AuthorizeRejection::Throttled(held.wait));
            }
            Err(NotHashed::Fault(error)) => return Err(not_hashed(error)),
        };
        let key = matches!(refused, PasswordRefused::TooShort(_)).then_some("login.min_password");
        let (subject, word) = (Some(account.subject.id().clone()), refused.word());
        let row = self.audit(AuditEvent::PasswordRefused);
        let row = AuditRow { subject, reason: Some(word.to_owned()), ..row };
        self.refuse(row, Diagnosis::from(Rule::PasswordPoor).because(Some(word)).by(key)).await;
        Ok(Err(refused))
    }

    async fn hash(&self, password: &str, name: &str, policy: &LoginPolicy) -> Result<String, NotHashed> {
        let (password, policy) = (Zeroizing::new(password.to_owned()), policy.clone());
        let salt = self.services.entropy.random_16();
        let name = LoginNameHash::of(&self.tenant, name, &self.services.keys.load());
        self.in_hash_slot(name, move || password::hash(&password, &policy, salt)).await
    }

    /// Runs slow work on a password of the account `name` off the runtime's thread, once a hash slot is free.
    async fn in_hash_slot<T: Send + 'static>(
        &self,
        name: LoginNameHash,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, NotHashed> {
        let slot = self.login_limits.wait_for_owner_slot(name).await.map_err(NotHashed::Throttled)?;
        let done = password::off_thread(move || {
            let _slot = slot;
            work()
        });
        done.await.map_err(NotHashed::Fault)
    }

    /// Hashes a correct password again with the current parameters. If that fails, the old hash stays in use.
    async fn rehash(&self, account: Account, password: &str, policy: &LoginPolicy) -> Account {
        let (Some(old), Ok(new)) = (&account.password, self.hash(password, account.name.as_str(), policy).await) else {
            return account;
        };
        self.advance_now();
        match self.services.store.rehash_password(&self.tenant, account.subject.id(), old, new.clone()).await {
            Ok(Update::Done) => return Account { password: Some(new), ..account },
            Ok(Update::NotFound) => {}
            Err(error) => tracing::warn!(%error, "a password hash could not be renewed"),
        }
        account
    }
}

/// Why a password was not hashed.
enum NotHashed {
    /// All hash slots are taken.
    Throttled(Throttled),
    /// Hashing failed, which is the server's fault.
    Fault(HashError),
}

/// The outcome of comparing a password with an account's.
pub(in crate::issuer) enum Compared {
    /// The password of this enabled account. The attempt still counts as failed until it is refunded.
    Right(LoginAttempt, Box<Account>),
    /// Wrong password, unknown name, or disabled account.
    Wrong,
    /// Not compared, because too many attempts have failed.
    Throttled(Lifetime),
}

/// Compares a password off the runtime's thread. Without a stored hash it uses the dummy, which takes the same time.
async fn verify_off_thread(
    slot: HashSlot,
    stored: Option<String>,
    password: &str,
    policy: &LoginPolicy,
) -> Result<Verified, AuthorizeRejection> {
    let (password, policy) = (Zeroizing::new(password.to_owned()), policy.clone());
    let verified = password::off_thread(move || {
        // The slot moves into the task: if the browser hangs up, it is not freed while the hash is still being
        // computed.
        let _slot = slot;
        match stored {
            Some(phc) => Ok(password::verify(&phc, &password, &policy)),
            None => password::dummy_phc(&policy).map(|phc| {
                password::verify(&phc, &password, &policy);
                Verified::No
            }),
        }
    });
    verified.await.map_err(not_hashed)
}

fn not_hashed(error: HashError) -> AuthorizeRejection {
    tracing::error!(%error, "a password could not be hashed");
    AuthorizeRejection::Unavailable
}
