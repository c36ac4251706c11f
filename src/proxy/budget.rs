//! How much one user of one client may ask for: requests a second, and at once, over all workers.

use std::hash::RandomState;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::rejection::Rejection;
use crate::config::Rates;
use crate::oauth::{ClientId, Lifetime, Subject, TenantId};
use crate::token_cache::Principal;

/// Budgets beyond this, and beyond twice those that were held after the last sweep, are swept of those that nobody holds.
const SWEEP_AT: usize = 16_384;

/// Everybody's budget. Changed rates begin anew.
pub(super) struct Budgets {
    quota: Option<Quota>,
    clock: DefaultClock,
    // The keyed hasher of std: subjects may be chosen by strangers one day.
    held: DashMap<(TenantId, Subject, ClientId), Arc<Budget>, RandomState>,
    sweep_at: AtomicUsize,
}

/// The budget of one user of one client, whatever the token and its scopes.
pub(super) struct Budget {
    limiter: Option<DefaultDirectRateLimiter>,
    under_way: AtomicUsize,
}

/// A request under way, counted until it is dropped.
pub(super) struct Slot(Arc<Budget>);

impl Budgets {
    pub(super) fn new(rates: &Rates) -> Self {
        Self {
            quota: quota(rates),
            clock: DefaultClock::default(),
            held: DashMap::default(),
            sweep_at: AtomicUsize::new(SWEEP_AT),
        }
    }

    /// Returns whether these are the budgets of such rates.
    pub(super) fn are_of(&self, rates: &Rates) -> bool {
        self.quota == quota(rates)
    }

    /// Returns the budget of a principal.
    pub(super) fn of(&self, whose: &Principal) -> Arc<Budget> {
        if self.held.len() > self.sweep_at.load(Ordering::Relaxed) {
            self.held.retain(|_, budget| Arc::strong_count(budget) > 1);
            // So that a sweep, which looks at all of them, is paid for by as many that were added.
            self.sweep_at.store(self.held.len().saturating_mul(2).max(SWEEP_AT), Ordering::Relaxed);
        }
        let budget =
            self.held.entry((whose.tenant.clone(), whose.subject.clone(), whose.client.clone())).or_insert_with(|| {
                Arc::new(Budget { limiter: self.quota.map(RateLimiter::direct), under_way: AtomicUsize::new(0) })
            });
        Arc::clone(&budget)
    }

    /// Takes one request from a budget.
    pub(super) fn spend(&self, budget: &Budget) -> Result<(), Rejection> {
        let Some(limiter) = &budget.limiter else { return Ok(()) };
        limiter.check().map_err(|early| {
            let millis = early.wait_time_from(self.clock.now()).as_millis();
            Rejection::RateLimited(Lifetime::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).as_pause())
        })
    }
}

fn quota(rates: &Rates) -> Option<Quota> {
    // A rate of zero can only mean that none is wished.
    let rate = NonZeroU32::new(rates.mcp_per_second)?;
    Some(Quota::per_second(rate).allow_burst(NonZeroU32::new(rates.mcp_burst).unwrap_or(rate)))
}

impl Budget {
    /// Counts a request that begins, until its answer has ended.
    pub(super) fn enter(self: &Arc<Self>, limit: usize) -> Result<Slot, Rejection> {
        let slot = Slot(Arc::clone(self));
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        if before < limit { Ok(slot) } else { Err(Rejection::TooManyAtOnce) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Budgets, SWEEP_AT};
    use crate::config::{Config, Overrides};
    use crate::oauth::{ClientId, ResourceIndicator, ScopeSet, Subject, TenantId};
    use crate::token_cache::Principal;

    fn budgets() -> Budgets {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data_dir: Some(folder.path().to_owned()), up: true, ..Overrides::default() };
        Budgets::new(&Config::load(None, &overrides).unwrap().rates)
    }

    fn principal(n: usize) -> Principal {
        Principal {
            tenant: TenantId::default(),
            client: ClientId::parse("mcp_client_a").unwrap(),
            subject: Subject::parse(&format!("user-{n}")).unwrap(),
            resource: ResourceIndicator::parse("https://gw.example/mcp").unwrap(),
            scopes: ScopeSet::default(),
        }
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
