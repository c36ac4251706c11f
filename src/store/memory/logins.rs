//! The history of attempts to sign in, in memory.

use std::mem::discriminant;

use async_trait::async_trait;

use super::super::record::{LOGIN_FAILURES_KEPT, PLACES_PER_ACCOUNT};
use super::super::{LoginHistory, LoginPlace, LoginStore, Result, SignIn};
use super::{MemoryStore, State};
use crate::oauth::{AccountId, LoginName, LoginNameHash, TenantId, Timestamp};

impl State {
    fn failures(&self, tenant: &TenantId, hash: &LoginNameHash, now: Timestamp) -> u32 {
        let counted = |(t, h, _, last): &&(TenantId, LoginNameHash, u32, Timestamp)| {
            t == tenant && h == hash && now < last.plus(LOGIN_FAILURES_KEPT)
        };
        self.login_failures.iter().find(counted).map_or(0, |(_, _, failures, _)| *failures)
    }

    pub(super) fn forget_failures(&mut self, tenant: &TenantId, hash: &LoginNameHash) {
        self.login_failures.retain(|(t, h, ..)| t != tenant || h != hash);
    }

    fn last_login(&self, tenant: &TenantId, subject: &AccountId, place: LoginPlace) -> Option<Timestamp> {
        self.places.iter().find(|(t, s, p, _)| t == tenant && s == subject && *p == place).map(|(.., at)| *at)
    }

    fn forget_place(&mut self, tenant: &TenantId, subject: &AccountId, place: LoginPlace) {
        self.places.retain(|(t, s, p, _)| t != tenant || s != subject || *p != place);
    }
}

#[async_trait]
impl LoginStore for MemoryStore {
    async fn find_login(&self, attempt: SignIn, name: Option<LoginName>) -> Result<LoginHistory> {
        let (state, SignIn { tenant, hash, places, now }) = (self.read(), attempt);
        let account = state.accounts.iter().find(|a| a.tenant == tenant && Some(&a.name) == name.as_ref());
        let account = account.filter(|a| a.subject.is_person()).cloned();
        let last_logins = places.map(|p| account.as_ref().and_then(|a| state.last_login(&tenant, a.subject.id(), p)));
        Ok(LoginHistory { failures: state.failures(&tenant, &hash, now), last_logins, account })
    }

    async fn record_login_failure(&self, attempt: SignIn, subject: Option<AccountId>) -> Result<u32> {
        let (mut state, SignIn { tenant, hash, now, .. }) = (self.write(), attempt);
        let failures = state.failures(&tenant, &hash, now).saturating_add(1);
        state.forget_failures(&tenant, &hash);
        state.login_failures.push((tenant.clone(), hash, failures, now));
        if let Some(account) = subject.and_then(|subject| state.account_mut(&tenant, &subject)) {
            account.failed_logins = account.failed_logins.saturating_add(1);
            account.last_failed_at = Some(now);
        }
        Ok(failures)
    }

    async fn record_login_success(&self, attempt: SignIn, subject: AccountId) -> Result<()> {
        let (mut state, SignIn { tenant, hash, places, now }) = (self.write(), attempt);
        state.forget_failures(&tenant, &hash);
        let Some(account) = state.account_mut(&tenant, &subject) else { return Ok(()) };
        account.failed_logins = 0;
        for place in places {
            state.forget_place(&tenant, &subject, place);
            state.places.push((tenant.clone(), subject.clone(), place, now));
            let same_kind = |(t, s, p, _): &(TenantId, AccountId, LoginPlace, Timestamp)| {
                *t == tenant && *s == subject && discriminant(p) == discriminant(&place)
            };
            if state.places.iter().filter(|p| same_kind(p)).count() > PLACES_PER_ACCOUNT
                && let Some(oldest) = state.places.iter().position(same_kind)
            {
                state.places.remove(oldest);
            }
        }
        Ok(())
    }

    async fn forget_login_places(&self, tenant: &TenantId, subject: &AccountId, places: Vec<LoginPlace>) -> Result<()> {
        let mut state = self.write();
        places.into_iter().for_each(|place| state.forget_place(tenant, subject, place));
        Ok(())
    }
}
