//! The part of a store for accounts and for attempts to sign in.

use async_trait::async_trait;

use super::{
    Account, AuditRow, Insertion, LinkHash, LoginHistory, LoginPlace, NewPassword, PasswordChange, Renaming, Result,
    SetupLink, SignIn, Update,
};
use crate::oauth::{AccountId, LoginName, TenantId, Timestamp};

/// Accounts of the people who log in.
#[async_trait]
pub trait AccountStore {
    /// Adds an account, unless another account has the name or had it before.
    async fn insert_account(&self, account: Account, audit: AuditRow) -> Result<Insertion>;
    /// Finds an account by its login name.
    async fn find_account_by_name(&self, tenant: &TenantId, name: &LoginName) -> Result<Option<Account>>;
    /// Finds an account by its subject.
    async fn find_account(&self, tenant: &TenantId, subject: &AccountId) -> Result<Option<Account>>;
    /// Lists all accounts of a tenant.
    async fn list_accounts(&self, tenant: &TenantId) -> Result<Vec<Account>>;
    /// Disables or enables an account; disabling ends its sessions, links, codes and grants for good and emits
    /// `Change::AccountDisabled`.
    async fn set_account_disabled(&self, subject: &AccountId, disabled: bool, audit: AuditRow) -> Result<Update>;
    /// Renames an account, unless another account has the name or had it before; the old name stays taken. An account
    /// may get back its own former name. Ends nothing.
    async fn rename_account(&self, subject: &AccountId, name: &LoginName, audit: AuditRow) -> Result<Renaming>;
    /// Removes an account with its sessions, links, codes, grants and consents; its name stays taken. Emits
    /// `Change::AccountDisabled`.
    async fn delete_account(&self, subject: &AccountId, audit: AuditRow) -> Result<Update>;
    /// Lists the former login names of a tenant's accounts, with their subjects.
    async fn former_names(&self, tenant: &TenantId) -> Result<Vec<(LoginName, AccountId)>>;
    /// Sets an enabled account's new password for its owner, if the current hash is still the one that was compared;
    /// resets the count of failed logins; ends all sessions and links of the account, and its codes and grants if
    /// requested.
    async fn change_password(&self, subject: &AccountId, change: PasswordChange, audit: AuditRow) -> Result<Update>;
    /// Sets the password and resets the count of failed logins; ends all sessions, links, codes and grants of the
    /// account (RT-14).
    async fn set_password(&self, subject: &AccountId, new: NewPassword, audit: AuditRow) -> Result<Update>;
    /// Replaces the hash of the same password by one with stronger parameters; ends nothing.
    async fn rehash_password(&self, tenant: &TenantId, subject: &AccountId, old: &str, new: String) -> Result<Update>;
    /// Adds a one-time set-password link; earlier ones of the account become invalid.
    async fn insert_setup_link(&self, link: SetupLink, audit: AuditRow) -> Result<()>;
    /// Finds a link that is unused and not expired.
    async fn find_setup_link(&self, tenant: &TenantId, hash: &LinkHash, now: Timestamp) -> Result<Option<SetupLink>>;
    /// Uses a link and sets the password in one transaction, with all that `set_password` ends.
    async fn redeem_setup_link(&self, hash: &LinkHash, new: NewPassword, audit: AuditRow) -> Result<Update>;
}

/// Attempts to sign in. Failures are counted by login name, whether or not an account has the name: if the two cases
/// were stored differently, that could reveal which names exist (LI-04).
#[async_trait]
pub trait LoginStore {
    /// Reads in one step what is needed to handle an attempt to sign in: the account with the name, how many attempts
    /// with the typed name have failed in a row, and when the owner last signed in from each of the attempt's places.
    /// Does the same work for a name that no account has, and for text that cannot be a name.
    async fn find_login(&self, attempt: SignIn, name: Option<LoginName>) -> Result<LoginHistory>;
    /// Counts a failed attempt for a name, and for the account that has it; returns how many failed in a row. The count
    /// is reset by a success, by a new password, or a day after the last failure.
    async fn record_login_failure(&self, attempt: SignIn, subject: Option<AccountId>) -> Result<u32>;
    /// Resets the count of failures, and remembers where the owner signed in: the last twenty places of each kind.
    async fn record_login_success(&self, attempt: SignIn, subject: AccountId) -> Result<()>;
    /// Removes familiar places of an account, because somebody is guessing from there.
    async fn forget_login_places(&self, tenant: &TenantId, subject: &AccountId, places: Vec<LoginPlace>) -> Result<()>;
}
