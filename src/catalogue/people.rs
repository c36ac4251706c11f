//! `People`: what the answers to each person said of tools, for as many people as there is room. Callers without a
//! token have room of their own, so that strangers cannot push out what users were told.

use std::collections::{HashMap, VecDeque};

use super::ui_names::UiNames;
use crate::clock::Clock;
use crate::policy::{Annotations, Said};

/// The most people per upstream of whose answers something is kept; the one noted first makes room.
const MOST_PEOPLE: usize = 4096;
/// The most tools kept for one person.
const MOST_TOOLS: usize = 2048;
/// The most bytes kept for all people of an upstream.
const MOST_BYTES: usize = 8 << 20;
/// How much less there is room for of what callers without a token were told.
const SHARE: usize = 16;
/// The bytes of a tool besides its name, about.
const OF_AN_ENTRY: usize = 64;

/// What the names of callers without a token begin with; no tenant does.
const ANONYMOUS: &str = "\n";

/// Returns what the catalogue calls a caller without a token.
#[must_use]
pub fn anonymous(tenant: &str, subject: &str) -> String {
    format!("{ANONYMOUS}{tenant}\n{subject}")
}

/// Returns what the catalogue calls a person, or a service.
#[must_use]
pub fn person(tenant: &str, subject: &str) -> String {
    format!("{tenant}\n{subject}")
}

/// Returns whether this is the name of a caller without a token.
pub(super) fn is_anonymous(person: &str) -> bool {
    person.starts_with(ANONYMOUS)
}

#[derive(Debug, Default)]
pub(super) struct People {
    users: ToldPeople<MOST_PEOPLE, MOST_BYTES>,
    nobody: ToldPeople<{ MOST_PEOPLE / SHARE }, { MOST_BYTES / SHARE }>,
}

/// What an answer said of a tool.
pub(super) struct Told<'a> {
    pub(super) says: Annotations,
    /// The `ui://` resources that it names, unless the own client was told of the same.
    pub(super) uris: &'a [String],
    /// Whether the own client was told the same of it last. Then it is noted only where something else was before.
    pub(super) is_known: bool,
    /// Tells when that was.
    pub(super) clock: &'a dyn Clock,
}

impl People {
    /// Notes what an answer to a person said of a tool, and the `ui://` resources that it names, in the place of those
    /// that it named before. Returns what is remembered of what this person was told of the tool.
    pub(super) fn note(&mut self, person: &str, tool: &str, told: &Told<'_>) -> Option<Said> {
        if is_anonymous(person) { self.nobody.note(person, tool, told) } else { self.users.note(person, tool, told) }
    }

    /// Returns the `ui://` resources that tools named to a person.
    pub(super) fn ui(&self, person: &str) -> Option<&UiNames> {
        self.of(person).map(|told| &told.ui)
    }

    pub(super) fn said(&self, person: &str, tool: &str) -> Option<Said> {
        self.of(person)?.tools.get(tool).copied()
    }

    /// Takes what each person was last told of a tool for all that they were told of it.
    pub(super) fn settle(&mut self, tool: &str) {
        self.users.settle(tool);
        self.nobody.settle(tool);
    }

    /// Returns the tools of which the answers to a person spoke.
    pub(super) fn tools(&self, person: &str) -> impl Iterator<Item = (&str, Said)> {
        let tools = self.of(person).into_iter().flat_map(|told| &told.tools);
        tools.map(|(name, said)| (&**name, *said))
    }

    fn of(&self, person: &str) -> Option<&ToldPerson> {
        self.users.people.get(person).or_else(|| self.nobody.people.get(person))
    }
}

/// What somebody was told.
#[derive(Debug, Default)]
struct ToldPerson {
    tools: HashMap<Box<str>, Said>,
    /// The `ui://` resources that tools name, where the gateway's own client was told otherwise.
    ui: UiNames,
}

/// What at most so many people were told, in at most so many bytes.
#[derive(Debug, Default)]
struct ToldPeople<const PEOPLE: usize, const BYTES: usize> {
    people: HashMap<Box<str>, ToldPerson>,
    /// The people, in the order in which something was first noted.
    order: VecDeque<Box<str>>,
    bytes: usize,
}

impl<const PEOPLE: usize, const BYTES: usize> ToldPeople<PEOPLE, BYTES> {
    fn note(&mut self, person: &str, tool: &str, told: &Told<'_>) -> Option<Said> {
        let Told { says, uris, is_known, clock } = told;
        let mut told = self.people.get_mut(person);
        if !uris.is_empty() || told.as_ref().is_some_and(|told| told.ui.bytes() > 0) {
            self.note_ui(person, tool, uris);
            told = self.people.get_mut(person);
        }
        if let Some(known) = told.and_then(|told| told.tools.get_mut(tool)) {
            if known.last != *says {
                *known = known.then(*says, clock.now());
            }
            return Some(*known);
        }
        if *is_known {
            return None;
        }
        let told = self.told(person);
        if told.tools.len() < MOST_TOOLS {
            told.tools.insert(tool.into(), Said::only(*says));
            self.bytes = self.bytes.saturating_add(tool.len() + OF_AN_ENTRY);
        }
        self.make_room();
        self.people.get(person)?.tools.get(tool).copied()
    }

