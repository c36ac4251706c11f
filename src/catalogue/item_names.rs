//! `ItemNames`: names of prompts, resources and templates of resources; and what of them each person was shown that the
//! gateway's own client was not, for as many people as there is room.

use std::collections::{HashMap, HashSet, VecDeque};

use super::offer_kind::OfferKind;
use super::people::is_anonymous;

/// The longest name or URI that is kept, in bytes.
const LONGEST: usize = 1024;
/// The most names kept for one person.
const MOST_NAMES: usize = 1024;
/// The most people per upstream of whom names are kept; the one shown something first makes room.
const MOST_PEOPLE: usize = 4096;
/// The most bytes kept for all people of an upstream.
const MOST_BYTES: usize = 2 << 20;
/// How much less there is room for of what callers without a token were shown.
const SHARE: usize = 16;
/// The bytes of a name besides its text, about.
const OF_A_NAME: usize = 48;

/// Names by the list that they are in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ItemNames {
    lists: HashMap<OfferKind, HashSet<Box<str>>>,
    bytes: usize,
}

/// The names that people were shown.
#[derive(Debug, Default)]
pub(super) struct ShownNames {
    users: NamesOfPeople,
    nobody: NamesOfPeople,
}

#[derive(Debug, Default)]
struct NamesOfPeople {
    people: HashMap<Box<str>, ItemNames>,
    /// The people, in the order in which something was first noted.
    order: VecDeque<Box<str>>,
    bytes: usize,
}

impl ItemNames {
    pub(super) fn add(&mut self, kind: OfferKind, name: &str) {
        if self.lists.entry(kind).or_default().insert(name.into()) {
            self.bytes += name.len() + OF_A_NAME;
        }
    }

    pub(super) fn has(&self, kind: OfferKind, name: &str) -> bool {
        self.lists.get(&kind).is_some_and(|names| names.contains(name))
    }

    fn names(&self, kind: OfferKind) -> impl Iterator<Item = &str> {
        self.lists.get(&kind).into_iter().flatten().map(|name| &**name)
    }

    fn count(&self) -> usize {
        self.lists.values().map(HashSet::len).sum()
    }
}

impl ShownNames {
    /// Notes a name that a person was shown.
    pub(super) fn note(&mut self, person: &str, kind: OfferKind, name: &str) {
        if is_anonymous(person) {
            self.nobody.note(person, (kind, name), SHARE);
        } else {
            self.users.note(person, (kind, name), 1);
        }
    }

    /// Returns the names that a person was shown.
    pub(super) fn of(&self, person: &str, kind: OfferKind) -> Vec<String> {
        let names = self.users.people.get(person).or_else(|| self.nobody.people.get(person));
        names.into_iter().flat_map(|names| names.names(kind)).map(str::to_owned).collect()
    }
}

impl NamesOfPeople {
    /// Notes a name; there is room for one part of `share`.
    fn note(&mut self, person: &str, (kind, name): (OfferKind, &str), share: usize) {
        if name.len() > LONGEST {
            return;
        }
        if !self.people.contains_key(person) {
            self.order.push_back(person.into());
        }
        let names = self.people.entry(person.into()).or_default();
        if names.count() < MOST_NAMES {
            let before = names.bytes;
            names.add(kind, name);
            self.bytes = self.bytes + names.bytes - before;
        }
        while self.order.len() > MOST_PEOPLE / share || self.bytes > MOST_BYTES / share {
            let Some(first) = self.order.pop_front() else { return };
            self.bytes -= self.people.remove(&first).map_or(0, |names| names.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, MOST_BYTES, MOST_NAMES, MOST_PEOPLE, OfferKind, SHARE, ShownNames};
    use crate::catalogue::anonymous;

    #[test]
    fn it_is_bounded_in_people_names_and_bytes() {
        let mut shown = ShownNames::default();
        shown.note("ada", OfferKind::Prompts, &"x".repeat(LONGEST + 1));
        for name in 0..2 * MOST_NAMES {
            shown.note("ada", OfferKind::Prompts, &name.to_string());
            shown.note("ada", OfferKind::Resources, "a");
        }
        assert_eq!(shown.of("ada", OfferKind::Prompts).len(), MOST_NAMES - 1);
        assert_eq!(
            (shown.of("ada", OfferKind::Resources), shown.of("ada", OfferKind::Templates).len()),
            (vec!["a".to_owned()], 0)
        );
        for person in 0..MOST_PEOPLE {
            shown.note(&person.to_string(), OfferKind::Prompts, "a");
        }
        assert_eq!(shown.of("ada", OfferKind::Resources).len(), 0, "the first made room");
        for name in 0..MOST_NAMES {
            for person in ["bob", "eve", "ida"] {
                shown.note(person, OfferKind::Prompts, &format!("{name}{}", "x".repeat(1000)));
            }
        }
        assert!(shown.users.bytes <= MOST_BYTES && shown.users.order.len() == shown.users.people.len());
        assert!(shown.of("0", OfferKind::Prompts).is_empty() && !shown.of("ida", OfferKind::Prompts).is_empty());
    }

    #[test]
    fn what_strangers_are_shown_pushes_out_nothing_that_users_were_shown() {
        let mut shown = ShownNames::default();
        shown.note("ada", OfferKind::Prompts, "a");
        let nobody = |person: usize| anonymous("default", &person.to_string());
        for person in 0..=MOST_PEOPLE {
            shown.note(&nobody(person), OfferKind::Prompts, "a");
        }
        assert_eq!(shown.of("ada", OfferKind::Prompts), ["a"]);
        assert_eq!(shown.of(&nobody(MOST_PEOPLE), OfferKind::Prompts), ["a"]);
        assert_eq!(shown.nobody.people.len(), MOST_PEOPLE / SHARE);
    }
}
