//! The operations that are in force but not stored, and limits on their number.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::folder_lock::FolderLock;
use super::operation::{EndedBy, Operation};
use crate::store::TellUnstored;

/// The most operations kept. Beyond that a revocation fails, and its caller is told so.
const MOST: usize = 1024;
/// How many of them may come from anybody but operators, so that operators always have room.
const MOST_OF_OTHERS: usize = 768;
/// How many of those may be about one account, so that an account with many grants and tokens leaves room for others.
const MOST_OF_ACCOUNT: usize = 64;

/// Receives changes that are in force but not stored.
#[derive(Default)]
pub(super) struct UnstoredListener(OnceLock<TellUnstored>);

impl std::fmt::Debug for UnstoredListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnstoredListener(..)")
    }
}

impl UnstoredListener {
    pub(super) fn set(&self, tell: TellUnstored) {
        // There is only one token cache in a process.
        let _earlier = self.0.set(tell);
    }

    pub(super) fn get(&self) -> Option<&TellUnstored> {
        self.0.get()
    }
}

/// The operations that are in force but not stored, oldest first.
pub(super) struct Unstored {
    pub(super) operations: Vec<Box<dyn Operation>>,
    pub(super) listener: Arc<UnstoredListener>,
    pub(super) tried: Instant,
    /// Keeps other processes from writing.
    pub(super) lock: Option<FolderLock>,
}

impl Unstored {
    pub(super) fn new(listener: Arc<UnstoredListener>) -> Self {
        Self { operations: Vec::new(), listener, tried: Instant::now(), lock: None }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Returns whether there is room for one more from this kind of requester.
    pub(super) fn has_place(&self, by: Option<&EndedBy>) -> bool {
        if self.len() >= MOST {
            return false;
        }
        let kept = || self.operations.iter().filter_map(|operation| operation.ends_access());
        match by {
            None => false,
            Some(EndedBy::Operator) => true,
            Some(by @ EndedBy::Account(_)) => {
                kept().filter(|other| **other != EndedBy::Operator).count() < MOST_OF_OTHERS
                    && kept().filter(|other| *other == by).count() < MOST_OF_ACCOUNT
            }
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.operations.len()
    }
}
