//! `CountedQuota`: a limit for each day, with what is used of it. The counts are in memory; whoever keeps them in a
//! store takes what it does not have yet, and tells what it has.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::call_limits::RouteLimits;
use super::route::Route;
use super::route_table::RouteTable;
use super::usage::LimitUsage;
use crate::oauth::TenantId;
use crate::policy::{CallLimit, QuotaUse};

/// A limit for each day, and its counts.
#[derive(Clone)]
pub struct CountedQuota {
    /// The tenant of the upstream.
    pub tenant: TenantId,
    /// The name of the upstream in the configuration.
    pub upstream: String,
    /// The name of the limit.
    pub limit: String,
    usage: Arc<LimitUsage>,
}

impl std::fmt::Debug for CountedQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.limit, self.upstream)
    }
}

/// How much memory a limit needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitState {
    /// The name of the upstream in the configuration.
    pub upstream: String,
    /// The name of the limit.
    pub limit: String,
    /// How many users, grants, clients or networks have a count.
    pub counts: usize,
    /// How many requests did not get a count of their own because there were too many.
    pub surplus: u64,
}

impl RouteTable {
    /// Returns the limits for each day of all upstreams.
    #[must_use]
    pub fn quotas(&self) -> Vec<CountedQuota> {
        let of_days = self.limits().filter(|(_, limit, _)| limit.per_day.is_some());
        let quota = |(route, limit, usage): (&Route, &CallLimit, &Arc<LimitUsage>)| CountedQuota {
            tenant: route.tenant.clone(),
            upstream: route.name.clone(),
            limit: limit.name.clone(),
            usage: Arc::clone(usage),
        };
        of_days.map(quota).collect()
    }

    /// Returns the state of all limits.
    #[must_use]
    pub fn limit_states(&self) -> Vec<LimitState> {
        let state = |(route, limit, usage): (&Route, &CallLimit, &Arc<LimitUsage>)| {
            let (counts, surplus) = usage.figures();
            LimitState { upstream: route.name.clone(), limit: limit.name.clone(), counts, surplus }
        };
        self.limits().map(state).collect()
    }

    fn limits(&self) -> impl Iterator<Item = (&Route, &CallLimit, &Arc<LimitUsage>)> {
        self.routes.iter().flat_map(|route| {
            let all = [&route.limits, &route.anonymous_limits].into_iter().flatten().flat_map(RouteLimits::with_usages);
            all.map(move |(limit, usage)| (&**route, limit, usage))
        })
    }
}

impl CountedQuota {
    /// Wakes this writer from now on whenever there is something to write.
    pub fn tell(&self, writer: &Arc<Notify>) {
        self.usage.tell(writer);
    }

    /// Takes at most this many uses that are not in the store. Tell with [`Self::wrote`] what became of them.
    #[must_use]
    pub fn take_unwritten(&self, most: usize) -> Vec<QuotaUse> {
        self.usage.take_unwritten(most)
    }

    /// Notes that uses were written, with the sums in the store; without sums, that they were not.
    pub fn wrote(&self, uses: Vec<QuotaUse>, sums: Option<&[u64]>) {
        self.usage.wrote(uses, sums);
    }

    /// Learns what the store has.
    pub fn learn(&self, found: QuotaUse) {
        self.usage.learn(found, Instant::now());
    }

    /// Returns whether both have the same counts.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.usage, &other.usage)
    }

    /// Returns whether nobody else can count here any more.
    #[must_use]
    pub fn is_forsaken(&self) -> bool {
        Arc::strong_count(&self.usage) == 1
    }
}

#[cfg(test)]
mod test_quotas {
    use super::CountedQuota;
    use crate::oauth::{AccountId, TenantId, Timestamp};
    use crate::policy::{CallLimit, CountKey, LimitPer};
    use crate::proxy::usage::{CountedAt, LimitUsage, Reached};
    use tokio::time::Instant;

    impl CountedQuota {
        /// A quota of ten a day for each user.
        pub(crate) fn of(limit: &str) -> Self {
            let usage = LimitUsage::new(Instant::now());
            Self { tenant: TenantId::default(), upstream: "files".to_owned(), limit: limit.to_owned(), usage }
        }

        /// Counts uses of a user.
        pub(crate) fn count(&self, user: &str, number: u32, at: Timestamp) -> Result<(), impl std::fmt::Debug + use<>> {
            let limit = CallLimit {
                name: self.limit.clone(),
                operations: Vec::new(),
                per: LimitPer::User,
                rate: None,
                per_day: Some(10),
                at_once: None,
            };
            let user = AccountId::parse(user).unwrap();
            let at = CountedAt { now: Instant::now(), at };
            let counted: Result<_, Reached> =
                self.usage.take((CountKey::User(user.clone()), &user), number, &limit, at);
            counted.map(drop)
        }
    }
}
