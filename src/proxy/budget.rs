//! Limits per user, over all clients and all workers: requests per second, and concurrent requests.

use std::hash::RandomState;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::rejection::Rejection;
use super::usage::RunningCalls;
use crate::config::Rates;
use crate::oauth::{AccountId, Lifetime, TenantId};
use crate::token_cache::Principal;

/// The number of budgets from which unused ones are removed, if there are also twice as many as after the last sweep.
const SWEEP_AT: usize = 16_384;

/// The budgets of all users. When the rates change, all budgets start again.
pub(super) struct UserBudgets {
    quota: Option<Quota>,
    clock: DefaultClock,
    // Keyed by user only and not by client, since a user can register any number of clients. With std's keyed hasher,
    // because strangers may be able to choose subjects one day.
    held: DashMap<(TenantId, AccountId), Arc<UserBudget>, RandomState>,
    sweep_at: AtomicUsize,
}

/// The budget of one user, whatever the client, the token and its scopes.
pub(super) struct UserBudget {
    limiter: Option<DefaultDirectRateLimiter>,
    under_way: AtomicUsize,
    is_anonymous: bool,
}

/// A request in progress, counted until it is dropped.
pub(super) struct UserSlot {
    budget: Arc<UserBudget>,
    /// What counts against the limits of its upstream.
    calls: Option<Box<RunningCalls>>,
}

impl UserBudgets {
    pub(super) fn new(rates: &Rates) -> Self {
        Self {
            quota: quota(rates),
            clock: DefaultClock::default(),
            held: DashMap::default(),
            sweep_at: AtomicUsize::new(SWEEP_AT),
        }
    }

    /// Returns whether these budgets were made for these rates.
    pub(super) fn are_of(&self, rates: &Rates) -> bool {
        self.quota == quota(rates)
    }

    /// Returns the budget of a principal's user.
    pub(super) fn of(&self, whose: &Principal) -> Arc<UserBudget> {
        if self.held.len() > self.sweep_at.load(Ordering::Relaxed) {
            self.held.retain(|_, budget| Arc::strong_count(budget) > 1);
            // A sweep visits all budgets, so as many must be added before the next one.
            self.sweep_at.store(self.held.len().saturating_mul(2).max(SWEEP_AT), Ordering::Relaxed);
        }
        let budget = self.held.entry((whose.tenant().clone(), whose.subject().id().clone())).or_insert_with(|| {
            Arc::new(UserBudget {
                limiter: self.quota.map(RateLimiter::direct),
                under_way: AtomicUsize::new(0),
                is_anonymous: whose.is_anonymous(),
            })
        });
        Arc::clone(&budget)
    }

    /// Charges one request to a budget.
    pub(super) fn spend(&self, budget: &UserBudget) -> Result<(), Rejection> {
        let Some(limiter) = &budget.limiter else { return Ok(()) };
        limiter.check().map_err(|early| {
            let millis = early.wait_time_from(self.clock.now()).as_millis();
            Rejection::RateLimited(Lifetime::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).as_pause())
        })
    }
}

fn quota(rates: &Rates) -> Option<Quota> {
    // A rate of zero means no limit.
    let rate = NonZeroU32::new(rates.mcp_per_second)?;
    Some(Quota::per_second(rate).allow_burst(NonZeroU32::new(rates.mcp_burst).unwrap_or(rate)))
}

impl UserBudget {
    /// Returns whether it is that of callers without a token, who share one by site.
    pub(super) fn is_anonymous(&self) -> bool {
        self.is_anonymous
    }

    /// Counts a request until its answer has ended.
    pub(super) fn enter(self: &Arc<Self>, limit: usize) -> Result<UserSlot, Rejection> {
        let user_slot = UserSlot { budget: Arc::clone(self), calls: None };
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        if before < limit { Ok(user_slot) } else { Err(Rejection::TooManyAtOnce) }
    }
}

impl UserSlot {
    /// Keeps what counts against other limits for as long as the request.
    pub(super) fn hold(&mut self, calls: Option<Box<RunningCalls>>) {
        self.calls = match (self.calls.take(), calls) {
            (Some(held), Some(more)) => Some(Box::new(held.and(*more))),
            (held, more) => held.or(more),
        };
    }
}

impl Drop for UserSlot {
    fn drop(&mut self) {
        self.budget.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{SWEEP_AT, UserBudgets};
    use crate::config::{Config, Overrides, Rates};
    use crate::oauth::{
        AccessTokenRecord, AccountId, AddressRanges, ClientId, ClientOrigin, Exclusions, GrantId, GroupSet,
        ResourceIndicator, ScopeSet, Subject, TenantId, Timestamp, TokenHash,
    };
    use crate::token_cache::Principal;
    use std::sync::Arc;

    /// Returns the default rates.
    pub(in crate::proxy) fn rates() -> Rates {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data_dir: Some(folder.path().to_owned()), up: true, ..Overrides::default() };
        Config::load(None, &overrides).unwrap().rates
    }

    fn budgets() -> UserBudgets {
        UserBudgets::new(&rates())
    }

    pub(in crate::proxy) fn principal(n: usize) -> Principal {
        of_client("mcp_client_a", n)
    }

    pub(in crate::proxy) fn anonymous(n: usize) -> Principal {
        let (client, subject) = (ClientId::parse("anonymous").unwrap(), AccountId::parse(&format!("anonymous_{n}")));
        let resource = ResourceIndicator::parse("https://gw.example/mcp").unwrap();
        Principal::anonymous(TenantId::default(), client, subject.unwrap(), resource)
    }

    fn of_client(client: &str, n: usize) -> Principal {
        Principal::from(&record(client, n))
    }

    pub(in crate::proxy) fn record(client: &str, n: usize) -> AccessTokenRecord {
        AccessTokenRecord {
            hash: TokenHash::from_stored([0; 32]),
            tenant: TenantId::default(),
            grant: GrantId([0; 16]),
            client: ClientId::parse(client).unwrap(),
            client_origin: ClientOrigin::Registered,
            client_limit: None,
            subject: Subject::Person(AccountId::parse(&format!("user-{n}")).unwrap()),
            user: "ada".into(),
            groups: GroupSet::default(),
            resource: ResourceIndicator::parse("https://gw.example/mcp").unwrap(),
            scopes: ScopeSet::default(),
            exclusions: Exclusions::default(),
            consented_at: Timestamp::from_secs(0),
            acting: false,
            addresses: AddressRanges::default(),
            generation: 0,
            reports_use: false,
            issued_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(1),
        }
    }

    #[test]
    fn a_user_has_one_budget_over_all_clients() {
        let budgets = budgets();
        let of = |client, n| budgets.of(&of_client(client, n));
        assert!(Arc::ptr_eq(&of("mcp_client_a", 1), &of("mcp_client_b", 1)));
        assert!(!Arc::ptr_eq(&of("mcp_client_a", 1), &of("mcp_client_a", 2)));
    }

    #[test]
    fn budgets_that_are_held_are_not_swept_in_vain_again_and_again() {
        let budgets = budgets();
        let held: Vec<_> = (0..=SWEEP_AT).map(|n| budgets.of(&principal(n))).collect();
        let first = budgets.of(&principal(SWEEP_AT + 1));
        assert_eq!(budgets.sweep_at.load(super::Ordering::Relaxed), 2 * held.len());
        drop((held, first));
        (0..2 * SWEEP_AT).for_each(|n| drop(budgets.of(&principal(2 * SWEEP_AT + n))));
        assert!(budgets.held.len() < SWEEP_AT, "{} are kept although nobody holds them", budgets.held.len());
    }
}
