//! `RouteLimits`: counts the messages of permitted requests against the limits of their route (`[[upstream.limit]]`).

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::rejection::{ReachedLimit, Rejection};
use super::usage::{CountedAt, LimitUsage, Reached, RunningCall, RunningCalls};
use crate::network;
use crate::oauth::{ClientOrigin, GrantId};
use crate::policy::{CallLimit, CallLimits, CountKey, LimitPer};
use crate::token_cache::Principal;

/// Whose request is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct CountedCaller<'a> {
    pub(super) principal: &'a Principal,
    pub(super) grant: GrantId,
    /// The client's address.
    pub(super) address: IpAddr,
}

/// The limits of a route, each with its counts.
pub(super) struct RouteLimits {
    limits: Arc<CallLimits>,
    usages: Vec<Arc<LimitUsage>>,
}

impl RouteLimits {
    /// Begins to count.
    pub(super) fn new(limits: &Arc<CallLimits>) -> Self {
        let now = Instant::now();
        Self { limits: Arc::clone(limits), usages: limits.all().iter().map(|_| LimitUsage::new(now)).collect() }
    }

    /// Returns the limits.
    pub(super) fn limits(&self) -> &CallLimits {
        &self.limits
    }

    /// Returns each limit with its counts.
    pub(super) fn with_usages(&self) -> impl Iterator<Item = (&CallLimit, &Arc<LimitUsage>)> {
        self.limits.all().iter().zip(&self.usages)
    }

    /// Goes on with the counts of limits of the same name, even if they allow another number now.
    pub(super) fn adopt(&mut self, before: &Self) {
        for (usage, limit) in self.usages.iter_mut().zip(self.limits.all()) {
            let mut others = before.usages.iter().zip(before.limits.all());
            if let Some((kept, _)) = others.find(|(_, other)| other.name == limit.name) {
                *usage = Arc::clone(kept);
            }
        }
    }

    /// Counts a request against all limits that are about it, or against none if one of them is reached.
    pub(super) fn enter(
        &self,
        counted: &[(usize, u32)],
        caller: CountedCaller<'_>,
        at: CountedAt,
    ) -> Result<Option<Box<RunningCalls>>, Rejection> {
        let user = caller.principal.subject().id();
        let mut entered: Vec<(RunningCall, &CallLimit)> = Vec::new();
        for (index, number) in counted {
            let (Some(limit), Some(usage)) = (self.limits.all().get(*index), self.usages.get(*index)) else { continue };
            match usage.take((key(&limit.per, caller), user), *number, limit, at) {
                Ok(call) => entered.push((call, limit)),
                Err(reached) => {
                    entered.into_iter().for_each(|(call, limit)| call.undo(limit));
                    return Err(Rejection::LimitReached(Box::new(reached_limit(limit, reached))));
                }
            }
        }
        let running: Vec<RunningCall> =
            entered.into_iter().map(|(call, _)| call).filter(RunningCall::is_held).collect();
        Ok((!running.is_empty()).then(|| Box::new(RunningCalls::new(running))))
    }
}

fn key(per: &LimitPer, CountedCaller { principal, grant, address }: CountedCaller<'_>) -> CountKey {
    match per {
        // Without a token there is no grant; each would otherwise count as the same one.
        LimitPer::User | LimitPer::Grant | LimitPer::Client(_) if principal.is_anonymous() => {
            CountKey::Anonymous(principal.subject().id().clone())
        }
        LimitPer::User => CountKey::User(principal.subject().id().clone()),
        // Strangers can share the id of any other client, whatever the configuration lists.
        LimitPer::Client(own)
            if principal.client_origin() == ClientOrigin::Manual && own.contains(principal.client()) =>
        {
            CountKey::Client(principal.client().clone())
        }
        LimitPer::Grant | LimitPer::Client(_) => CountKey::Grant(grant),
        LimitPer::Upstream => CountKey::Upstream,
        LimitPer::Host => CountKey::Address(network::host(address)),
        LimitPer::Site => CountKey::Address(network::site(address)),
    }
}

