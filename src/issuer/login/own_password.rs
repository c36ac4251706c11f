//! Changing one's own password on the account page, with the current one.

use zeroize::Zeroizing;

use super::sign_in::Compared;
use crate::issuer::audit::OrUnavailable;
use crate::issuer::{AuthorizeRejection, IssuerRequest, OwnPassword, PasswordChanged};
use crate::oauth::{Lifetime, LoginNameHash};
use crate::store::{Account, AuditEvent, AuditRow, NewPassword, PasswordChange, Update};

/// Whether somebody at a browser is the person whom a session names.
pub(super) enum ProvenOwner {
    /// The current password was right.
    Is(Box<Account>),
    /// It was wrong.
    Wrong,
    /// Too many were wrong; try again after this long.
    Throttled(Lifetime),
    /// The session has ended or never existed.
    SignedOut,
}

impl IssuerRequest<'_> {
    /// Compares a password with that of the person signed in by a session. Somebody at a browser that another person
    /// left signed in must not be able to guess it: an attempt counts like one on the login page, for the same name
    /// (LI-02, LI-03).
    pub(super) async fn owner_by_password(
        &self,
        session: &str,
        present: &str,
    ) -> Result<ProvenOwner, AuthorizeRejection> {
        let Some(live) = self.live_session(Some(session)).await? else { return Ok(ProvenOwner::SignedOut) };
        let found = self.services.store.find_account(&self.tenant, &live.subject).await.or_unavailable(self).await?;
        let Some(account) = found else { return Ok(ProvenOwner::SignedOut) };
        let (attempt, account) = match self.compare_password(account.name.as_str(), present).await? {
            Compared::Right(attempt, account) if *account.subject.id() == live.subject => (attempt, account),
            // Another account has just got the name, and it was that account's password which matched.
            Compared::Right(..) => {
                self.password_was_replaced(&live.subject).await;
                return Ok(ProvenOwner::Wrong);
            }
            Compared::Wrong => return Ok(ProvenOwner::Wrong),
            Compared::Throttled(wait) => return Ok(ProvenOwner::Throttled(wait)),
        };
        self.login_limits.record_success(&attempt);
        Ok(ProvenOwner::Is(account))
    }

    /// Changes the password of the person signed in by a session, if the current one is right. All browsers of the
    /// person are signed out; this one gets a new session. The grants of applications end if requested.
    ///
    /// # Errors
    /// `Throttled` when all hash slots are taken, `Unavailable`.
    pub async fn change_own_password(
        &self,
        session: &str,
        wish: &OwnPassword<'_>,
    ) -> Result<PasswordChanged, AuthorizeRejection> {
        let account = match self.owner_by_password(session, wish.present).await? {
            ProvenOwner::Is(account) => account,
            ProvenOwner::Wrong => return Ok(PasswordChanged::Wrong),
            ProvenOwner::Throttled(wait) => return Ok(PasswordChanged::Throttled(wait)),
            ProvenOwner::SignedOut => return Ok(PasswordChanged::SignedOut),
        };
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
        let changed = self.services.store.change_password(account.subject.id(), change, row).await;
        if changed.or_unavailable(self).await? == Update::NotFound {
            // Somebody else has just set another password.
            self.password_was_replaced(account.subject.id()).await;
            return Ok(PasswordChanged::Wrong);
        }
        self.login_limits.end_pause(name);
        if wish.end_grants {
            self.cache.forget_subject(&self.tenant, account.subject.id());
        }
        let account = Account { password_set_at: Some(set_at), failed_logins: 0, last_failed_at: None, ..*account };
        let Some((secret, _)) = self.begin_session(&account, Some(session)).await? else {
            return Ok(PasswordChanged::SignedOut);
        };
        // They entered the password here, which counts as a sign-in.
        self.remember_login(&account).await?;
        Ok(PasswordChanged::Done(secret))
    }
}
