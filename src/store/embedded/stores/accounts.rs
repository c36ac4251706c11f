//! `AccountStore`: accounts and set-password links.

use rusqlite::Connection;

use crate::oauth::{AccountId, LoginName, TenantId, Timestamp};
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{accounts, names};
use crate::store::{
    Account, AuditRow, Insertion, LinkHash, NewPassword, PasswordChange, Renaming, Result, SetupLink, Update,
};

implement! { AccountStore:
    write insert_account(account: Account, audit: AuditRow) -> Insertion = |db| accounts::insert(db, &account, &audit);
    read find_account_by_name(tenant: &TenantId, name: &LoginName) -> Option<Account>
        = |db| accounts::find_by_name(db, &tenant, Some(&name));
    read find_account(tenant: &TenantId, subject: &AccountId) -> Option<Account>
        = |db| Ok(accounts::find(db, &tenant, &subject)?.map(|(_, account)| account));
    read list_accounts(tenant: &TenantId) -> Vec<Account> = |db| accounts::list(db, &tenant);
    write rename_account(subject: &AccountId, name: &LoginName, audit: AuditRow) -> Renaming
        = |db| accounts::rename(db, &subject, name, &audit);
    write_urgently(audit) delete_account(subject: &AccountId, audit: AuditRow) -> Update
        = |db| accounts::delete(db, &subject, &audit);
    read former_names(tenant: &TenantId) -> Vec<(LoginName, AccountId)> = |db| names::former(db, &tenant);
    write change_password(subject: &AccountId, change: PasswordChange, audit: AuditRow) -> Update
        = |db| accounts::change_password(db, &subject, change, &audit);
    write set_password(subject: &AccountId, new: NewPassword, audit: AuditRow) -> Update
        = |db| accounts::put_password(db, &subject, new, &audit);
    write rehash_password(tenant: &TenantId, subject: &AccountId, old: &str, new: String) -> Update
        = |db| accounts::rehash(db, &tenant, &subject, &old, new);
    write insert_setup_link(link: SetupLink, audit: AuditRow) -> () = |db| accounts::put_link(db, &link, &audit);
    read find_setup_link(tenant: &TenantId, hash: &LinkHash, now: Timestamp) -> Option<SetupLink>
        = |db| accounts::find_link(db, &tenant, &hash, now);
    write redeem_setup_link(hash: &LinkHash, new: NewPassword, audit: AuditRow) -> Update
        = |db| match accounts::find_link(db, &audit.tenant, &hash, new.at)? {
            // Setting the password removes every link of the account, including this one.
            Some(link) => accounts::put_password(db, &link.subject, new, &audit),
            None => Ok(Update::NotFound),
        };
    + async fn set_account_disabled(&self, subject: &AccountId, disabled: bool, audit: AuditRow) -> Result<Update> {
        let (subject, by) = (subject.clone(), EndedBy::of(&audit));
        let work = move |db: &Connection| accounts::set_disabled(db, &subject, disabled, &audit);
        if disabled { self.write_urgently(by, work).await } else { self.write(work).await }
    }
}
