//! What strangers may ask of the control path, by address and client: the numbers, and what each protects. All of it lives
//! in memory. Logins have limits of their own: `login_limits.rs`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use super::Caller;
use super::budget::{Budget, Tally, quota};
use super::fetches::{FetchLeave, Fetches};
use crate::clock::Clock;
use crate::config::{Config, Rates};
use crate::network;
use crate::oauth::{ClientId, ClientOrigin, Lifetime, TokenHash};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// New clients of one IPv6 site, as a multiple of what one address may bring: a site rents 65536 networks for nothing.
const SITE_REGISTRATIONS: u32 = 4;

/// New clients of a tenant, likewise: 100 an hour unless configured otherwise.
const TENANT_REGISTRATIONS: u32 = 10;

/// The budgets and tallies of the control path.
pub(super) struct Throttle {
    clock: Arc<dyn Clock>,
    authorize: Budget<IpAddr>,
    authorize_by_site: Budget<IpAddr>,
    token_by_address: Budget<IpAddr>,
    token_by_client: Budget<(TokenHash, IpAddr)>,
    registrations: Budget<IpAddr>,
    registrations_by_site: Budget<IpAddr>,
    registrations_in_all: Budget<bool>,
    fetches: Fetches,
    failing_clients: Tally<TokenHash>,
    failing_sources: Tally<(TokenHash, IpAddr)>,
    failing_addresses: Tally<IpAddr>,
}

impl Throttle {
    /// Makes the throttle.
    pub(super) fn new(clock: &Arc<dyn Clock>, config: &Config) -> Self {
        let minute = Lifetime::from_secs(60);
        Self {
            clock: Arc::clone(clock),
            authorize: Budget::new(clock, authorize_quota(&config.rates)),
            authorize_by_site: Budget::new(clock, authorize_site_quota(&config.rates)),
            token_by_address: Budget::new(clock, token_address_quota(&config.rates)),
            token_by_client: Budget::new(clock, token_client_quota(&config.rates)),
            registrations: Budget::new(clock, registration_quota(&config.rates, 1)),
            registrations_by_site: Budget::new(clock, registration_quota(&config.rates, SITE_REGISTRATIONS)),
            registrations_in_all: Budget::new(clock, registration_quota(&config.rates, TENANT_REGISTRATIONS)),
            fetches: Fetches::new(clock),
            failing_clients: Tally::new(minute),
            failing_sources: Tally::new(minute),
            failing_addresses: Tally::new(minute),
        }
    }

    /// Takes one authorization request.
    pub(super) fn authorize(&self, caller: &Caller, rates: &Rates) -> Result<(), Lifetime> {
        self.authorize.take(source(caller), authorize_quota(rates))?;
        self.authorize_by_site.take(site(caller), authorize_site_quota(rates))
    }

    /// Takes one new client, registered or first met by its metadata document. What strangers do by one of the two ways
    /// leaves the other open.
    pub(super) fn registration(&self, origin: ClientOrigin, caller: &Caller, rates: &Rates) -> Result<(), Lifetime> {
        self.registrations.take(source(caller), registration_quota(rates, 1))?;
        self.registrations_by_site.take(site(caller), registration_quota(rates, SITE_REGISTRATIONS))?;
        let is_described = origin == ClientOrigin::MetadataDocument;
        self.registrations_in_all.take(is_described, registration_quota(rates, TENANT_REGISTRATIONS))
    }

    /// Takes leave to fetch a metadata document from a host.
    pub(super) fn fetch(&self, host: &str, caller: &Caller) -> Result<FetchLeave<'_>, Lifetime> {
        self.fetches.take(source(caller), host)
    }

    /// Takes one request to `/token` or `/revoke`, before anything of it is read.
    pub(super) fn token_address(&self, caller: &Caller, rates: &Rates) -> Result<(), Lifetime> {
        let (failures, rest) = self.failing_addresses.read(&source(caller), self.clock.now());
        // Five clients behind one address may fail as often as a client may.
        if failures >= rates.client_failures_per_minute.saturating_mul(5) {
            return Err(rest);
        }
        self.token_by_address.take(source(caller), token_address_quota(rates))
    }

    /// Takes one request of a client. The budget is that of the client at one address: anybody can send the id of a
    /// public client, and must not be able to use up what its real users need.
    pub(super) fn token_client(&self, client: &ClientId, caller: &Caller, rates: &Rates) -> Result<(), Lifetime> {
        let (client, source) = (TokenHash::of(client.as_str().as_bytes()), source(caller));
        let now = self.clock.now();
        let (of_client, rest) = self.failing_clients.read(&client, now);
        // CA-14: once a client's secret is being guessed, those who guessed wait; others are still heard.
        if of_client >= rates.client_failures_per_minute && self.failing_sources.read(&(client, source), now).0 > 0 {
            return Err(rest);
        }
        self.token_by_client.take((client, source), token_client_quota(rates))
    }

    /// Counts a failed client authentication; `Err` when this one is to be told to wait.
    pub(super) fn client_failed(&self, client: &ClientId, caller: &Caller, rates: &Rates) -> Result<(), Lifetime> {
        let (client, source) = (TokenHash::of(client.as_str().as_bytes()), source(caller));
        let now = self.clock.now();
        self.failing_addresses.add(source, now);
        self.failing_sources.add((client, source), now);
        if self.failing_clients.add(client, now) <= rates.client_failures_per_minute {
            return Ok(());
        }
        Err(self.failing_clients.read(&client, now).1)
    }
}

