//! Rate limits of the authorization server, by address and client: the numbers, and what each protects. All state is in
//! memory. Logins have their own limits in `login_limits.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::fetches::{FetchSlot, Fetches};
use super::keyed_limiter::{KeyedLimiter, WindowCounter, quota};
use super::levels::{Allowance, FailureLevels, Known, Levels, Places, Requester};
use crate::clock::Clock;
use crate::config::{Config, Rates};
use crate::issuer::caller::Caller;
use crate::issuer::face::Face;
use crate::network;
use crate::oauth::{ClientId, ClientOrigin, Digest, Lifetime};
use crate::store::Source;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The request budget of all strangers together, as a multiple of one host's.
const ALL_REQUESTS: u32 = 40;
/// The same multiple for new clients, which take space in the store: 1,000 an hour by default.
const ALL_REGISTRATIONS: u32 = 10;
/// The same multiple for failures.
const ALL_FAILURES: u32 = 100;

/// The configuration keys of two of the limits.
const TOKEN_RATE: &str = "rates.token_per_second";
const CLIENT_FAILURES: &str = "rates.client_failures_per_minute";

/// Pages and forms per authorization request, as a multiple of its budget: two pages and two forms to sign in, and two
/// more for reloads and typing errors.
const FORMS: u32 = 6;

/// Why a request has to wait.
#[derive(Debug, Clone, Copy)]
pub(in crate::issuer) struct Throttled {
    /// How long to wait before the next request.
    pub(in crate::issuer) wait: Lifetime,
    /// The configuration key of the limit, unless it is fixed.
    pub(in crate::issuer) key: Option<&'static str>,
}

impl Throttled {
    /// Makes it for a limit that a configuration key sets.
    pub(in crate::issuer) const fn by(key: &'static str, wait: Lifetime) -> Self {
        Self { wait, key: Some(key) }
    }
}

/// For limits that no configuration key sets.
impl From<Lifetime> for Throttled {
    fn from(wait: Lifetime) -> Self {
        Self { wait, key: None }
    }
}

/// The budgets and failure counts of the authorization server.
pub(in crate::issuer) struct Throttle {
    clock: Arc<dyn Clock>,
    known: Known,
    /// The hosts of resource servers.
    servers: Places,
    authorizations: Levels,
    forms: Levels,
    requests: Levels,
    token_by_client: KeyedLimiter<(Digest<ClientId>, IpAddr)>,
    registrations: Levels,
    malformed: Levels,
    documents: Levels,
    fetches: Fetches,
    failing_clients: WindowCounter<Digest<ClientId>>,
    failing_sources: WindowCounter<(Digest<ClientId>, IpAddr)>,
    failing: FailureLevels,
}

impl Throttle {
    /// Makes the throttle, with all budgets full.
    pub(in crate::issuer) fn new(clock: &Arc<dyn Clock>, config: &Config) -> Self {
        let minute = Lifetime::from_secs(60);
        let rates = &config.rates;
        Self {
            clock: Arc::clone(clock),
            known: Known::default(),
            servers: Places::default(),
            authorizations: Levels::new(clock, authorizations(rates)),
            forms: Levels::new(clock, forms(rates)),
            requests: Levels::new(clock, requests(rates)),
            token_by_client: KeyedLimiter::new(clock, token_client_quota(rates)),
            registrations: Levels::new(clock, registrations(rates)),
            malformed: Levels::new(clock, registrations(rates)),
            documents: Levels::new(clock, registrations(rates)),
            fetches: Fetches::new(clock),
            failing_clients: WindowCounter::new(minute),
            failing_sources: WindowCounter::new(minute),
            failing: FailureLevels::new(minute),
        }
    }

    /// Charges one authorization request.
    pub(in crate::issuer) fn charge_authorization(&self, caller: &Caller, rates: &Rates) -> Result<(), Lifetime> {
        self.authorizations.take(&self.requester(caller), authorizations(rates))
    }

    /// Charges one page that reads the store, or one form of such a page.
    pub(in crate::issuer) fn charge_form(&self, caller: &Caller, rates: &Rates) -> Result<(), Lifetime> {
        self.forms.take(&self.requester(caller), forms(rates))
    }

    /// Charges one request of a client to `/token`, `/revoke`, `/introspect` or `/register`.
    pub(in crate::issuer) fn charge_request(
        &self,
        face: Face,
        caller: &Caller,
        rates: &Rates,
    ) -> Result<(), Throttled> {
        if matches!(face, Face::Registration) && is_exempt(caller, rates) {
            return Ok(());
        }
        let requester = self.requester(caller);
        let failing = self.failing.check(&requester, failures_of_host(rates), ALL_FAILURES, self.clock.now());
        failing.map_err(|wait| Throttled::by(CLIENT_FAILURES, wait))?;
        if self.is_from_server(face, caller) {
            return Ok(());
        }
        self.requests.take(&requester, requests(rates)).map_err(|wait| Throttled::by(TOKEN_RATE, wait))
    }

