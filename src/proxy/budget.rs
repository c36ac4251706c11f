//! How much one user of one client may ask for: requests a second, and streams open at a time, over all workers.

use std::hash::RandomState;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::rejection::Rejection;
use crate::config::Rates;
use crate::oauth::{ClientId, Subject, TenantId};
use crate::token_cache::Principal;

/// Budgets beyond this are swept of those that nobody holds.
const SWEEP_AT: usize = 16_384;

/// Everybody's budget. Lives as long as the route table: changed rates begin anew.
pub(super) struct Budgets {
    quota: Option<Quota>,
    clock: DefaultClock,
    // The keyed hasher of std: subjects may be chosen by strangers one day.
    held: DashMap<(TenantId, Subject, ClientId), Arc<Budget>, RandomState>,
}

/// The budget of one user of one client, whatever the token and its scopes.
pub(super) struct Budget {
    limiter: Option<DefaultDirectRateLimiter>,
    streams: AtomicUsize,
}

/// An open stream, counted until it is dropped.
pub(super) struct StreamSlot(Arc<Budget>);

impl Budgets {
    pub(super) fn new(rates: &Rates) -> Self {
        // A rate of zero can only mean that none is wished.
        let quota = NonZeroU32::new(rates.mcp_per_second)
            .map(|rate| Quota::per_second(rate).allow_burst(NonZeroU32::new(rates.mcp_burst).unwrap_or(rate)));
        Self { quota, clock: DefaultClock::default(), held: DashMap::default() }
    }

    /// Returns the budget of a principal.
    pub(super) fn of(&self, whose: &Principal) -> Arc<Budget> {
        if self.held.len() > SWEEP_AT {
            self.held.retain(|_, budget| Arc::strong_count(budget) > 1);
        }
        let budget =
            self.held.entry((whose.tenant.clone(), whose.subject.clone(), whose.client.clone())).or_insert_with(|| {
                Arc::new(Budget { limiter: self.quota.map(RateLimiter::direct), streams: AtomicUsize::new(0) })
            });
        Arc::clone(&budget)
    }

    /// Takes one request from a budget.
    pub(super) fn spend(&self, budget: &Budget) -> Result<(), Rejection> {
        let Some(limiter) = &budget.limiter else { return Ok(()) };
        limiter.check().map_err(|early| {
            let wait = early.wait_time_from(self.clock.now());
            // Rounded up: who comes when told to must not be refused again.
            Rejection::RateLimited(wait.as_secs().saturating_add(1))
        })
    }
}

impl Budget {
    pub(super) fn open_streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    pub(super) fn open_stream(self: &Arc<Self>) -> StreamSlot {
        self.streams.fetch_add(1, Ordering::Relaxed);
        StreamSlot(Arc::clone(self))
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