fn authorize_quota(rates: &Rates) -> Quota {
    quota(rates.authorize_per_second, SECOND, rates.authorize_per_second.saturating_mul(3))
}

/// What four hosts may do.
fn authorize_site_quota(rates: &Rates) -> Quota {
    let rate = rates.authorize_per_second.saturating_mul(4);
    quota(rate, SECOND, rate.saturating_mul(3))
}

fn token_client_quota(rates: &Rates) -> Quota {
    quota(rates.token_per_second, SECOND, rates.token_per_second.saturating_mul(5))
}

fn token_address_quota(rates: &Rates) -> Quota {
    let rate = rates.token_per_second.saturating_mul(5);
    quota(rate, SECOND, rate.saturating_mul(2))
}

/// What so many addresses may do.
fn registration_quota(rates: &Rates, addresses: u32) -> Quota {
    let rate = rates.registrations_per_hour.saturating_mul(addresses);
    quota(rate, HOUR, rate)
}

/// Callers without an address count as one.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// One caller as far as rates go.
pub(super) fn source(caller: &Caller) -> IpAddr {
    caller.address.map_or(NOBODY, network::host)
}

/// One caller as far as guessing goes: what one attacker easily owns.
pub(super) fn network(caller: &Caller) -> IpAddr {
    caller.address.map_or(NOBODY, network::network)
}

/// One caller as far as storage goes.
pub(super) fn site(caller: &Caller) -> IpAddr {
    caller.address.map_or(NOBODY, network::site)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Timestamp;

    fn caller(address: &str) -> Caller {
        Caller { address: Some(address.parse().expect("an address")), request_id: None }
    }

    #[test]
    fn the_networks_of_one_ipv6_site_share_a_budget_for_sign_ins() {
        let clock: Arc<dyn Clock> = Arc::new(crate::clock::ManualClock::new(Timestamp::from_secs(1)));
        let overrides = crate::config::Overrides { up: true, ..Default::default() };
        let config = Config::load(None, &overrides).expect("the defaults are good");
        let throttle = Throttle::new(&clock, &config);
        let heard = |address: String| throttle.authorize(&caller(&address), &config.rates).is_ok();
        let of_site = (0..1000).filter(|n| heard(format!("2001:db8:7:{n:x}::1"))).count();
        assert_eq!(of_site, 120, "each network would have 30");
        assert!(heard("2001:db8:8::1".to_owned()) && heard("192.0.2.7".to_owned()));
    }

    #[test]
    fn rg_02_registrations_are_counted_by_address_site_and_in_all() {
        let clock: Arc<dyn Clock> = Arc::new(crate::clock::ManualClock::new(Timestamp::from_secs(1)));
        let overrides = crate::config::Overrides { up: true, ..Default::default() };
        let mut config = Config::load(None, &overrides).expect("the defaults are good");
        config.rates.registrations_per_hour = 10;
        let throttle = Throttle::new(&clock, &config);
        let heard = |origin, address: String| throttle.registration(origin, &caller(&address), &config.rates).is_ok();
        let count = |origin, address: &dyn Fn(u32) -> String| (0..1000).filter(|n| heard(origin, address(*n))).count();
        let registered = ClientOrigin::Registered;
        assert_eq!(count(registered, &|_| "192.0.2.1".to_owned()), 10);
        assert_eq!(count(registered, &|n| format!("2001:db8:7:{n:x}::1")), 40);
        assert_eq!(count(registered, &|n| format!("198.51.{}.{}", n / 250, n % 250)), 50, "a hundred in all");
        let described = ClientOrigin::MetadataDocument;
        assert_eq!(count(described, &|n| format!("203.0.{}.{}", n / 250, n % 250)), 100, "the other way stays open");
    }

    #[test]
    fn addresses_are_grouped_by_what_one_caller_owns() {
        assert_eq!(source(&caller("192.0.2.7")), source(&caller("::ffff:192.0.2.7")));
        assert_ne!(source(&caller("192.0.2.7")), source(&caller("192.0.2.8")));
        assert_eq!(network(&caller("192.0.2.7")), network(&caller("192.0.2.200")));
        assert_ne!(network(&caller("192.0.2.7")), network(&caller("192.0.3.7")));
        assert_eq!(source(&caller("2001:db8::1")), source(&caller("2001:db8::ffff")));
        assert_eq!(network(&caller("2001:db8:0:a0::1")), network(&caller("2001:db8:0:af::1")));
        assert_ne!(network(&caller("2001:db8:0:a0::1")), network(&caller("2001:db8:1:a0::1")));
    }
}
