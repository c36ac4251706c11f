//! What an upstream says of its tools, as learnt from its answers. In memory; what was lost is learnt again.
//!
//! What the answers to one person showed serves to judge that person's calls and no other's: an upstream may tell each
//! something else. It does not judge, and reads no messages: `policy` and `mcp` do. Start at [`Catalogue`].

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use crate::policy::Annotations;
use crate::sync::lock;

/// The most people per upstream of whose answers something is kept; the one noted first makes room.
const MOST_PEOPLE: usize = 4096;
/// The most tools kept for one person.
const MOST_TOOLS: usize = 2048;
/// The most bytes kept for all people of an upstream.
const MOST_BYTES: usize = 8 << 20;
/// The bytes of a tool besides its name, about.
const OF_AN_ENTRY: usize = 64;

/// What one upstream says of its tools.
#[derive(Debug, Default)]
pub struct Catalogue(Mutex<People>);

#[derive(Debug, Default)]
struct People {
    tools: HashMap<Box<str>, HashMap<Box<str>, Annotations>>,
    /// The people, in the order in which something was first noted.
    order: VecDeque<Box<str>>,
    bytes: usize,
}

impl Catalogue {
    /// Notes what an answer to a person (tenant and subject) says of a tool. The most dangerous that any answer said
    /// stays.
    pub fn note(&self, person: &str, tool: &str, says: Annotations) {
        let mut people = lock(&self.0);
        if let Some(known) = people.tools.get_mut(person).and_then(|tools| tools.get_mut(tool)) {
            *known = known.most_dangerous(says);
            return;
        }
        if !people.tools.contains_key(person) {
            people.order.push_back(person.into());
            people.tools.insert(person.into(), HashMap::new());
        }
        if let Some(tools) = people.tools.get_mut(person).filter(|tools| tools.len() < MOST_TOOLS) {
            tools.insert(tool.into(), says);
            people.bytes = people.bytes.saturating_add(tool.len() + OF_AN_ENTRY);
        }
        people.make_room();
    }

    /// Returns what the answers to a person said of a tool.
    #[must_use]
    pub fn annotations(&self, person: &str, tool: &str) -> Annotations {
        let people = lock(&self.0);
        people.tools.get(person).and_then(|tools| tools.get(tool)).copied().unwrap_or(Annotations::UNKNOWN)
    }
}

impl People {
    fn make_room(&mut self) {
        while self.order.len() > MOST_PEOPLE || self.bytes > MOST_BYTES {
            let Some(first) = self.order.pop_front() else { return };
            let gone = self.tools.remove(&first).unwrap_or_default();
            self.bytes = self.bytes.saturating_sub(gone.keys().map(|name| name.len() + OF_AN_ENTRY).sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, MOST_BYTES, MOST_PEOPLE, MOST_TOOLS};
    use crate::policy::Annotations;

    const MILD: Annotations = Annotations::of(Some(true), None, Some(false));

    #[test]
    fn the_most_dangerous_that_a_person_was_told_counts_for_that_person() {
        let catalogue = Catalogue::default();
        assert_eq!(catalogue.annotations("ada", "add"), Annotations::UNKNOWN);
        catalogue.note("ada", "add", MILD);
        assert_eq!(catalogue.annotations("ada", "add"), MILD);
        assert_eq!(catalogue.annotations("bob", "add"), Annotations::UNKNOWN);
        catalogue.note("ada", "add", Annotations::of(None, Some(false), Some(false)));
        let both = catalogue.annotations("ada", "add");
        assert!(!both.read_only && !both.destructive && !both.open_world);
        catalogue.note("ada", "add", MILD);
        assert_eq!(catalogue.annotations("ada", "add"), both, "it does not become milder");
    }

    #[test]
    fn it_is_bounded_in_people_tools_and_bytes() {
        let catalogue = Catalogue::default();
        for tool in 0..2 * MOST_TOOLS {
            catalogue.note("ada", &tool.to_string(), MILD);
        }
        assert_eq!(catalogue.annotations("ada", &(MOST_TOOLS + 1).to_string()), Annotations::UNKNOWN);
        for person in 0..MOST_PEOPLE {
            catalogue.note(&person.to_string(), "add", MILD);
        }
        assert_eq!(catalogue.annotations("ada", "0"), Annotations::UNKNOWN, "the first made room");
        assert_eq!(catalogue.annotations("0", "add"), MILD);
        catalogue.note("bob", &"x".repeat(MOST_BYTES), MILD);
        let people = catalogue.0.lock().unwrap();
        assert!(people.bytes <= MOST_BYTES && people.order.len() == people.tools.len());
    }
}
