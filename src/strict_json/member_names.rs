//! Detects repeated member names in JSON objects that are being read.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Size up to which names are compared one by one, where a set would cost more.
const FEW: usize = 16;
/// Number of names per set, and of sets: a single large set would take long each time it grows.
const LARGE: usize = 1024;
const SETS: u64 = 256;

/// The names in all open objects, each with the level of its object.
#[derive(Debug)]
pub(super) struct MemberNames<'a> {
    few: Vec<(u32, Cow<'a, [u8]>)>,
    many: Vec<(u32, Many)>,
}

impl<'a> MemberNames<'a> {
    pub(super) fn new() -> Self {
        // As many names as an ordinary message has at a time.
        Self { few: Vec::with_capacity(FEW), many: Vec::new() }
    }

    /// Adds a name to the innermost object, which is at `level`. Returns whether it is new there.
    pub(super) fn insert(&mut self, level: u32, name: Cow<'a, [u8]>) -> bool {
        if let Some((_, many)) = self.many.last_mut().filter(|(of, _)| *of == level) {
            return many.insert(&name);
        }
        let mut seen = 0;
        for (_, other) in self.few.iter().rev().take_while(|(of, _)| *of == level) {
            if *other == name {
                return false;
            }
            seen += 1;
        }
        if seen == FEW {
            self.become_many(level, &name);
        } else {
            self.few.push((level, name));
        }
        true
    }

    /// Makes a set of the names of the innermost object and another one.
    #[cold]
    fn become_many(&mut self, level: u32, name: &[u8]) {
        let mut many = Many::default();
        for name in self.few.iter().rev().take(FEW).map(|(_, name)| &**name).chain([name]) {
            many.insert(name);
        }
        self.many.push((level, many));
    }

    /// Removes the names of the innermost object, which is at `level`.
    pub(super) fn close(&mut self, level: u32) {
        while self.few.pop_if(|(of, _)| *of == level).is_some() {}
        drop(self.many.pop_if(|(of, _)| *of == level));
    }
}

/// The names of one large object, hashed with a random key, so that no sender can cause collisions.
#[derive(Debug)]
struct Many {
    key: RandomState,
    sets: Vec<HashSet<u64>>,
}

impl Default for Many {
    fn default() -> Self {
        Self { key: RandomState::new(), sets: vec![HashSet::new()] }
    }
}

impl Many {
    /// Returns whether the name is new.
    fn insert(&mut self, name: &[u8]) -> bool {
        let hash = self.key.hash_one(name);
        if let [one] = &mut *self.sets
            && one.len() == LARGE
        {
            let hashes = std::mem::take(one);
            self.sets = (0..SETS).map(|_| HashSet::new()).collect();
            for hash in hashes {
                self.put(hash);
            }
        }
        self.put(hash)
    }

    fn put(&mut self, hash: u64) -> bool {
        let index = if self.sets.len() == 1 { 0 } else { usize::try_from(hash % SETS).unwrap_or(0) };
        self.sets.get_mut(index).is_some_and(|set| set.insert(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW, LARGE, MemberNames};

    #[test]
    fn each_name_is_new_once_in_its_object() {
        let text: Vec<String> = (0..20 * LARGE).map(|i| i.to_string()).collect();
        for size in [0, 1, FEW - 1, FEW, FEW + 1, LARGE, LARGE + 1, 20 * LARGE] {
            let mut names = MemberNames::new();
            assert!(names.insert(1, b"0"[..].into()), "an object around it");
            for name in &text[..size] {
                assert!(names.insert(2, name.as_bytes().into()), "{size}: {name}");
            }
            for name in &text[..size] {
                assert!(!names.insert(2, name.as_bytes().into()), "{size}: {name}");
            }
            names.close(2);
            assert!(names.insert(2, b"0"[..].into()), "another object");
            names.close(2);
            assert!(!names.insert(1, b"0"[..].into()), "the object around them");
        }
    }
}
