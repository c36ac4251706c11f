//! Session tickets (RFC 8446 4.6.1) with keys from the key files, so that sessions are resumed after a restart, and at
//! every replica that has the same files.
//!
//! A key makes tickets for six hours and is accepted for six more. Only sessions of TLS 1.3 get a ticket: what it holds
//! decrypts nothing without a new key exchange, while a ticket of TLS 1.2 would hold the secret of the session itself.
//! Decision 0025 has the reasons.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{KeyType, Prk};
use rustls::server::ProducesTickets;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::oauth::Lifetime;

/// How long a key makes tickets. Among 2^32 tickets, which are 198,000 a second, two have the same random nonce with a
/// probability of 2^-33.
const PERIOD: Lifetime = Lifetime::from_secs(6 * 3600);
/// The most bytes of a ticket. A session consists of a name of at most 255 bytes, and some 80 bytes of other values.
const LARGEST: usize = 512;
/// Bytes of the name of a key.
const NAME_LEN: usize = 16;
/// What precedes and follows the encrypted session: name and nonce, and the tag.
const HEAD_LEN: usize = NAME_LEN + NONCE_LEN;
const TAG_LEN: usize = 16;

/// Makes and opens session tickets. A ticket is the name of its key, a random nonce, and the encrypted session.
pub(in crate::server) struct SessionTickets {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    state: ArcSwap<State>,
}

impl std::fmt::Debug for SessionTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionTickets").finish_non_exhaustive()
    }
}

/// The keys of a period.
struct State {
    secrets: Vec<Prk>,
    period: u64,
    /// The first makes tickets; all open them.
    keys: Vec<TicketKey>,
}

impl SessionTickets {
    /// Makes tickets with the first secret, and opens those of all.
    pub(super) fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, secrets: Vec<Prk>) -> Self {
        let state = State::new(secrets, period(clock.as_ref()));
        Self { clock, entropy, state: ArcSwap::from_pointee(state) }
    }

    /// Adopts the secrets of changed key files: tickets of a secret that is gone open no session any more.
    pub(in crate::server) fn exchange(&self, secrets: &[Prk]) {
        self.state.rcu(|state| State::new(secrets.to_vec(), state.period));
    }

    /// Returns the keys of the current period.
    fn state(&self) -> Guard<Arc<State>> {
        let period = period(self.clock.as_ref());
        let state = self.state.load();
        if state.period == period {
            return state;
        }
        self.state.rcu(|state| State::new(state.secrets.clone(), period));
        self.state.load()
    }
}

impl ProducesTickets for SessionTickets {
    fn enabled(&self) -> bool {
        true
    }