/// Says in words which limit is reached, and when to try again.
fn reached_limit(limit: &CallLimit, reached: Reached) -> ReachedLimit {
    let per = limit.per.words();
    let (per_minute, burst) = limit.rate.map_or((0, 0), |rate| (rate.per_minute, rate.burst));
    let a_day = format!("{} a day", limit.per_day.unwrap_or_default());
    let (key, what, when, retry_after) = match reached {
        Reached::Rate(wait) => {
            let seconds = u64::try_from(wait.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
            let when = format!("try again in {}", counted(seconds, "second"));
            let is_anonymous = matches!(limit.per, LimitPer::Host | LimitPer::Site);
            let key = if is_anonymous { "upstream.anonymous_per_minute" } else { "upstream.limit.per_minute" };
            (key, format!("{per_minute} a minute"), when, seconds)
        }
        Reached::Burst => {
            let what = format!("{burst} in one request");
            ("upstream.limit.burst", what, "send fewer in one request".to_owned(), 1)
        }
        Reached::AtOnce => {
            let what = format!("{} at the same time", limit.at_once.unwrap_or_default());
            ("upstream.limit.at_once", what, "try again when one has ended".to_owned(), 1)
        }
        Reached::Day(left) => {
            let seconds = left.as_pause();
            let when = format!("try again after midnight in UTC, in {}", roughly(seconds));
            ("upstream.limit.per_day", a_day, when, seconds)
        }
        Reached::WholeDay => ("upstream.limit.per_day", a_day, "send fewer in one request".to_owned(), 1),
    };
    let text = format!("the limit \"{}\" of this server ({what} {per}) is reached: {when}", limit.name);
    ReachedLimit { name: limit.name.clone(), key, text, retry_after }
}

/// Writes a time of some hours or minutes, rounded up so that nobody is told to come back too early.
fn roughly(seconds: u64) -> String {
    let minutes = seconds.div_ceil(60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => counted(minutes, "minute"),
        (hours, 0) => counted(hours, "hour"),
        (hours, minutes) => format!("{} and {}", counted(hours, "hour"), counted(minutes, "minute")),
    }
}

fn counted(number: u64, unit: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{CountedCaller, LimitPer, key, roughly};
    use crate::oauth::{AccountId, ClientId, GrantId, ResourceIndicator, TenantId};
    use crate::token_cache::Principal;

    #[test]
    fn a_wait_is_told_in_hours_and_minutes() {
        for (seconds, expected) in [
            (1, "1 minute"),
            (61, "2 minutes"),
            (3541, "1 hour"),
            (3601, "1 hour and 1 minute"),
            (40_000, "11 hours and 7 minutes"),
            (86_400, "24 hours"),
        ] {
            assert_eq!(roughly(seconds), expected);
        }
    }

    #[test]
    fn no_limit_counts_all_callers_without_a_token_as_one_user() {
        let key_of = |per: &LimitPer, client: &str, subject: &str| {
            let (client, subject) = (ClientId::parse(client).unwrap(), AccountId::parse(subject).unwrap());
            let resource = ResourceIndicator::parse("https://gw.example/mcp").unwrap();
            let principal = Principal::anonymous(TenantId::default(), client, subject, resource);
            let address = IpAddr::from([192, 0, 2, 1]);
            key(per, CountedCaller { principal: &principal, grant: GrantId([0; 16]), address })
        };
        for per in [LimitPer::User, LimitPer::Grant, LimitPer::Client(Vec::new())] {
            let first = key_of(&per, "anonymous_1", "anonymous_192.0.2.0");
            assert_eq!(first, key_of(&per, "anonymous_2", "anonymous_192.0.2.0"), "{per:?}: a network is one user");
            assert_ne!(first, key_of(&per, "anonymous_3", "anonymous_198.51.100.0"), "{per:?}: another is not");
        }
    }
}
