//! How often a password may be tried: per name, per network and site, and in total. Names and networks are counted
//! separately, since one attacker has many of both. Strangers' failures do not count against somebody who signs in from
//! a place where they signed in before.

use std::net::IpAddr;
use std::sync::Arc;

use super::keyed_limiter::WindowCounter;
use super::throttle::{Throttled, host_of, network_of, site_of};
use crate::clock::Clock;
use crate::config::{Config, Rates};
use crate::issuer::caller::Caller;
use crate::issuer::login::hash_queue::{HashQueue, HashRequester, HashSlot};
use crate::oauth::{Lifetime, LoginNameHash, Timestamp};
use crate::store::{LoginHistory, LoginPlace};

const MINUTE: Lifetime = Lifetime::from_secs(60);
const HOUR: Lifetime = Lifetime::from_secs(3600);

/// Failed logins per hour of one network, over all accounts: enough for an office behind one address, and too few to
/// try one password on many accounts (LI-03).
const NETWORK_FAILURES_PER_HOUR: u32 = 100;

/// Failed logins per hour of one site; an IPv6 /48 has 256 networks.
const SITE_FAILURES_PER_HOUR: u32 = 300;

/// Failed logins per minute of all strangers together, and as many again for the first few attempts of each site. So a
/// few hundred networks can neither keep the processor busy nor shut out people who sign in from a new network.
const FAILURES_PER_MINUTE: u32 = 60;
const FIRST_OF_SITE: u32 = 5;

/// The longest delay between failed logins, in seconds.
const LONGEST_DELAY_SECS: u64 = 30;

/// How long password login is paused for a name. During a pause each network has one attempt, so that no stranger can
/// use up the owner's. The number of such networks is limited: an attacker with that many has 80 guesses an hour left.
const PAUSE: Lifetime = Lifetime::from_secs(15 * 60);
const ATTEMPTS_IN_PAUSE: u32 = 20;

/// The configuration key of the number of hash slots.
const HASH_SLOTS: &str = "login.hash_slots";

/// How long a place stays familiar after the last login from there.
const FAMILIAR: Lifetime = Lifetime::from_secs(90 * 24 * 3600);

/// How many hosts of a familiar network may use up their guesses at a name before the whole network stops being
/// familiar.
const GUESSING_HOSTS: u32 = 8;

/// Recent login attempts. Failures per name and familiar places are in the store.
pub(in crate::issuer) struct LoginLimits {
    clock: Arc<dyn Clock>,
    delays: WindowCounter<(LoginNameHash, LoginPlace)>,
    networks: WindowCounter<IpAddr>,
    sites: WindowCounter<IpAddr>,
    /// Keyed by whether the attempt is one of the first of its site.
    in_all: WindowCounter<bool>,
    paused: WindowCounter<(LoginNameHash, IpAddr)>,
    tried_in_pause: WindowCounter<LoginNameHash>,
    /// Failures at a name from each of its familiar places since the owner last signed in there.
    guesses: WindowCounter<(LoginNameHash, LoginPlace)>,
    /// Limits how often it is logged that strangers have to wait.
    warned: WindowCounter<()>,
    hashes: Arc<HashQueue>,
}

/// Where an attempt comes from, relative to the owner of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttemptOrigin {
    /// An address from which the owner has signed in.
    KnownHost,
    /// Another address of a network from which the owner has signed in, unless that address has used up its guesses.
    KnownNetwork,
    /// Anywhere else, and everywhere for a name that nobody has.
    Strange,
}

/// A login attempt that is counted as failed until it succeeds.
pub(in crate::issuer) struct LoginAttempt {
    name: LoginNameHash,
    host: IpAddr,
    network: IpAddr,
    site: IpAddr,
    origin: AttemptOrigin,
    is_first_of_site: bool,
}

impl LoginAttempt {
    const fn places(&self) -> [LoginPlace; 2] {
        [LoginPlace::Host(self.host), LoginPlace::Network(self.network)]
    }

    /// Returns the key of the failures that delay it. In a familiar network each host has its own delay, so that a
    /// neighbour does not delay the owner.
    const fn delayed_with(&self) -> (LoginNameHash, LoginPlace) {
        match self.origin {
            AttemptOrigin::KnownHost | AttemptOrigin::KnownNetwork => (self.name, LoginPlace::Host(self.host)),
            AttemptOrigin::Strange => (self.name, LoginPlace::Network(self.network)),
        }
    }
}

