//! Randomness: ring's generator for the program, a seeded one for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

/// A source of random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Returns 32 random bytes (256 bits, the size of every random secret here).
    fn random_32(&self) -> [u8; 32];

    /// Returns 16 random bytes (128 bits, the size of grant and interaction ids).
    fn random_16(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out.iter_mut().zip(self.random_32()).for_each(|(to, from)| *to = from);
        out
    }
}

/// The operating system's random generator, through ring.
#[derive(Debug)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// Makes the generator.
    #[must_use]
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    #[expect(
        clippy::panic,
        reason = "without randomness no secret may be made: better no process than a guessable token"
    )]
    fn random_32(&self) -> [u8; 32] {
        let mut out = [0; 32];
        if self.0.fill(&mut out).is_err() {
            panic!("the operating system gave no random bytes");
        }
        out
    }
}

/// A repeatable generator for tests: SHA-256 over a seed and a counter.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: AtomicU64,
}

impl SeededEntropy {
    /// Makes a generator that always yields the same bytes for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn random_32(&self) -> [u8; 32] {
        let n = self.counter.fetch_add(1, Ordering::SeqCst);
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(n.to_be_bytes());
        hash.finalize().into()
    }
}
