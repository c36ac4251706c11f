//! How often a password may be tried, by name, network and in all, and how many are computed at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Caller;
use super::budget::Tally;
use super::familiar::Familiar;
use super::throttle::network;
use crate::clock::Clock;
use crate::config::{Config, Rates};
use crate::oauth::{Lifetime, Timestamp, TokenHash};

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

/// Login attempts of late.
pub(super) struct LoginLimits {
    clock: Arc<dyn Clock>,
    logins: Tally<(TokenHash, IpAddr)>,
    login_networks: Tally<IpAddr>,
    unknown_names: Tally<TokenHash>,
    paused: Tally<(TokenHash, IpAddr)>,
    heard_in_pause: Tally<TokenHash>,
    familiar: Familiar,
    slots: Arc<Semaphore>,
}

/// A login attempt that is counted as failed until it succeeds.
pub(super) struct LoginAttempt {
    key: (TokenHash, IpAddr),
}

impl LoginLimits {
    /// Makes the limits; the number of hash slots is fixed from then on.
    pub(super) fn new(clock: &Arc<dyn Clock>, config: &Config) -> Self {
        let hour = Lifetime::from_secs(3600);
        Self {
            clock: Arc::clone(clock),
            logins: Tally::new(hour),
            login_networks: Tally::new(hour),
            unknown_names: Tally::new(Lifetime::from_secs(24 * 3600)),
            paused: Tally::new(hour),
            heard_in_pause: Tally::new(PAUSE),
            familiar: Familiar::default(),
            slots: Arc::new(Semaphore::new(config.login.hash_slots.max(1))),
        }
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
