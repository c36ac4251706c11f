//! The table of open connections: which limits each counts against, and which makes room when one is reached.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::activity::Activity;
use super::idle::Group;
use crate::config::Limits;
use crate::network::{host, site};
use crate::telemetry::ServerEvent;

/// One in this many places is kept for connections that have shown a good token, and for addresses where one was shown.
const ONE_KEPT_OF: usize = 10;
/// How long such an address is remembered, and below how many are.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
const MOST_REMEMBERED: usize = 16_384;

/// The connections that hold a place.
#[derive(Debug, Default)]
pub(super) struct Table {
    next: u64,
    pub(super) members: HashMap<u64, Member>,
    pub(super) strangers: Group,
    /// Those that have shown a good token, come from an address where one was shown, or come from a trusted proxy.
    pub(super) known: Group,
    pub(super) hosts: HashMap<IpAddr, Group>,
    pub(super) sites: HashMap<IpAddr, Group>,
    pub(super) familiar: KnownAddresses,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) activity: Arc<Activity>,
    /// The address whose limits it counts against; `None` for a trusted proxy, which anybody may be behind.
    pub(super) address: Option<IpAddr>,
    pub(super) is_known: bool,
}

/// Addresses where a good token was shown.
#[derive(Debug, Default)]
pub(super) struct KnownAddresses {
    hosts: HashMap<IpAddr, Instant>,
    /// When each was remembered, in that order.
    order: VecDeque<(Instant, IpAddr)>,
}

/// The outcome of making room.
pub(super) struct Reclaimed {
    pub(super) count: usize,
    pub(super) event: Result<(), ServerEvent>,
}

impl Table {
    /// Returns whether a good token was shown from a connection's address.
    pub(super) fn is_known(&self, address: Option<IpAddr>) -> bool {
        address.is_none_or(|address| self.familiar.has(host(address), Instant::now()))
    }

    /// Returns the number of the next connection.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }

    /// Gives a connection its place.
    pub(super) fn insert(&mut self, number: u64, member: Member) {
        let class = if member.is_known { &mut self.known } else { &mut self.strangers };
        class.insert(number, Arc::clone(&member.activity));
        if let Some(address) = member.address {
            for (groups, key) in [(&mut self.hosts, host(address)), (&mut self.sites, site(address))] {
                groups.entry(key).or_default().insert(number, Arc::clone(&member.activity));
            }
        }
        self.members.insert(number, member);
    }

    /// Removes a connection's place, if it has one.
    pub(super) fn remove(&mut self, number: u64) -> Option<Member> {
        let member = self.members.remove(&number)?;
        if member.is_known {
            self.known.remove(number)
        } else {
            self.strangers.remove(number)
        }
        if let Some(address) = member.address {
            for (groups, key) in [(&mut self.hosts, host(address)), (&mut self.sites, site(address))] {
                if let Some(group) = groups.get_mut(&key) {
                    group.remove(number);
                    if group.len() == 0 {
                        groups.remove(&key);
                    }
                }
            }
        }
        Some(member)
    }

    /// Makes room for one more connection within all limits.
    pub(super) fn make_room(&mut self, address: Option<IpAddr>, is_known: bool, limits: &Limits) -> Reclaimed {
        let mut count = 0;
        let mut make = |table: &mut Self, event, full: &dyn Fn(&Self) -> bool, next: &dyn Fn(&mut Self) -> Longest| {
            while full(table) {
                let Some((_, number)) = next(table) else { return Err(event) };
                if let Some(member) = table.remove(number) {
                    member.activity.reclaim();
                    count += 1;
                }
            }
            Ok(())
        };
        let event = (|| {
            if let Some(address) = address {
                let (of_host, of_site) = (host(address), site(address));
                let per_site = limits.connections_per_site.max(limits.connections_per_address);
                make(
                    self,
                    ServerEvent::RefusedAddress,
                    &|table| size(&table.hosts, &of_host) >= limits.connections_per_address,
                    &|table| table.hosts.get_mut(&of_host)?.longest_idle(),
                )?;
                make(self, ServerEvent::RefusedSite, &|table| size(&table.sites, &of_site) >= per_site, &|table| {
                    table.sites.get_mut(&of_site)?.longest_idle()
                })?;
            }
            let kept = limits.connections / ONE_KEPT_OF;
            let for_strangers = limits.connections - kept;
            if !is_known {
                make(self, ServerEvent::RefusedTotal, &|table| table.strangers.len() >= for_strangers, &|table| {
                    table.strangers.longest_idle()
                })?;
            }
            make(self, ServerEvent::RefusedTotal, &|table| table.members.len() >= limits.connections, &|table| {
                table.longest_idle(is_known, kept)
            })
        })();
        Reclaimed { count, event }
    }

    /// Returns the connection that has been waiting longest. Strangers cannot take the places that are kept for others.
    fn longest_idle(&mut self, for_known: bool, kept: usize) -> Longest {
        let stranger = self.strangers.longest_idle();
        let known = if for_known || self.known.len() > kept { self.known.longest_idle() } else { None };
        stranger.into_iter().chain(known).min()
    }
}

type Longest = Option<(Instant, u64)>;

fn size(groups: &HashMap<IpAddr, Group>, key: &IpAddr) -> usize {
    groups.get(key).map_or(0, Group::len)
}

impl KnownAddresses {
    fn has(&self, host: IpAddr, now: Instant) -> bool {
        self.hosts.get(&host).is_some_and(|at| now.duration_since(*at) < REMEMBERED)
    }

    /// Remembers an address.
    pub(super) fn remember(&mut self, host: IpAddr, now: Instant) {
        self.hosts.insert(host, now);
        self.order.push_back((now, host));
        while let Some((at, oldest)) = self.order.front().copied()
            && (self.order.len() > MOST_REMEMBERED || now.duration_since(at) >= REMEMBERED)
        {
            self.order.pop_front();
            // The address may have been remembered again since.
            if self.hosts.get(&oldest) == Some(&at) {
                self.hosts.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::time::Instant;

    use super::{KnownAddresses, MOST_REMEMBERED, REMEMBERED};

    #[test]
    fn familiar_addresses_are_few_and_forgotten_after_a_day() {
        let (mut familiar, now) = (KnownAddresses::default(), Instant::now());
        let host = |n: u32| IpAddr::from(n.to_be_bytes());
        (0..=20_000).for_each(|n| familiar.remember(host(n), now));
        assert_eq!((familiar.hosts.len(), familiar.order.len()), (MOST_REMEMBERED, MOST_REMEMBERED));
        assert!(!familiar.has(host(0), now) && familiar.has(host(20_000), now));
        familiar.remember(host(20_000), now + REMEMBERED / 2);
        assert!(!familiar.has(host(19_999), now + REMEMBERED) && familiar.has(host(20_000), now + REMEMBERED));
        familiar.remember(host(1), now + REMEMBERED);
        assert_eq!(familiar.hosts.len(), 2);
    }
}
