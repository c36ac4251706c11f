//! A person sets another password on the account page, by giving the present one.

use zeroize::Zeroizing;

use super::sign_in::Compared;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::{AuthorizeRejection, IssuerRequest, OwnPassword, PasswordChanged};
use crate::oauth::LoginNameHash;
use crate::store::{Account, AuditEvent, AuditRow, NewPassword, PasswordChange, Update};

impl IssuerRequest<'_> {
    /// Changes the password of the person signed in by a session, if the current one is right. All browsers of the person
    /// are signed out; this one gets a new session. The grants of applications end if requested.
    ///
    /// Whoever sits before a browser that somebody else left signed in must not be able to guess: an attempt counts like one
    /// at the login page, for the same name (LI-02, LI-03).
    ///
    /// # Errors
    /// `Throttled` when all hash slots are taken, `Unavailable`.
    pub async fn change_own_password(
        &self,
        session: &str,
        wish: &OwnPassword<'_>,
    ) -> Result<PasswordChanged, AuthorizeRejection> {
        let Some(live) = self.live_session(Some(session)).await? else { return Ok(PasswordChanged::SignedOut) };
        let found = self.services.store.find_account(&self.tenant, &live.subject).await.or_unavailable(self).await?;
        let Some(account) = found else { return Ok(PasswordChanged::SignedOut) };
        let (attempt, account) = match self.compare_password(account.name.as_str(), wish.present).await? {
            Compared::Right(attempt, account) if *account.subject.id() == live.subject => (attempt, account),
            // An account of another subject has got the name in this moment: theirs is not the password that was meant.
            Compared::Right(..) => {
                self.password_was_replaced(&live.subject).await;
                return Ok(PasswordChanged::Wrong);
            }
            Compared::Wrong => return Ok(PasswordChanged::Wrong),
            Compared::Throttled(wait) => return Ok(PasswordChanged::Throttled(wait)),
        };
        self.login_limits.succeeded(&attempt);
        let policy = &self.policy.config.login;
        let phc = match self.hash_new(wish.new, &account, policy).await? {
            Ok(phc) => phc,
            Err(refused) => return Ok(PasswordChanged::Refused(refused)),
        };
        let name = LoginNameHash::of(&self.tenant, account.name.as_str(), &self.services.keys.load());
        let new = NewPassword { phc, name, at: self.now() };
        let set_at = new.at;
        let old_phc = Zeroizing::new(account.password.clone().unwrap_or_default());
        let change = PasswordChange { old_phc, new, end_grants: wish.end_grants };
        let reason = wish.end_grants.then(|| "with_grants".to_owned());
        let row = AuditRow { reason, ..self.audit_by(account.subject.id(), AuditEvent::PasswordChanged) };
        let changed = self.services.store.change_password(&self.tenant, account.subject.id(), change, row).await;
        if changed.or_unavailable(self).await? == Update::NotFound {
            // Somebody set another one in this moment.
            self.password_was_replaced(account.subject.id()).await;
            return Ok(PasswordChanged::Wrong);
        }
        self.login_limits.password_was_set(name);
        if let Some(cache) = self.cache.as_ref().filter(|_| wish.end_grants) {
            cache.forget_subject(&self.tenant, account.subject.id());
        }
        let account = Account { password_set_at: Some(set_at), failed_logins: 0, last_failed_at: None, ..*account };
        let Some((secret, _)) = self.begin_session(&account, Some(session)).await? else {
            return Ok(PasswordChanged::SignedOut);
        };
        // They gave the password from here, as for a sign-in.
        self.remember_login(&account).await?;
        Ok(PasswordChanged::Done(secret))
    }
}
