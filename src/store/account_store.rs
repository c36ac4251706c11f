//! What a store promises about people: their accounts, and what is known of attempts to sign in.

use async_trait::async_trait;

use super::{
    Account, AuditRow, Insertion, LinkHash, LoginHistory, LoginPlace, NewPassword, PasswordChange, Renaming, Result,
    SetupLink, SignIn, Update,
};
use crate::oauth::{AccountId, LoginName, TenantId, Timestamp};

/// Accounts of the people who log in.
#[async_trait]
pub trait AccountStore {
    /// Adds an account unless an account has the name, or had it once.
    async fn insert_account(&self, account: Account, audit: AuditRow) -> Result<Insertion>;
    /// Finds one by its login name.
    async fn find_account_by_name(&self, tenant: &TenantId, name: &LoginName) -> Result<Option<Account>>;
    /// Finds one by subject.
    async fn find_account(&self, tenant: &TenantId, subject: &AccountId) -> Result<Option<Account>>;
    /// Lists all of a tenant.
    async fn list_accounts(&self, tenant: &TenantId) -> Result<Vec<Account>>;
    /// Switches an account off or on; off ends its sessions, links, codes and grants for good and emits
    /// `Change::AccountDisabled`.
    async fn set_account_disabled(&self, subject: &AccountId, disabled: bool, audit: AuditRow) -> Result<Update>;
    /// Gives an account another login name, unless another account has it or had it once; the old name stays taken. It may
    /// have a name back that was its own. Ends nothing.
    async fn rename_account(&self, subject: &AccountId, name: &LoginName, audit: AuditRow) -> Result<Renaming>;
    /// Removes an account with its sessions, links, codes, grants and consents; its name stays taken. Emits
    /// `Change::AccountDisabled`.
    async fn delete_account(&self, subject: &AccountId, audit: AuditRow) -> Result<Update>;
    /// Lists the login names of a tenant that accounts had and have no more, with whose they were.
    async fn former_names(&self, tenant: &TenantId) -> Result<Vec<(LoginName, AccountId)>>;
    /// Sets the password that the owner of an enabled account wants, if the current one is still the one that was compared;
    /// forgets failed logins; ends all sessions and links of the account, and its codes and grants if requested.
    async fn change_password(&self, subject: &AccountId, change: PasswordChange, audit: AuditRow) -> Result<Update>;
    /// Sets the password and forgets failed logins; ends all sessions, links, codes and grants of the
    /// account (RT-14).
    async fn set_password(&self, subject: &AccountId, new: NewPassword, audit: AuditRow) -> Result<Update>;
    /// Replaces the hash of the same password by one with stronger parameters; ends nothing.
    async fn rehash_password(&self, tenant: &TenantId, subject: &AccountId, old: &str, new: String) -> Result<Update>;
    /// Adds a one-time set-password link; earlier ones of the account die.
    async fn insert_setup_link(&self, link: SetupLink, audit: AuditRow) -> Result<()>;
    /// Finds a link that is unused and not expired.
    async fn find_setup_link(&self, tenant: &TenantId, hash: &LinkHash, now: Timestamp) -> Result<Option<SetupLink>>;
    /// Uses a link and sets the password in one transaction, with all that `set_password` ends.
    async fn redeem_setup_link(&self, hash: &LinkHash, new: NewPassword, audit: AuditRow) -> Result<Update>;
}

/// What is known of attempts to sign in. Failures are counted by login name, whether an account has the name or not: a
/// count that lived longer, or was kept elsewhere, for one of the two would tell which names exist (LI-04).
#[async_trait]
pub trait LoginStore {
    /// Reads in one step what an attempt to sign in is judged by: the account of a name, how many attempts at what was typed
    /// have failed in a row, and when the owner last signed in from each of its places. It does the same work for a name that
    /// no account has, and for what cannot be one.
    async fn find_login(&self, attempt: SignIn, name: Option<LoginName>) -> Result<LoginHistory>;
    /// Counts a failed attempt at a name, and for the account that has it; returns how many failed in a row. A count ends
    /// with a success, with a new password, or a day after the last failure.
    async fn record_login_failure(&self, attempt: SignIn, subject: Option<AccountId>) -> Result<u32>;
    /// Ends the count of failures, and remembers where the owner signed in: the last twenty places of each kind.
    async fn record_login_success(&self, attempt: SignIn, subject: AccountId) -> Result<()>;
    /// Forgets places where an account signed in: somebody guesses from there.
    async fn forget_login_places(&self, tenant: &TenantId, subject: &AccountId, places: Vec<LoginPlace>) -> Result<()>;
}
