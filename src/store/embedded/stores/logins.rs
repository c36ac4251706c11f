//! `LoginStore`: the places that accounts have signed in from, and failed logins by name.

use crate::oauth::{AccountId, LoginName, TenantId};
use crate::store::embedded::rows::{accounts, logins};
use crate::store::{LoginHistory, LoginPlace, Result, SignIn};

implement! { LoginStore:
    read find_login(attempt: SignIn, name: Option<LoginName>) -> LoginHistory = |db| {
        let account = accounts::find_by_name(db, &attempt.tenant, name.as_ref())?.filter(|a| a.subject.is_person());
        logins::history(db, &attempt, account)
    };
    write record_login_failure(attempt: SignIn, subject: Option<AccountId>) -> u32
        = |db| logins::record_failure(db, &attempt, subject.as_ref());
    write record_login_success(attempt: SignIn, subject: AccountId) -> ()
        = |db| logins::record_success(db, &attempt, &subject);
    write forget_login_places(tenant: &TenantId, subject: &AccountId, places: Vec<LoginPlace>) -> ()
        = |db| logins::forget_places(db, &tenant, &subject, &places);
}
