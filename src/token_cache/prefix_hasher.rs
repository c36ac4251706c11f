//! `PrefixHasher`: hashes what is uniform already.

use std::hash::Hasher;

/// Hashes a SHA-256, or the id of a grant, by its first eight bytes: they are already uniform, and only our own tokens
/// and grants are inserted, so nobody can choose colliding keys.
#[derive(Debug, Default, Clone, Copy)]
pub struct PrefixHasher(u64);

impl Hasher for PrefixHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*prefix);
        }
    }
    /// Ignores the length that std writes before an array; it is always 32.
    fn write_usize(&mut self, _: usize) {}
}
