//! `Pins`: which definitions of tools are pinned, how the gateway's own client saw them last, and who was shown others.

use std::collections::{HashMap, HashSet, VecDeque};

use super::offers::{ListedTool, Offers};
use crate::mcp::ToolDefinition;
use crate::policy::Said;

/// The most people per tool of whom it is remembered that they were shown another definition; beyond that it counts for
/// everybody.
const MOST_PEOPLE: usize = 1024;
/// The most tools that wait to be reported, in all and because of one person, who may have tools of their own there;
/// further ones are reported when they are shown again.
const MOST_WAITING: usize = 128;
const MOST_WAITING_OF_ONE: usize = 32;
/// The most definitions that are remembered as reported.
const MOST_REPORTED: usize = 4096;

/// A tool, as it is stored.
#[derive(Debug, Clone)]
pub struct KnownTool {
    /// The name that calls use.
    pub name: String,
    /// What it has said of itself to the gateway's own client, or what an operator approved; `None` if only people were
    /// told of it, each of whom was perhaps told something else.
    pub said: Option<Said>,
    /// Its definition as pinned; `None` if it was not.
    pub pinned: Option<ToolDefinition>,
}

/// What is pinned of one upstream.
#[derive(Debug, Default)]
pub(super) struct Pins {
    /// By name. `None` until it was read: until then nothing counts as pinned.
    pinned: Option<HashMap<Box<str>, [u8; 32]>>,
    /// How the own client saw the tools last.
    listed: HashMap<Box<str>, [u8; 32]>,
    /// Who was shown another definition than the pinned one, by tool.
    shown_otherwise: HashMap<Box<str>, HashSet<Box<str>>>,
    /// Tools that are not pinned as they are, and who was shown them: to be reported.
    waiting: VecDeque<(Box<str>, ListedTool)>,
    reported: HashSet<[u8; 32]>,
}

impl Pins {
    /// Takes what is stored.
    pub(super) fn adopt(&mut self, tools: &[KnownTool]) {
        let pinned: HashMap<Box<str>, _> =
            tools.iter().filter_map(|tool| Some((tool.name.as_str().into(), *tool.pinned.as_ref()?.hash()))).collect();
        let before = self.pinned.take().unwrap_or_default();
        self.shown_otherwise.retain(|name, _| before.get(name) == pinned.get(name));
        if before != pinned {
            self.reported.clear();
        }
        self.pinned = Some(pinned);
    }

    /// Takes what the own client listed.
    pub(super) fn learn(&mut self, offers: &Offers) {
        let hash = |tool: &ListedTool| Some((tool.name.as_str().into(), *tool.definition.as_ref()?.hash()));
        self.listed = offers.tools.iter().filter_map(hash).collect();
    }

    /// Returns whether a person's calls of a tool are for something else than what was pinned: it was not pinned, or
    /// the own client or this person was shown another definition last.
    pub(super) fn differs(&self, person: &str, tool: &str) -> bool {
        let Some(pinned) = self.pinned.as_ref().and_then(|pinned| pinned.get(tool)) else { return true };
        let shown_otherwise = self.shown_otherwise.get(tool);
        self.listed.get(tool).is_some_and(|listed| listed != pinned)
            || shown_otherwise.is_some_and(|people| people.len() >= MOST_PEOPLE || people.contains(person))
    }

    /// Returns the tools that are pinned and that the own client saw no other definition of, with their hashes.
    pub(super) fn as_pinned(&self) -> impl Iterator<Item = (&str, [u8; 32])> {
        let pinned = self.pinned.iter().flatten().map(|(name, hash)| (&**name, *hash));
        pinned.filter(|(name, hash)| self.listed.get(*name).is_none_or(|listed| listed == hash))
    }

    /// Notes what an answer shows a person of a tool; `None` for a definition that cannot be read. Returns whether it
    /// is what was pinned.
    pub(super) fn show(&mut self, person: &str, tool: ListedTool) -> bool {
        let Some(pinned) = &self.pinned else { return false };
        let hash = tool.definition.as_ref().map(|definition| *definition.hash());
        if hash.is_some() && hash == pinned.get(&*tool.name).copied() {
            if let Some(people) = self.shown_otherwise.get_mut(&*tool.name).filter(|p| p.len() < MOST_PEOPLE) {
                people.remove(person);
            }
            return true;
        }
        if pinned.contains_key(&*tool.name) {
            let people = self.shown_otherwise.entry(tool.name.as_str().into()).or_default();
            if people.len() < MOST_PEOPLE {
                people.insert(person.into());
            }
        }
        let of_one = self.waiting.iter().filter(|(who, _)| **who == *person).count();
        let has_room = self.waiting.len() < MOST_WAITING && of_one < MOST_WAITING_OF_ONE;
        if let Some(hash) = hash.filter(|_| has_room) {
            if self.reported.len() >= MOST_REPORTED {
                self.reported.clear();
            }
            if self.reported.insert(hash) {
                self.waiting.push_back((person.into(), tool));
            }
        }
        false
    }

