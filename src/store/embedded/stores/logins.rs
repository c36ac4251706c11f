//! `LoginStore`: where accounts have signed in from, and failed logins by name.

use async_trait::async_trait;

use crate::oauth::{AccountId, LoginNameHash, TenantId, Timestamp};
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::rows::{accounts, logins};
use crate::store::{LoginHistory, LoginPlace, LoginStore, Result};

#[async_trait]
impl LoginStore for EmbeddedStore {
    async fn find_login(
        &self,
        tenant: &TenantId,
        name: &str,
        hash: &LoginNameHash,
        places: [LoginPlace; 2],
        now: Timestamp,
    ) -> Result<LoginHistory> {
        let (tenant, name, hash) = (tenant.clone(), name.to_lowercase(), *hash);
        self.read(move |db| {
            let account = accounts::find_by_name(db, &tenant, &name)?.filter(|a| a.subject.is_person());
            let subject = account.as_ref().map_or("", |a| a.subject.as_str());
            let [first, second] = places;
            let last_logins =
                [logins::last_login(db, &tenant, subject, first)?, logins::last_login(db, &tenant, subject, second)?];
            Ok(LoginHistory { failures: logins::failures(db, &tenant, &hash, now)?, last_logins, account })
        })
        .await
    }

    async fn record_login_failure(
        &self,
        tenant: &TenantId,
        hash: &LoginNameHash,
        subject: Option<&AccountId>,
        now: Timestamp,
    ) -> Result<u32> {
        let (tenant, hash, subject) = (tenant.clone(), *hash, subject.cloned());
        self.write(move |db| logins::record_failure(db, &tenant, &hash, subject.as_ref(), now)).await
    }

    async fn record_login_success(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        hash: &LoginNameHash,
        places: [LoginPlace; 2],
        now: Timestamp,
    ) -> Result<()> {
        let (tenant, subject, hash) = (tenant.clone(), subject.clone(), *hash);
        self.write(move |db| logins::record_success(db, &tenant, &subject, &hash, places, now)).await
    }

    async fn forget_login_places(&self, tenant: &TenantId, subject: &AccountId, places: Vec<LoginPlace>) -> Result<()> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        self.write(move |db| logins::forget_places(db, &tenant, &subject, &places)).await
    }
}
