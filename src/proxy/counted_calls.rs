//! `CountedCalls`: which limits of its route count a request.

use std::net::IpAddr;

use tokio::time::Instant;

use super::addressed::Addressed;
use super::budget::UserSlot;
use super::cached_principal::CachedPrincipal;
use super::call_limits::{CountedCaller, RouteLimits};
use super::rejection::Rejection;
use super::usage::CountedAt;
use crate::config::UpstreamKind;
use crate::mcp::Envelope;

/// Both limits of requests without a token, of which each counts once.
const WITHOUT_TOKEN: &[(usize, u32)] = &[(0, 1), (1, 1)];

/// The limits that count a request, by index, and how many of its messages each counts; `None` if there are none.
pub(super) struct CountedCalls(Option<Box<[(usize, u32)]>>);

impl CountedCalls {
    /// Finds the limits that count the messages of a body.
    pub(super) fn of_messages(caller: &CachedPrincipal, messages: &[Envelope<'_>]) -> Self {
        let Some(limits) = caller.route().limits.as_ref().map(RouteLimits::limits) else { return Self(None) };
        let of = |message| limits.of_message(message, |tool| caller.annotations(tool)).indices();
        if let [message] = messages {
            return Self::of(of(message).map(|index| (index, 1)));
        }
        let mut numbers = vec![0_u32; limits.all().len()];
        for index in messages.iter().flat_map(of) {
            if let Some(number) = numbers.get_mut(index) {
                *number = number.saturating_add(1);
            }
        }
        Self::of(numbers.into_iter().enumerate().filter(|(_, number)| *number > 0))
    }

    /// Finds the limits that count what has no message that could be read: an HTTP request; none for one of MCP.
    pub(super) fn of_request(caller: &CachedPrincipal, method: &str, path: &str) -> Self {
        let route = caller.route();
        let limits = route.limits.as_ref().filter(|_| route.kind == UpstreamKind::Http);
        let Some(limits) = limits.map(RouteLimits::limits) else { return Self(None) };
        let path = path.strip_prefix(&*route.path).unwrap_or(path);
        Self::of(limits.of_http(method, path).indices().map(|index| (index, 1)))
    }

    /// Counts a permitted request against the limits of the route of its token, and one without a token against those
    /// for such requests first. Those of how many run at the same time count it as long as `slot` is there.
    pub(super) fn enter(
        &self,
        (token, address): (&Addressed<'_>, IpAddr),
        now: Instant,
        slot: &mut Option<UserSlot>,
    ) -> Result<(), Rejection> {
        let (route, token) = (token.route(), token.token());
        if self.0.is_none() && !token.is_anonymous() {
            return Ok(());
        }
        let of_route = self.0.as_deref().zip(route.limits.as_ref());
        let without_token = route.anonymous_limits.as_ref().filter(|_| token.is_anonymous());
        for (counted, limits) in without_token.map(|limits| (WITHOUT_TOKEN, limits)).into_iter().chain(of_route) {
            let caller = CountedCaller { principal: token.principal(), grant: token.grant(), address };
            let calls = limits.enter(counted, caller, CountedAt { now, at: token.at() })?;
            if let Some(slot) = slot {
                slot.hold(calls);
            }
        }
        Ok(())
    }

    fn of(found: impl Iterator<Item = (usize, u32)>) -> Self {
        Self(Some(found.collect::<Box<[_]>>()).filter(|found| !found.is_empty()))
    }
}