    /// Takes up to `most` of the tools that wait to be reported.
    pub(super) fn take_waiting(&mut self, most: usize) -> Vec<ListedTool> {
        let most = most.min(self.waiting.len());
        self.waiting.drain(..most).map(|(_, tool)| tool).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{KnownTool, ListedTool, MOST_PEOPLE, MOST_WAITING, MOST_WAITING_OF_ONE, Pins};
    use crate::catalogue::{OfferKind, Offers};
    use crate::mcp::ToolDefinition;
    use crate::policy::{Annotations, Said};
    use serde_json::json;

    fn tool(description: &str) -> ListedTool {
        let definition = Some(ToolDefinition::of(&json!({"name": "add", "description": description})));
        ListedTool { name: "add".to_owned(), title: None, annotations: Annotations::UNKNOWN, definition }
    }

    fn pinned(description: &str) -> Vec<KnownTool> {
        let ListedTool { name, annotations, definition, .. } = tool(description);
        vec![KnownTool { name, said: Some(Said::only(annotations)), pinned: definition }]
    }

    fn listed(description: &str) -> Offers {
        let mut offers = Offers::default();
        offers.add(OfferKind::Tools, &json!({"tools": [{"name": "add", "description": description}]}));
        offers
    }

    #[test]
    fn nothing_is_pinned_before_it_is_known() {
        let mut pins = Pins::default();
        assert!(pins.differs("ada", "add") && !pins.show("ada", tool("Adds.")));
        assert!(pins.take_waiting(9).is_empty(), "and it is no news");
        pins.adopt(&pinned("Adds."));
        assert!(!pins.differs("ada", "add") && pins.show("ada", tool("Adds.")));
        assert!(pins.differs("ada", "other"), "a tool that nobody has listed");
    }

    #[test]
    fn what_the_own_client_saw_counts_for_everybody_and_what_a_person_saw_for_that_person() {
        let mut pins = Pins::default();
        pins.adopt(&pinned("Adds."));
        pins.learn(&listed("Adds and sends."));
        assert!(pins.differs("ada", "add"));
        pins.learn(&listed("Adds."));
        assert!(!pins.show("ada", tool("Adds and sends.")));
        assert!(pins.differs("ada", "add") && !pins.differs("bob", "add"));
        assert_eq!(pins.take_waiting(9).len(), 1);
        assert!(!pins.show("bob", tool("Adds and sends.")) && pins.take_waiting(9).is_empty(), "it is reported once");
        let unreadable = ListedTool { definition: None, ..tool("") };
        assert!(pins.show("bob", tool("Adds.")) && !pins.show("bob", unreadable) && pins.differs("bob", "add"));
        assert!(pins.show("ada", tool("Adds.")) && !pins.differs("ada", "add"), "it is back");
        pins.show("ada", tool("Adds and sends."));
        pins.learn(&listed("Adds and sends."));
        pins.adopt(&pinned("Adds and sends."));
        assert!(!pins.differs("ada", "add") && pins.show("ada", tool("Adds and sends.")), "it was approved");
    }

    #[test]
    fn one_person_takes_no_more_than_a_share_of_the_room_for_reports() {
        let mut pins = Pins::default();
        pins.adopt(&[]);
        for n in 0..2 * MOST_WAITING {
            pins.show("ada", tool(&n.to_string()));
        }
        pins.show("bob", tool("Adds and sends."));
        assert_eq!(pins.take_waiting(MOST_WAITING_OF_ONE).len(), MOST_WAITING_OF_ONE);
        let others = pins.take_waiting(MOST_WAITING);
        assert_eq!(others, [tool("Adds and sends.")]);
        pins.show("ada", tool(&MOST_WAITING.to_string()));
        assert_eq!(pins.take_waiting(1).len(), 1, "what there was no room for is reported when it is shown again");
    }

    #[test]
    fn a_tool_of_which_too_many_are_shown_another_differs_for_everybody() {
        let mut pins = Pins::default();
        pins.adopt(&pinned("Adds."));
        for person in 0..=MOST_PEOPLE {
            pins.show(&person.to_string(), tool("Adds and sends."));
        }
        assert!(pins.differs("somebody else", "add"));
    }
}