/// Returns the places whose login history decides how an attempt of this caller is treated.
pub(in crate::issuer) fn places(caller: &Caller) -> [LoginPlace; 2] {
    [LoginPlace::Host(host_of(caller)), LoginPlace::Network(network_of(caller))]
}

impl LoginLimits {
    /// Makes the limits; the number of hash slots is fixed from then on.
    pub(in crate::issuer) fn new(clock: &Arc<dyn Clock>, config: &Config) -> Self {
        Self {
            clock: Arc::clone(clock),
            delays: WindowCounter::new(HOUR),
            networks: WindowCounter::new(HOUR),
            sites: WindowCounter::new(HOUR),
            in_all: WindowCounter::new(MINUTE),
            paused: WindowCounter::new(HOUR),
            tried_in_pause: WindowCounter::new(PAUSE),
            guesses: WindowCounter::new(FAMILIAR),
            warned: WindowCounter::new(MINUTE),
            hashes: HashQueue::new(config.login.hash_slots),
        }
    }

    /// Counts a login attempt as failed in advance, or returns how long to wait. `history` is that of the name and of
    /// `places`.
    pub(in crate::issuer) fn begin(
        &self,
        name: LoginNameHash,
        history: &LoginHistory,
        caller: &Caller,
        rates: &Rates,
    ) -> Result<LoginAttempt, Throttled> {
        let now = self.clock.now();
        let is_familiar = |last: Option<Timestamp>| last.is_some_and(|last| now.since(last) < FAMILIAR);
        let (host, network, site) = (host_of(caller), network_of(caller), site_of(caller));
        let may_guess = self.guesses.read(&(name, LoginPlace::Host(host)), now).0 < rates.login_pause_failures;
        let origin = match history.last_logins.map(is_familiar) {
            [true, _] => AttemptOrigin::KnownHost,
            [false, true] if may_guess => AttemptOrigin::KnownNetwork,
            [false, _] => AttemptOrigin::Strange,
        };
        let is_first_of_site = self.sites.read(&site, now).0 < FIRST_OF_SITE;
        let attempt = LoginAttempt { name, host, network, site, origin, is_first_of_site };
        if origin == AttemptOrigin::Strange {
            below(self.networks.read(&network, now), NETWORK_FAILURES_PER_HOUR)?;
            below(self.sites.read(&site, now), SITE_FAILURES_PER_HOUR)?;
        }
        self.delays
            .charge(attempt.delayed_with(), now, |failures| delay(failures, rates.login_free_failures))
            .map_err(|wait| Throttled::by("rates.login_free_failures", wait))?;
        if origin == AttemptOrigin::Strange {
            self.networks.add(network, now);
            self.sites.add(site, now);
        }
        Ok(attempt)
    }

    /// Decides whether a name with this many failures in a row may be tried now (LI-02). An attempt from a strange
    /// network starts that network's next pause. Names that nobody has are paused like any other; a pause does not
    /// affect the owner's familiar places.
    pub(in crate::issuer) fn admit_during_pause(
        &self,
        attempt: &LoginAttempt,
        failures: u32,
        rates: &Rates,
    ) -> Result<(), Throttled> {
        if attempt.origin != AttemptOrigin::Strange || failures < rates.login_pause_failures {
            return Ok(());
        }
        let (name, now) = (attempt.name, self.clock.now());
        let by_key = |wait| Throttled::by("rates.login_pause_failures", wait);
        self.paused.charge((name, attempt.network), now, |_| PAUSE).map_err(by_key)?;
        if self.tried_in_pause.add(name, now) <= ATTEMPTS_IN_PAUSE {
            return Ok(());
        }
        // The password was not compared, so the network's one attempt is not used up.
        self.paused.forget((name, attempt.network));
        Err(by_key(self.tried_in_pause.read(&name, now).1))
    }

    /// Waits for a hash slot to compare an attempt's password in. An attempt that gets none is not counted.
    pub(in crate::issuer) async fn wait_for_slot(&self, attempt: &LoginAttempt) -> Result<HashSlot, Throttled> {
        let requester = if attempt.origin == AttemptOrigin::Strange {
            if let Err(wait) = self.take_in_all(attempt) {
                self.take_back(attempt);
                return Err(wait.into());
            }
            HashRequester::Stranger(attempt.site)
        } else {
            HashRequester::Known(attempt.name)
        };
        self.hashes.acquire(requester).await.map_err(|wait| {
            self.take_back(attempt);
            self.take_back_in_all(attempt);
            Throttled::by(HASH_SLOTS, wait)
        })
    }