    /// Returns until when the key that now makes tickets is accepted, in seconds from now.
    fn lifetime(&self) -> u32 {
        let now = self.clock.now().as_millis();
        let end = (now / PERIOD.as_millis()).saturating_add(2).saturating_mul(PERIOD.as_millis());
        u32::try_from(end.saturating_sub(now) / 1000).unwrap_or(0)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        if !is_tls_1_3(session) || session.len() > LARGEST - HEAD_LEN - TAG_LEN {
            return None;
        }
        let random = self.entropy.random_16();
        self.state().keys.first()?.seal(*random.first_chunk()?, session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > LARGEST {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        // The names are no secret: every ticket shows one.
        self.state().keys.iter().find(|key| key.name == *name)?.open(rest)
    }
}

/// Returns the number of the period that the clock is in.
fn period(clock: &dyn Clock) -> u64 {
    clock.now().as_millis() / PERIOD.as_millis()
}

/// Returns whether rustls encoded a session of TLS 1.3: the version follows the server name, which is optional. The
/// encoding is private to rustls. If it changes, no session gets a ticket, and the tests of resumption fail.
fn is_tls_1_3(session: &[u8]) -> bool {
    let after_name = match session {
        [0, rest @ ..] => Some(rest),
        [1, length, rest @ ..] => rest.get(usize::from(*length)..),
        _ => None,
    };
    after_name.is_some_and(|rest| rest.starts_with(&[3, 4]))
}

impl State {
    fn new(secrets: Vec<Prk>, period: u64) -> Self {
        let both = |secret| [Some(period), period.checked_sub(1)].map(|period| TicketKey::derive(secret, period?).ok());
        let keys = secrets.iter().flat_map(both).flatten().collect();
        Self { secrets, period, keys }
    }
}

/// The key of a secret for one period.
struct TicketKey {
    name: [u8; NAME_LEN],
    key: LessSafeKey,
}

/// The length of a name, for HKDF.
struct NameLen;

impl KeyType for NameLen {
    fn len(&self) -> usize {
        NAME_LEN
    }
}

impl TicketKey {
    /// Derives the key (RFC 5869 2.3).
    ///
    /// # Errors
    /// Never: the lengths are within the limits of HKDF.
    fn derive(secret: &Prk, period: u64) -> Result<Self, Unspecified> {
        let period = period.to_be_bytes();
        let key = UnboundKey::from(secret.expand(&[b"key", &period], &CHACHA20_POLY1305)?);
        let mut name = [0; NAME_LEN];
        secret.expand(&[b"name", &period], NameLen)?.fill(&mut name)?;
        Ok(Self { name, key: LessSafeKey::new(key) })
    }

    fn seal(&self, nonce: [u8; NONCE_LEN], session: &[u8]) -> Option<Vec<u8>> {
        let mut ticket = Vec::with_capacity(HEAD_LEN + session.len() + TAG_LEN);
        ticket.extend(self.name);
        ticket.extend(nonce);
        ticket.extend(session);
        let (nonce, name) = (Nonce::assume_unique_for_key(nonce), Aad::from(self.name));
        let tag = self.key.seal_in_place_separate_tag(nonce, name, ticket.get_mut(HEAD_LEN..)?).ok()?;
        ticket.extend(tag.as_ref());
        Some(ticket)
    }

    /// Opens what follows the name of the key in a ticket.
    fn open(&self, rest: &[u8]) -> Option<Vec<u8>> {
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE_LEN>()?;
        let mut session = encrypted.to_vec();
        let (nonce, name) = (Nonce::assume_unique_for_key(*nonce), Aad::from(self.name));
        let length = self.key.open_in_place(nonce, name, &mut session).ok()?.len();
        session.truncate(length);
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::entropy::SeededEntropy;
    use crate::oauth::Timestamp;
    use ring::hkdf::{HKDF_SHA256, Salt};

    /// The beginning of a period.
    const START: Timestamp = Timestamp::from_millis(80_000 * PERIOD.as_millis());
    const HOURS: u64 = 3600;

    fn secret(of: u8) -> Prk {
        Salt::new(HKDF_SHA256, b"").extract(&[of; 32])
    }

    /// A process that has these secrets.
    fn process(clock: &Arc<ManualClock>, entropy: u64, secrets: &[u8]) -> SessionTickets {
        let secrets = secrets.iter().map(|of| secret(*of)).collect();
        SessionTickets::new(Arc::<ManualClock>::clone(clock), Arc::new(SeededEntropy::new(entropy)), secrets)
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(START))
    }

    /// A session as rustls encodes it.
    fn session(name: &str, version: [u8; 2]) -> Vec<u8> {
        let mut session = if name.is_empty() { vec![0] } else { vec![1, u8::try_from(name.len()).unwrap()] };
        session.extend(name.as_bytes());
        session.extend(version);
        session.extend([7; 70]);
        session
    }

    fn modern() -> Vec<u8> {
        session("mcp.example.com", [3, 4])
    }

    #[test]
    fn a_ticket_opens_at_every_process_with_its_secret() {
        let clock = clock();
        let [one, other] = [1, 2].map(|entropy| process(&clock, entropy, &[1]));
        let tickets = [one.encrypt(&modern()), one.encrypt(&modern()), other.encrypt(&modern())].map(Option::unwrap);
        for ticket in &tickets {
            assert_eq!((one.decrypt(ticket), other.decrypt(ticket)), (Some(modern()), Some(modern())));
            assert!(!ticket.windows(8).any(|bytes| modern().windows(8).any(|part| part == bytes)), "{ticket:?}");
        }
        let nonces: std::collections::BTreeSet<_> = tickets.iter().map(|ticket| &ticket[NAME_LEN..HEAD_LEN]).collect();
        assert_eq!(nonces.len(), 3);
        let stranger = process(&clock, 3, &[2]);
        assert_eq!(stranger.decrypt(&tickets[0]), None);
        assert_eq!(format!("{one:?}"), "SessionTickets { .. }");
    }

    #[test]
    fn a_new_secret_makes_tickets_and_those_of_the_old_one_open_until_it_is_removed() {
        let clock = clock();
        let rotating = process(&clock, 1, &[1]);
        let old = rotating.encrypt(&modern()).unwrap();
        rotating.exchange(&[secret(2), secret(1)]);
        let new = rotating.encrypt(&modern()).unwrap();
        assert_eq!((rotating.decrypt(&old), rotating.decrypt(&new)), (Some(modern()), Some(modern())));
        assert_eq!((process(&clock, 2, &[1]).decrypt(&new), process(&clock, 2, &[2]).decrypt(&old)), (None, None));
        rotating.exchange(&[secret(2)]);
        assert_eq!((rotating.decrypt(&old), rotating.decrypt(&new)), (None, Some(modern())));
        // Also in the next period.
        clock.advance(PERIOD);
        assert_eq!((rotating.decrypt(&old), rotating.decrypt(&new)), (None, Some(modern())));
    }

    #[test]
    fn a_ticket_opens_for_as_long_as_was_announced() {
        for (made, lifetime) in [(0, 12 * HOURS), (HOURS, 11 * HOURS), (6 * HOURS - 1, 6 * HOURS + 1)] {
            let clock = clock();
            let tickets = process(&clock, 1, &[1]);
            clock.advance(Lifetime::from_secs(made));
            assert_eq!(u64::from(tickets.lifetime()), lifetime);
            let ticket = tickets.encrypt(&modern()).unwrap();
            clock.advance(Lifetime::from_secs(lifetime - 1));
            assert_eq!(tickets.decrypt(&ticket), Some(modern()), "{made}");
            clock.advance(Lifetime::from_secs(1));
            assert_eq!(tickets.decrypt(&ticket), None, "{made}");
        }
    }

    #[test]
    fn a_ticket_that_was_changed_cut_or_lengthened_opens_nothing() {
        let tickets = process(&clock(), 1, &[1]);
        let ticket = tickets.encrypt(&modern()).unwrap();
        assert_eq!(ticket.len(), HEAD_LEN + modern().len() + TAG_LEN);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at} bytes");
        }
        for more in [1, LARGEST - ticket.len(), LARGEST, 1 << 16] {
            assert_eq!(tickets.decrypt(&[&ticket[..], &vec![0; more]].concat()), None, "{more} more");
        }
    }

    #[test]
    fn only_sessions_of_tls_1_3_and_of_a_usual_size_get_a_ticket() {
        let tickets = process(&clock(), 1, &[1]);
        let longest = "n".repeat(255);
        for name in ["", "mcp.example.com", &longest] {
            assert!(tickets.encrypt(&session(name, [3, 4])).is_some(), "{name}");
            assert!(tickets.encrypt(&session(name, [3, 3])).is_none(), "{name}");
        }
        // A name that reads like a version.
        assert!(tickets.encrypt(&session("\u{3}\u{4}", [3, 3])).is_none());
        for bad in [&[][..], &[0], &[0, 3], &[1], &[1, 200, 3, 4], &[2, 3, 4], &[3, 4]] {
            assert!(tickets.encrypt(bad).is_none(), "{bad:?}");
        }
        assert!(tickets.encrypt(&[modern(), vec![0; LARGEST]].concat()).is_none());
    }
}