    /// Charges one malformed registration, or returns how long to wait. Well-formed ones are not counted here.
    pub(in crate::issuer) fn charge_malformed_registration(
        &self,
        caller: &Caller,
        rates: &Rates,
    ) -> Result<(), Lifetime> {
        if is_exempt(caller, rates) {
            return Ok(());
        }
        self.malformed.take(&self.requester(caller), registrations(rates))
    }

    /// Charges one new client: one that registers, or one whose metadata document is fetched for the first time. Each
    /// kind has its own budget.
    pub(in crate::issuer) fn charge_registration(
        &self,
        origin: ClientOrigin,
        caller: &Caller,
        rates: &Rates,
    ) -> Result<(), Lifetime> {
        if is_exempt(caller, rates) {
            return Ok(());
        }
        let levels = if origin == ClientOrigin::MetadataDocument { &self.documents } else { &self.registrations };
        levels.take(&self.requester(caller), registrations(rates))
    }

    /// Charges the fetch of a metadata document from a host, and returns the slot to hold meanwhile.
    pub(in crate::issuer) fn begin_fetch(&self, host: &str, caller: &Caller) -> Result<FetchSlot<'_>, Lifetime> {
        self.fetches.take(self.requester(caller), host)
    }

    /// Charges one request to a client's budget at one address: anybody can send the id of a public client, and must
    /// not be able to use up what its real users need.
    pub(in crate::issuer) fn charge_client(
        &self,
        face: Face,
        client: &ClientId,
        caller: &Caller,
        rates: &Rates,
    ) -> Result<(), Throttled> {
        let (client, source) = (Digest::of(client.as_str().as_bytes()), host_of(caller));
        let now = self.clock.now();
        let (of_client, rest) = self.failing_clients.read(&client, now);
        // CA-14: once a client's secret is being guessed, only those who have guessed wait; others are still answered.
        if of_client >= rates.client_failures_per_minute && self.failing_sources.read(&(client, source), now).0 > 0 {
            return Err(Throttled::by(CLIENT_FAILURES, rest));
        }
        if self.is_from_server(face, caller) {
            return Ok(());
        }
        let taken = self.token_by_client.take((client, source), token_client_quota(rates));
        taken.map_err(|wait| Throttled::by(TOKEN_RATE, wait))
    }

    /// Counts a failed client authentication; `Err` with the wait when there are too many. They count against the
    /// client only if it has a secret or a key with which others could pass for it: strangers know the id of a public
    /// client, and must not be able to block it.
    pub(in crate::issuer) fn record_client_failure(
        &self,
        id: &ClientId,
        is_guarded: bool,
        caller: &Caller,
        rates: &Rates,
    ) -> Result<(), Lifetime> {
        let now = self.clock.now();
        self.failing.add(&self.requester(caller), now);
        if !is_guarded {
            return Ok(());
        }
        let (client, source) = (Digest::of(id.as_str().as_bytes()), host_of(caller));
        self.failing_sources.add((client, source), now);
        if self.failing_clients.add(client, now) <= rates.client_failures_per_minute {
            return Ok(());
        }
        Err(self.failing_clients.read(&client, now).1)
    }

    /// Remembers that somebody got a token: from now on their site shares no budget with strangers, nor their host with
    /// its site.
    pub(in crate::issuer) fn record_token(&self, caller: &Caller) {
        self.known.remember(host_of(caller), site_of(caller), self.clock.now());
    }

    /// Remembers that a resource server asked about a token from there.
    pub(in crate::issuer) fn record_server(&self, caller: &Caller) {
        self.servers.remember(host_of(caller), self.clock.now());
        self.record_token(caller);
    }

    /// Returns whether a request asks about a token, from the host of a resource server. It may ask about the token of
    /// every request that it gets: of these questions only failures are counted.
    fn is_from_server(&self, face: Face, caller: &Caller) -> bool {
        matches!(face, Face::Introspection) && self.servers.have(&host_of(caller), self.clock.now())
    }

    fn requester(&self, caller: &Caller) -> Requester {
        let (host, site) = (host_of(caller), site_of(caller));
        Requester { host, site, familiarity: self.known.familiarity(&host, &site, self.clock.now()) }
    }
}

fn authorizations(rates: &Rates) -> Allowance {
    let rate = rates.authorize_per_second;
    Allowance { rate, period: SECOND, burst: rate.saturating_mul(3), all: ALL_REQUESTS }
}

fn forms(rates: &Rates) -> Allowance {
    let one = authorizations(rates);
    Allowance { rate: one.rate.saturating_mul(FORMS), burst: one.burst.saturating_mul(FORMS), ..one }
}

