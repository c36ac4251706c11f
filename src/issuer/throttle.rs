//! What strangers may ask of the control path, by address, client and account: the numbers, and what
//! each protects. All of it lives in memory; only the count of failed logins is in the store.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Caller;
use super::budget::{Budget, Tally, quota};
use super::familiar::Familiar;
use super::fetches::{FetchLeave, Fetches};
use crate::clock::Clock;
use crate::config::{Config, Rates};
use crate::network;
use crate::oauth::{ClientId, ClientOrigin, Lifetime, Timestamp, TokenHash};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// New clients of one IPv6 site, as a multiple of what one address may bring: a site rents 65536 networks for nothing.
const SITE_REGISTRATIONS: u32 = 4;

/// New clients of a tenant, likewise: 100 an hour unless configured otherwise.
const TENANT_REGISTRATIONS: u32 = 10;

/// Failed logins of one network in an hour, over all accounts: one password tried on many accounts ends here (LI-03),
/// an office behind one address does not.
const NETWORK_FAILURES_PER_HOUR: u32 = 100;

/// The longest of the delays between failed logins.
const LONGEST_DELAY_SECS: u64 = 30;

/// A pause of password login for one account. In each a network is heard once, so that no stranger can be first in the
/// owner's place, and so many networks in all: some 80 guesses an hour are left to whoever has as many.
const PAUSE: Lifetime = Lifetime::from_secs(15 * 60);
const HEARD_IN_PAUSE: u32 = 20;

/// How long a login may wait for its turn to be hashed.
const HASH_WAIT: Duration = Duration::from_secs(4);

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
    logins: Tally<(TokenHash, IpAddr)>,
    login_networks: Tally<IpAddr>,
    unknown_names: Tally<TokenHash>,
    paused: Tally<(TokenHash, IpAddr)>,
    heard_in_pause: Tally<TokenHash>,
    familiar: Familiar,
    failing_clients: Tally<TokenHash>,
    failing_sources: Tally<(TokenHash, IpAddr)>,
    failing_addresses: Tally<IpAddr>,
    slots: Arc<Semaphore>,
}

/// A login attempt that is counted as failed until it succeeds.
pub(super) struct LoginAttempt {
    key: (TokenHash, IpAddr),
}

