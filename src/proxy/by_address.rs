//! `ByAddress`: a map whose keys are addresses of values that its entries keep alive.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Values by an address, or by one of several parts.
pub(super) type ByAddress<V, K = usize> = HashMap<K, V, BuildHasherDefault<AddressHasher>>;

/// Hashes an address, or each part of a key, by one multiplication. No sender can choose addresses, so nobody can cause
/// collisions.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        // std's map takes the lowest and the highest bits, and only the upper half of a product is mixed well.
        self.0 ^ (self.0 >> 32)
    }

    fn write_usize(&mut self, address: usize) {
        // Fibonacci hashing: 2^64 divided by the golden ratio.
        self.0 =
            (self.0.rotate_left(32) ^ u64::try_from(address).unwrap_or(u64::MAX)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Only used for keys of other types, of which there are none.
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::AddressHasher;

    #[test]
    fn aligned_addresses_differ_in_the_bits_that_a_map_takes() {
        let hasher = BuildHasherDefault::<AddressHasher>::default();
        for alignment in [8, 16, 64, 4096] {
            let hashes: Vec<u64> =
                (1..=1024_usize).map(|n| hasher.hash_one(0x7f00_0000_0000 + n * alignment)).collect();
            let lowest: HashSet<_> = hashes.iter().map(|hash| hash % 1024).collect();
            let highest: HashSet<_> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(lowest.len() > 512, "{} of 1024 places for an alignment of {alignment}", lowest.len());
            assert!(highest.len() > 64, "{} of 128 tags for an alignment of {alignment}", highest.len());
        }
    }

    #[test]
    fn keys_of_one_address_with_other_second_parts_differ() {
        let hasher = BuildHasherDefault::<AddressHasher>::default();
        let hash = |n: usize, route: usize| hasher.hash_one((0x7f00_0000_0000 + n * 64, route));
        let hashes: HashSet<u64> = (0..64).flat_map(|n| (0..16).map(move |route| hash(n, route))).collect();
        let lowest: HashSet<_> = hashes.iter().map(|hash| hash % 1024).collect();
        assert_eq!(hashes.len(), 1024);
        assert!(lowest.len() > 512, "{} of 1024 places", lowest.len());
    }
}