fn requests(rates: &Rates) -> Allowance {
    let rate = rates.token_per_second.saturating_mul(5);
    Allowance { rate, period: SECOND, burst: rate.saturating_mul(2), all: ALL_REQUESTS }
}

fn registrations(rates: &Rates) -> Allowance {
    let rate = rates.registrations_per_hour;
    Allowance { rate, period: HOUR, burst: rate, all: ALL_REGISTRATIONS }
}

fn token_client_quota(rates: &Rates) -> governor::Quota {
    quota(rates.token_per_second, SECOND, rates.token_per_second.saturating_mul(5))
}

/// Returns the failures allowed to one host: as many as five clients may have.
fn failures_of_host(rates: &Rates) -> u32 {
    rates.client_failures_per_minute.saturating_mul(5)
}

/// Returns whether the caller is a program on this computer while the gateway runs under `up`: an attacker there would
/// not need the network. Programs call from the address of `localhost`; other addresses in 127.0.0.0/8 are limited like
/// any other.
fn is_exempt(caller: &Caller, rates: &Rates) -> bool {
    let localhost = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    rates.exempt_loopback && caller.address.is_some_and(|address| localhost.contains(&address.to_canonical()))
}

/// Stands for callers without an address, who share one budget.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Returns the caller's host and site, by which space in the store is shared out.
pub(in crate::issuer) fn source_of(caller: &Caller) -> Source {
    Source { host: host_of(caller), site: site_of(caller) }
}

/// Returns the host that a caller's rates are counted by.
pub(in crate::issuer) fn host_of(caller: &Caller) -> IpAddr {
    caller.address.map_or(NOBODY, network::host)
}

/// Returns the network that guesses are counted by: what one attacker easily owns.
pub(in crate::issuer) fn network_of(caller: &Caller) -> IpAddr {
    caller.address.map_or(NOBODY, network::network)
}

/// Returns the site that a caller's use of storage is counted by.
pub(in crate::issuer) fn site_of(caller: &Caller) -> IpAddr {
    caller.address.map_or(NOBODY, network::site)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::Timestamp;

    fn caller(address: &str) -> Caller {
        Caller::new(Some(address.parse().expect("an address")), None)
    }

    #[test]
    fn the_networks_of_one_ipv6_site_share_a_budget_for_sign_ins() {
        let clock: Arc<dyn Clock> = Arc::new(crate::clock::ManualClock::new(Timestamp::from_secs(1)));
        let overrides = crate::config::Overrides { up: true, ..Default::default() };
        let config = Config::load(None, &overrides).expect("the defaults are good");
        let throttle = Throttle::new(&clock, &config);
        let heard = |address: String| throttle.charge_authorization(&caller(&address), &config.rates).is_ok();
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
        let heard =
            |origin, address: String| throttle.charge_registration(origin, &caller(&address), &config.rates).is_ok();
        let count = |origin, address: &dyn Fn(u32) -> String| (0..1000).filter(|n| heard(origin, address(*n))).count();
        let registered = ClientOrigin::Registered;
        assert_eq!(count(registered, &|_| "192.0.2.1".to_owned()), 10);
        assert_eq!(count(registered, &|n| format!("2001:db8:7:{n:x}::1")), 40);
        assert_eq!(count(registered, &|n| format!("198.51.{}.{}", n / 250, n % 250)), 50, "a hundred in all");
        assert_eq!(count(registered, &|_| "127.0.0.1".to_owned()), 1000, "programs on this computer, under `up`");
        assert_eq!(count(registered, &|_| "127.0.0.2".to_owned()), 0);
        let described = ClientOrigin::MetadataDocument;
        assert_eq!(count(described, &|n| format!("203.0.{}.{}", n / 250, n % 250)), 100, "the other way stays open");
    }

    #[test]
    fn addresses_are_grouped_by_what_one_caller_owns() {
        assert_eq!(host_of(&caller("192.0.2.7")), host_of(&caller("::ffff:192.0.2.7")));
        assert_ne!(host_of(&caller("192.0.2.7")), host_of(&caller("192.0.2.8")));
        assert_eq!(network_of(&caller("192.0.2.7")), network_of(&caller("192.0.2.200")));
        assert_ne!(network_of(&caller("192.0.2.7")), network_of(&caller("192.0.3.7")));
        assert_eq!(host_of(&caller("2001:db8::1")), host_of(&caller("2001:db8::ffff")));
        assert_eq!(network_of(&caller("2001:db8:0:a0::1")), network_of(&caller("2001:db8:0:af::1")));
        assert_ne!(network_of(&caller("2001:db8:0:a0::1")), network_of(&caller("2001:db8:1:a0::1")));
    }
}
