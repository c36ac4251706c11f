//! The notes of the demo: something that tools can read, add to and delete, so that the three kinds of permission have
//! something to act on. Everybody has notes of their own. They are in memory only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use http::HeaderMap;

use crate::sync::lock;

/// The most notes of one person.
const MOST_NOTES: usize = 100;
/// The most people with notes, more than a demonstration needs; beyond that those of the first are dropped.
const MOST_OWNERS: usize = 1000;
/// The largest note in bytes.
pub(super) const LARGEST_NOTE: usize = 1024;
/// The header in which the gateway says whose request it is.
const OWNER: &str = "x-mcpgate-subject";

#[derive(Debug, Default)]
struct Owned {
    next: u64,
    notes: BTreeMap<u64, String>,
}

/// All notes, by owner, the first owner first.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<VecDeque<(Vec<u8>, Owned)>>);

impl Notes {
    /// Lets `act` see or change the notes of whoever sent a request; those without the gateway's header share some.
    fn of<T>(&self, headers: &HeaderMap, act: impl FnOnce(&mut Owned) -> T) -> T {
        let owner = headers.get(OWNER).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        let mut all = lock(&self.0);
        if let Some((_, owned)) = all.iter_mut().find(|(other, _)| *other == owner) {
            return act(owned);
        }
        let mut owned = Owned { next: 1, notes: BTreeMap::new() };
        let done = act(&mut owned);
        if !owned.notes.is_empty() {
            if all.len() >= MOST_OWNERS {
                all.pop_front();
            }
            all.push_back((owner, owned));
        }
        done
    }

    /// Returns the notes as text, a line each, with the numbers by which they are deleted.
    pub(super) fn list(&self, headers: &HeaderMap) -> String {
        let lines = |owned: &mut Owned| {
            let lines: Vec<String> = owned.notes.iter().map(|(number, text)| format!("{number}. {text}")).collect();
            lines.join("\n")
        };
        let text = self.of(headers, lines);
        if text.is_empty() { "There are no notes.".to_owned() } else { text }
    }

    /// Adds a note and returns its number; `None` if there are too many.
    pub(super) fn add(&self, headers: &HeaderMap, text: &str) -> Option<u64> {
        self.of(headers, |owned| {
            let number = owned.next;
            (owned.notes.len() < MOST_NOTES).then(|| {
                owned.notes.insert(number, text.to_owned());
                owned.next = number.saturating_add(1);
                number
            })
        })
    }

    /// Deletes a note; returns whether there was one.
    pub(super) fn delete(&self, headers: &HeaderMap, number: u64) -> bool {
        self.of(headers, |owned| owned.notes.remove(&number).is_some())
    }
}