    fn note_ui(&mut self, person: &str, tool: &str, uris: &[String]) {
        let ui = &mut self.told(person).ui;
        let before = ui.bytes();
        ui.set(tool, uris);
        let after = ui.bytes();
        self.bytes = self.bytes.saturating_add(after).saturating_sub(before);
        self.make_room();
    }

    fn settle(&mut self, tool: &str) {
        for said in self.people.values_mut().filter_map(|person| person.tools.get_mut(tool)) {
            *said = Said::only(said.last);
        }
    }

    fn told(&mut self, person: &str) -> &mut ToldPerson {
        if !self.people.contains_key(person) {
            self.order.push_back(person.into());
        }
        self.people.entry(person.into()).or_default()
    }

    fn make_room(&mut self) {
        while self.order.len() > PEOPLE || self.bytes > BYTES {
            let Some(first) = self.order.pop_front() else { return };
            let gone = self.people.remove(&first).unwrap_or_default();
            let tools: usize = gone.tools.keys().map(|name| name.len() + OF_AN_ENTRY).sum();
            self.bytes = self.bytes.saturating_sub(tools + gone.ui.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_BYTES, MOST_PEOPLE, MOST_TOOLS, People, SHARE, Told};
    use crate::clock::ManualClock;
    use crate::policy::{Annotations, Said};
    use crate::time::Timestamp;

    const MILD: Annotations = Annotations::of(Some(true), None, Some(false));

    fn told(
        people: &mut People,
        person: &str,
        tool: &str,
        (says, uris, is_known): (Annotations, &[String], bool),
    ) -> Option<Said> {
        people.note(person, tool, &Told { says, uris, is_known, clock: &ManualClock::new(Timestamp::from_secs(1)) })
    }

    fn note(people: &mut People, person: &str, tool: &str) {
        told(people, person, tool, (MILD, &[], false));
    }

    #[test]
    fn it_is_bounded_in_people_tools_and_bytes() {
        let mut people = People::default();
        for tool in 0..2 * MOST_TOOLS {
            note(&mut people, "ada", &tool.to_string());
        }
        assert_eq!(people.said("ada", &(MOST_TOOLS + 1).to_string()), None);
        assert_eq!(people.tools("ada").count(), MOST_TOOLS);
        for person in 0..MOST_PEOPLE {
            note(&mut people, &person.to_string(), "add");
        }
        assert_eq!(people.said("ada", "0"), None, "the first made room");
        assert_eq!(people.said("0", "add"), Some(Said::only(MILD)));
        for person in 0..MOST_PEOPLE {
            for tool in 0..4 {
                let uris = [format!("ui://{}", "x".repeat(1000))];
                told(&mut people, &person.to_string(), &tool.to_string(), (MILD, &uris, false));
            }
        }
        assert!(people.users.bytes <= MOST_BYTES && people.ui("4095").is_some_and(|ui| ui.bytes() > 4000));
        note(&mut people, "bob", &"x".repeat(MOST_BYTES));
        assert!(people.users.bytes <= MOST_BYTES && people.users.order.len() == people.users.people.len());
    }

    #[test]
    fn what_is_known_is_noted_only_where_something_else_was() {
        let mut people = People::default();
        let mut said = |says, is_known| told(&mut people, "ada", "add", (says, &[], is_known));
        assert_eq!(said(MILD, true), None);
        assert_eq!(said(Annotations::UNKNOWN, false), Some(Said::only(Annotations::UNKNOWN)));
        let milder = Said::only(Annotations::UNKNOWN).then(MILD, Timestamp::from_secs(1));
        assert_eq!(said(MILD, true), Some(milder), "the most dangerous of it");
        people.settle("add");
        assert_eq!(people.said("ada", "add"), Some(Said::only(MILD)));
    }

    #[test]
    fn what_strangers_are_told_pushes_out_nothing_that_users_were_told() {
        let mut people = People::default();
        note(&mut people, "ada", "add");
        for person in 0..MOST_PEOPLE + 1 {
            note(&mut people, &super::anonymous("default", &person.to_string()), "add");
        }
        let nobody = |person: usize| super::anonymous("default", &person.to_string());
        assert_eq!(people.said("ada", "add"), Some(Said::only(MILD)));
        assert_eq!(people.said(&nobody(MOST_PEOPLE), "add"), Some(Said::only(MILD)));
        assert_eq!(people.said(&nobody(MOST_PEOPLE - MOST_PEOPLE / SHARE), "add"), None);
    }
}