impl Throttle {
    /// Makes the throttle; the number of hash slots is fixed from then on.
    pub(super) fn new(clock: &Arc<dyn Clock>, config: &Config) -> Self {
        let (hour, minute) = (Lifetime::from_secs(3600), Lifetime::from_secs(60));
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
            logins: Tally::new(hour),
            login_networks: Tally::new(hour),
            unknown_names: Tally::new(Lifetime::from_secs(24 * 3600)),
            paused: Tally::new(hour),
            heard_in_pause: Tally::new(PAUSE),
            familiar: Familiar::default(),
            failing_clients: Tally::new(minute),
            failing_sources: Tally::new(minute),
            failing_addresses: Tally::new(minute),
            slots: Arc::new(Semaphore::new(config.login.hash_slots.max(1))),
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

    /// Counts a login attempt beforehand, or says how long to wait.
    pub(super) fn login(&self, name: &str, caller: &Caller, rates: &Rates) -> Result<LoginAttempt, Lifetime> {
        let now = self.clock.now();
        let network = network(caller);
        let (failures, rest) = self.login_networks.read(&network, now);
        if failures >= NETWORK_FAILURES_PER_HOUR {
            return Err(rest);
        }
        let key = (TokenHash::of(name.as_bytes()), network);
        self.logins.charge(key, now, |failures| delay(failures, rates.login_free_failures))?;
        self.login_networks.add(network, now);
        Ok(LoginAttempt { key })
    }

    /// Takes back what a login attempt was charged.
    pub(super) fn login_succeeded(&self, attempt: &LoginAttempt) {
        let (name, network) = attempt.key;
        self.logins.forget(attempt.key);
        self.login_networks.refund(network, self.clock.now());
        self.familiar.succeeded(attempt.key, self.clock.now());
        self.paused.forget(attempt.key);
        self.heard_in_pause.forget(name);
    }

    /// Takes back what an attempt was charged that was not heard for want of a slot.
    pub(super) fn login_unheard(&self, attempt: &LoginAttempt) {
        let now = self.clock.now();
        self.logins.refund(attempt.key, now);
        self.login_networks.refund(attempt.key.1, now);
    }

    /// Asks whether a name with this many failures in a row (`None`: no account has it) may be tried now from the attempt's
    /// network. A try arms that network's next pause. A name that nobody has is paused as one that somebody has. From a
    /// network that its owner uses a name is heard all the same.
    pub(super) fn account(&self, attempt: &LoginAttempt, failures: Option<u32>, rates: &Rates) -> Result<(), Lifetime> {
        if self.unfamiliar(attempt, failures, rates).is_none() {
            return Ok(());
        }
        let (name, now) = (attempt.key.0, self.clock.now());
        self.paused.charge(attempt.key, now, |_| PAUSE)?;
        if self.heard_in_pause.add(name, now) <= HEARD_IN_PAUSE {
            return Ok(());
        }
        // It was not heard, so it may come again as soon as anybody may.
        self.paused.forget(attempt.key);
        Err(self.heard_in_pause.read(&name, now).1)
    }

    /// Counts a failure of a name that no account has; returns how many there are. Accounts are counted in the store.
    pub(super) fn unknown_account_failed(&self, attempt: &LoginAttempt) -> u32 {
        self.unknown_names.add(attempt.key.0, self.clock.now())
    }

    /// Returns the network of an attempt when it matters whether the name's owner uses it, and memory does not know.
    pub(super) fn unfamiliar(&self, attempt: &LoginAttempt, failures: Option<u32>, rates: &Rates) -> Option<IpAddr> {
        let (name, now) = (attempt.key.0, self.clock.now());
        let failures = failures.unwrap_or_else(|| self.unknown_names.read(&name, now).0);
        let matters = failures >= rates.login_pause_failures && !self.familiar.knows(&attempt.key, now);
        matters.then_some(attempt.key.1)
    }

    /// Takes in what the store knows: the owner of the name logged in from the attempt's network at `last`.
    pub(super) fn is_familiar(&self, attempt: &LoginAttempt, last: Timestamp) {
        self.familiar.succeeded(attempt.key, last);
    }

    /// Pauses password login for a name that has failed this often in a row (LI-02). Each pause ends by itself. Returns the
    /// network when it is the owner's and has to be forgotten.
    pub(super) fn account_failed(&self, attempt: &LoginAttempt, failures: u32, rates: &Rates) -> Option<IpAddr> {
        let is_spent = self.familiar.failed(attempt.key, rates.login_pause_failures);
        if failures >= rates.login_pause_failures {
            self.paused.add(attempt.key, self.clock.now());
        }
        is_spent.then_some(attempt.key.1)
    }

    /// Forgets that the owner of the name uses the attempt's network.
    pub(super) fn is_strange(&self, attempt: &LoginAttempt, rates: &Rates) {
        self.familiar.forget(&attempt.key, rates.login_pause_failures);
    }

    /// Ends the pause of a name: its password was just set by a link.
    pub(super) fn password_was_set(&self, name: &str) {
        self.heard_in_pause.forget(TokenHash::of(name.as_bytes()));
    }

    /// Waits for the turn to compute one password hash; each takes 64 MiB and a core for a tenth of a second.
    pub(super) async fn hash_slot(&self) -> Result<OwnedSemaphorePermit, Lifetime> {
        match tokio::time::timeout(HASH_WAIT, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Lifetime::from_secs(HASH_WAIT.as_secs())),
        }
    }
}

/// The delay after this many failures: none while they are free, then 1, 2, 4 … 30 s.
fn delay(failures: u32, free: u32) -> Lifetime {
    let Some(beyond) = failures.checked_sub(free) else { return Lifetime::default() };
    Lifetime::from_secs(1_u64.checked_shl(beyond).map_or(LONGEST_DELAY_SECS, |secs| secs.min(LONGEST_DELAY_SECS)))
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
fn source(caller: &Caller) -> IpAddr {
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

    fn caller(address: &str) -> Caller {
        Caller { address: Some(address.parse().expect("an address")), request_id: None }
    }

    #[test]
    fn five_failures_are_free_then_delays_double_up_to_thirty_seconds() {
        let delays: Vec<u64> = (0..13).map(|failures| delay(failures, 5).as_secs()).collect();
        assert_eq!(delays, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(delay(u32::MAX, 5).as_secs(), 30);
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
