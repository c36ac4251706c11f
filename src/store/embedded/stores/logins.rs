//! `LoginStore`: where accounts have signed in from, and failed logins by name.

use async_trait::async_trait;

use crate::oauth::{AccountId, LoginName, TenantId};
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::rows::{accounts, logins};
use crate::store::{LoginHistory, LoginPlace, LoginStore, Result, SignIn};

#[async_trait]
impl LoginStore for EmbeddedStore {
    async fn find_login(&self, attempt: SignIn, name: Option<LoginName>) -> Result<LoginHistory> {
        self.read(move |db| {
            let account = accounts::find_by_name(db, &attempt.tenant, name.as_ref())?.filter(|a| a.subject.is_person());
            logins::history(db, &attempt, account)
        })
        .await
    }

    async fn record_login_failure(&self, attempt: SignIn, subject: Option<AccountId>) -> Result<u32> {
        self.write(move |db| logins::record_failure(db, &attempt, subject.as_ref())).await
    }

    async fn record_login_success(&self, attempt: SignIn, subject: AccountId) -> Result<()> {
        self.write(move |db| logins::record_success(db, &attempt, &subject)).await
    }

    async fn forget_login_places(&self, tenant: &TenantId, subject: &AccountId, places: Vec<LoginPlace>) -> Result<()> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.write(move |db| logins::forget_places(db, &tenant, &subject, &places)).await
    }
}