    /// Waits for a hash slot for the new password of an account.
    pub(in crate::issuer) async fn wait_for_owner_slot(&self, name: LoginNameHash) -> Result<HashSlot, Throttled> {
        self.hashes.acquire(HashRequester::Known(name)).await.map_err(|wait| Throttled::by(HASH_SLOTS, wait))
    }

    /// Refunds a login attempt that succeeded, and clears the failures before it.
    pub(in crate::issuer) fn record_success(&self, attempt: &LoginAttempt) {
        self.take_back(attempt);
        self.take_back_in_all(attempt);
        self.delays.forget(attempt.delayed_with());
        attempt.places().into_iter().for_each(|place| self.guesses.forget((attempt.name, place)));
        self.paused.forget((attempt.name, attempt.network));
        self.tried_in_pause.forget(attempt.name);
    }

    /// Pauses a name after too many failures in a row (LI-02); each pause ends by itself. Returns the places that are
    /// no longer familiar because too many failures in a row came from there.
    pub(in crate::issuer) fn record_failure(
        &self,
        attempt: &LoginAttempt,
        failures: u32,
        rates: &Rates,
    ) -> Vec<LoginPlace> {
        let now = self.clock.now();
        if failures >= rates.login_pause_failures {
            self.paused.add((attempt.name, attempt.network), now);
        }
        if attempt.origin == AttemptOrigin::Strange {
            return Vec::new();
        }
        let limit = rates.login_pause_failures;
        let [host, network] = attempt.places();
        let limits = [(host, limit), (network, limit.saturating_mul(GUESSING_HOSTS))];
        let is_spent = |(place, limit): (LoginPlace, u32)| self.guesses.add((attempt.name, place), now) >= limit;
        limits.into_iter().filter_map(|place| is_spent(place).then_some(place.0)).collect()
    }

    /// Ends the pause of a name whose password was just set.
    pub(in crate::issuer) fn end_pause(&self, name: LoginNameHash) {
        self.tried_in_pause.forget(name);
    }

    fn take_in_all(&self, attempt: &LoginAttempt) -> Result<(), Lifetime> {
        let now = self.clock.now();
        if let Err(wait) = below(self.in_all.read(&attempt.is_first_of_site, now), FAILURES_PER_MINUTE) {
            if self.warned.add((), now) == 1 {
                tracing::warn!(
                    "more than {FAILURES_PER_MINUTE} logins a minute fail: people who sign in from a new network \
                     have to wait"
                );
            }
            return Err(wait);
        }
        self.in_all.add(attempt.is_first_of_site, now);
        Ok(())
    }

    fn take_back_in_all(&self, attempt: &LoginAttempt) {
        if attempt.origin == AttemptOrigin::Strange {
            self.in_all.refund(attempt.is_first_of_site, self.clock.now());
        }
    }

    fn take_back(&self, attempt: &LoginAttempt) {
        let now = self.clock.now();
        self.delays.refund(attempt.delayed_with(), now);
        if attempt.origin == AttemptOrigin::Strange {
            self.networks.refund(attempt.network, now);
            self.sites.refund(attempt.site, now);
        }
    }
}

fn below((failures, rest): (u32, Lifetime), limit: u32) -> Result<(), Lifetime> {
    if failures < limit { Ok(()) } else { Err(rest) }
}

/// Returns the delay after this many failures: none for the first `free`, then 1, 2, 4 … 30 s.
fn delay(failures: u32, free: u32) -> Lifetime {
    let Some(beyond) = failures.checked_sub(free) else { return Lifetime::default() };
    Lifetime::from_secs(1_u64.checked_shl(beyond).map_or(LONGEST_DELAY_SECS, |secs| secs.min(LONGEST_DELAY_SECS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_are_free_then_delays_double_up_to_thirty_seconds() {
        let delays: Vec<u64> = (0..13).map(|failures| delay(failures, 5).as_secs()).collect();
        assert_eq!(delays, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(delay(u32::MAX, 5).as_secs(), 30);
    }
}
