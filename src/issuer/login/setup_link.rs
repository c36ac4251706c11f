//! One-time links for setting a password, the first or a new one.

use crate::issuer::audit::OrUnavailable;
use crate::issuer::{AuthorizeRejection, IssuerRequest, SetupOutcome};
use crate::oauth::LoginNameHash;
use crate::store::{Account, AuditEvent, LinkSecret, NewPassword, SetupLink, Update};

impl IssuerRequest<'_> {
    /// Finds the login name that a link is for; `None` when the link is unknown, used or expired.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn find_setup(&self, link: &str) -> Result<Option<String>, AuthorizeRejection> {
        Ok(self.account_of_link(link).await?.map(|(_, account)| account.name.to_string()))
    }

    /// Uses a link to set a password. All sessions and grants of the account end (RT-14). The holder of the link is
    /// signed in with a new session; the session that this browser had before (`replaces`) ends, whoever it belonged to
    /// (CN-05).
    ///
    /// # Errors
    /// `Throttled` when all hash slots are taken, `Unavailable`.
    pub async fn redeem_setup(
        &self,
        link: &str,
        password: &str,
        replaces: Option<&str>,
    ) -> Result<SetupOutcome, AuthorizeRejection> {
        let policy = &self.policy.config.login;
        let Some((link, account)) = self.account_of_link(link).await? else { return Ok(SetupOutcome::Gone) };
        // Checked before the link is used up: an unacceptable password must not cost the user the link.
        let phc = match self.hash_new(password, &account, policy).await? {
            Ok(phc) => phc,
            Err(refused) => return Ok(SetupOutcome::Refused(refused)),
        };
        let name = LoginNameHash::of(&self.tenant, account.name.as_str(), &self.services.keys.load());
        let new = NewPassword { phc, name, at: self.now() };
        let account = Account { password_set_at: Some(new.at), failed_logins: 0, last_failed_at: None, ..account };
        let row = self.audit_by(account.subject.id(), AuditEvent::PasswordSet);
        let set = self.services.store.redeem_setup_link(&link.hash, new, row).await;
        if set.or_unavailable(self).await? == Update::NotFound {
            return Ok(SetupOutcome::Gone);
        }
        self.login_limits.end_pause(name);
        self.cache.forget_subject(&self.tenant, account.subject.id());
        let begun = self.begin_session(&account, replaces).await?;
        if begun.is_some() {
            // The person who set the password will sign in from here, so this place is now familiar (LI-03).
            self.remember_login(&account).await?;
        }
        Ok(SetupOutcome::Done(begun.map(|(secret, _)| secret)))
    }

    async fn account_of_link(&self, link: &str) -> Result<Option<(SetupLink, Account)>, AuthorizeRejection> {
        let Some(hash) = LinkSecret::recognise(link.as_bytes(), &self.services.keys.load()) else { return Ok(None) };
        let found =
            self.services.store.find_setup_link(&self.tenant, &hash, self.now()).await.or_unavailable(self).await?;
        let Some(link) = found else { return Ok(None) };
        let account = self.services.store.find_account(&self.tenant, &link.subject).await.or_unavailable(self).await?;
        Ok(account.map(|account| (link, account)))
    }
}
