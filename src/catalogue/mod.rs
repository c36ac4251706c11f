//! What an upstream offers, as learnt from its answers, and what of it is pinned. In memory; `server` keeps it in the
//! store.
//!
//! What the gateway's own client listed serves everybody. What the answers to one person showed serves to judge that
//! person's calls and no other's: an upstream may tell each something else. It does not judge and sends nothing:
//! `policy` and `proxy` do. Start at [`Catalogue`].

mod item_names;
mod items;
mod offer_kind;
mod offers;
mod people;
mod pins;
mod tool_changes;
mod ui;
mod ui_names;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};

pub use offer_kind::OfferKind;
pub use offers::{ListedItem, ListedTool, Offers};
pub use people::{anonymous, person};
pub use pins::KnownTool;
pub use tool_changes::{ToolChange, ToolSnapshot};

use crate::policy::Annotations;
use crate::sync::lock;
use item_names::ShownNames;
use people::People;
use pins::Pins;
use tool_changes::ToolChanges;

/// The most tools of which the own client's lists are remembered, those that are gone included.
const MOST_REMEMBERED: usize = 2 * offers::MOST_ENTRIES;

/// What one upstream offers.
#[derive(Debug, Default)]
pub struct Catalogue {
    people: Mutex<People>,
    /// What the lists of the gateway's own client said of each tool, the most dangerous of it, or what an operator
    /// approved.
    said: Mutex<HashMap<Box<str>, Annotations>>,
    /// What people were shown besides tools.
    shown_names: Mutex<ShownNames>,
    pins: Mutex<Pins>,
    /// Held while `said` or `pins` are replaced.
    tool_changes: Mutex<ToolChanges>,
    /// How many changes of tools there were.
    changes: AtomicU64,
    /// Somebody was shown a tool that is not pinned as it is.
    shown: Notify,
    listed: watch::Sender<Listed>,
    /// The upstream said that a list changed.
    changed: Notify,
    /// Held while the gateway has a session of its own at the upstream.
    pub session: tokio::sync::Mutex<()>,
}

/// What the gateway's own client knows.
#[derive(Debug, Clone, Default)]
pub enum Listed {
    /// It does not ask this upstream.
    #[default]
    NotAsked,
    /// It asks, and has no answer yet.
    Awaited,
    /// The upstream did not let it list anything.
    Refused,
    /// The latest lists.
    Known(Arc<Offers>),
}

impl Catalogue {
    /// Notes what an answer to a person says of a tool, and the `ui://` resources that it names there. Returns what
    /// that person's calls of it are judged by from now on, as [`Self::annotations`]. See [`person`] for the name.
    pub fn note(&self, person: &str, tool: &str, (says, ui): (Annotations, &[String])) -> Annotations {
        let own = lock(&self.said).get(tool).copied();
        let is_own_ui = ui.is_empty() || self.own_ui(|own| own.names_all(tool, ui)).unwrap_or(false);
        let ui = if is_own_ui { &[] } else { ui };
        // Where the own client was told the same, there is nothing to remember.
        merged(lock(&self.people).note(person, tool, (says, ui), own == Some(says)), own)
    }

    /// Returns what a person's calls of a tool are judged by: the most dangerous that the answers to this person, and
    /// those to the gateway's own client, said of it.
    #[must_use]
    pub fn annotations(&self, person: &str, tool: &str) -> Annotations {
        let own = lock(&self.said).get(tool).copied();
        self.judged_by(person, tool, own)
    }

    /// Returns what a person's calls of a tool are judged by if this is what the own client was told of it.
    #[must_use]
    pub fn judged_by(&self, person: &str, tool: &str, own: Option<Annotations>) -> Annotations {
        merged(lock(&self.people).annotations(person, tool), own)
    }

    /// Says that the own client asks from now on.
    pub fn await_lists(&self) {
        let is_new = |listed: &mut Listed| {
            let is_new = matches!(listed, Listed::NotAsked);
            if is_new {
                *listed = Listed::Awaited;
            }
            is_new
        };
        self.listed.send_if_modified(is_new);
    }

    /// Takes what the own client listed. Returns whether anything has changed.
    pub fn learn(&self, offers: Offers) -> bool {
        self.noting_changes(|| self.learn_tools(&offers));
        self.listed.send_if_modified(|listed| {
            let is_same = matches!(listed, Listed::Known(known) if **known == offers);
            if !is_same {
                *listed = Listed::Known(Arc::new(offers));
            }
            !is_same
        })
    }

    fn learn_tools(&self, offers: &Offers) {
        let mut said = lock(&self.said);
        if said.len() > MOST_REMEMBERED {
            said.retain(|name, _| offers.tools.iter().any(|tool| *tool.name == **name));
        }
        for tool in &offers.tools {
            let before = said.get(&*tool.name).copied().unwrap_or(tool.annotations);
            said.insert(tool.name.as_str().into(), before.most_dangerous(tool.annotations));
        }
        drop(said);
        lock(&self.pins).learn(offers);
    }

    /// Replaces what counts of tools, and notes what has changed by that.
    fn noting_changes(&self, replace: impl FnOnce()) {
        let states = || {
            let mut states: HashMap<Box<str>, ToolSnapshot> = HashMap::new();
            for (name, says) in &*lock(&self.said) {
                states.entry(name.clone()).or_default().said = Some(*says);
            }
            for (name, hash) in lock(&self.pins).as_pinned() {
                states.entry(name.into()).or_default().pinned = Some(hash);
            }
            states
        };
        let mut changes = lock(&self.tool_changes);
        let before = states();
        replace();
        self.changes.store(changes.note(&before, &states()), Ordering::Release);
    }

    /// Returns how often what counts of a tool for everybody has changed.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Returns the changes of tools after the first `count`; `None` if not all of them are remembered.
    #[must_use]
    pub fn changes_since(&self, count: u64) -> Option<Vec<ToolChange>> {
        lock(&self.tool_changes).since(count)
    }

    /// Takes what is stored: what tools have said of themselves to the own client, in the place of what is remembered,
    /// and what is pinned. What the own client has listed counts too, as it may not be stored yet.
    pub fn adopt(&self, tools: &[KnownTool]) {
        self.noting_changes(|| self.adopt_tools(tools));
    }

    fn adopt_tools(&self, tools: &[KnownTool]) {
        let listed = self.listed();
        let offers = if let Listed::Known(offers) = &listed { offers.tools.as_slice() } else { &[] };
        let stored = tools.iter().filter_map(|tool| Some((tool.name.as_str().into(), tool.said?)));
        let mut said: HashMap<Box<str>, Annotations> = stored.collect();
        for tool in offers {
            let before = said.get(&*tool.name).copied().unwrap_or(tool.annotations);
            said.insert(tool.name.as_str().into(), before.most_dangerous(tool.annotations));
        }
        let before = std::mem::replace(&mut *lock(&self.said), said.clone());
        // What was approved, as milder than it was or for the first time, counts as each person was last told of it.
        let mut people = lock(&self.people);
        for (name, says) in &said {
            if before.get(name).is_none_or(|before| before.most_dangerous(*says) != *says) {
                people.settle(name);
            }
        }
        drop(people);
        lock(&self.pins).adopt(tools);
    }

    /// Returns whether a person's calls of a tool are for something else than what was pinned, or for a tool that was
    /// not.
    #[must_use]
    pub fn differs(&self, person: &str, tool: &str) -> bool {
        lock(&self.pins).differs(person, tool)
    }

    /// Notes what an answer shows a person of a tool; its definition is `None` if it cannot be read. Returns whether it
    /// is what was pinned.
    pub fn show(&self, person: &str, tool: ListedTool) -> bool {
        let is_pinned = lock(&self.pins).show(person, tool);
        if !is_pinned {
            self.shown.notify_one();
        }
        is_pinned
    }

    /// Waits until somebody was shown tools that are not pinned as they are, each of which is returned once, up to
    /// `most` at a time.
    pub async fn shown(&self, most: usize) -> Vec<ListedTool> {
        loop {
            let shown = lock(&self.pins).take_waiting(most);
            if !shown.is_empty() {
                return shown;
            }
            self.shown.notified().await;
        }
    }

    /// Returns a receiver for [`Self::next_offers`], to which the latest lists are new.
    #[must_use]
    pub fn listings(&self) -> watch::Receiver<Listed> {
        let mut listings = self.listed.subscribe();
        listings.mark_changed();
        listings
    }

    /// Waits for lists of the own client that are new to a receiver.
    pub async fn next_offers(&self, listings: &mut watch::Receiver<Listed>) -> Arc<Offers> {
        loop {
            // The sender is this catalogue.
            let _open = listings.changed().await;
            if let Listed::Known(offers) = listings.borrow_and_update().clone() {
                return offers;
            }
        }
    }

    /// Says that the own client was not let list anything. What it listed before stays.
    pub fn give_up(&self) {
        self.listed.send_if_modified(|listed| {
            let is_news = matches!(listed, Listed::NotAsked | Listed::Awaited);
            if is_news {
                *listed = Listed::Refused;
            }
            is_news
        });
    }

    /// Returns what the own client listed last.
    #[must_use]
    pub fn listed(&self) -> Listed {
        self.listed.borrow().clone()
    }

    /// Returns the tools that are offered to a person: those that the own client listed, in their order, and those that
    /// only the answers to this person spoke of, by name; each with the annotations that the person's calls are judged
    /// by. Waits for lists that are awaited. `None` if nothing is known.
    pub async fn offered(&self, person: &str) -> Option<Vec<ListedTool>> {
        let mut listed = self.listed.subscribe();
        let known = listed.wait_for(|listed| !matches!(listed, Listed::Awaited)).await.ok()?.clone();
        let (mut tools, is_known) = match known {
            Listed::Known(offers) => (offers.tools.clone(), true),
            Listed::NotAsked | Listed::Awaited | Listed::Refused => (Vec::new(), false),
        };
        let names: std::collections::HashSet<_> = tools.iter().map(|tool| tool.name.clone()).collect();
        let said = lock(&self.said);
        let people = lock(&self.people);
        for tool in &mut tools {
            tool.annotations = merged(people.annotations(person, &tool.name), said.get(&*tool.name).copied());
        }
        let told = people.tools(person).filter(|(name, _)| !names.contains(*name));
        let mut told: Vec<_> = told
            .map(|(name, told)| ListedTool {
                name: name.to_owned(),
                title: None,
                annotations: merged(Some(told), said.get(name).copied()),
                definition: None,
            })
            .collect();
        drop((said, people));
        told.sort_by(|a, b| a.name.cmp(&b.name));
        tools.append(&mut told);
        (is_known || !tools.is_empty()).then_some(tools)
    }

    /// Notes that the upstream said that a list changed.
    pub fn note_change(&self) {
        self.changed.notify_one();
    }

    /// Waits until the upstream says that a list changed.
    pub async fn change(&self) {
        self.changed.notified().await;
    }
}

/// Returns the most dangerous of what a person was told of a tool and of what the own client was told.
fn merged(told: Option<Annotations>, own: Option<Annotations>) -> Annotations {
    match (told, own) {
        (Some(told), Some(own)) => told.most_dangerous(own),
        (Some(known), None) | (None, Some(known)) => known,
        (None, None) => Annotations::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, OfferKind, Offers};
    use crate::policy::Annotations;
    use serde_json::json;

    const MILD: Annotations = Annotations::of(Some(true), None, Some(false));

    fn listing(is_read_only: bool, name: &str) -> Offers {
        let mut offers = Offers::default();
        let says = json!({"readOnlyHint": is_read_only, "openWorldHint": false});
        assert!(offers.add(OfferKind::Tools, &json!({"tools": [{"name": name, "title": "T", "annotations": says}]})));
        offers
    }

    #[test]
    fn the_most_dangerous_that_a_person_was_told_counts_for_that_person() {
        let catalogue = Catalogue::default();
        assert_eq!(catalogue.annotations("ada", "add"), Annotations::UNKNOWN);
        catalogue.note("ada", "add", (MILD, &[]));
        assert_eq!(catalogue.annotations("ada", "add"), MILD);
        assert_eq!(catalogue.annotations("bob", "add"), Annotations::UNKNOWN);
        catalogue.note("ada", "add", (Annotations::of(None, Some(false), Some(false)), &[]));
        let both = catalogue.annotations("ada", "add");
        assert!(!both.read_only && !both.destructive && !both.open_world);
        catalogue.note("ada", "add", (MILD, &[]));
        assert_eq!(catalogue.annotations("ada", "add"), both, "it does not become milder");
    }

    #[test]
    fn what_the_own_client_listed_counts_for_everybody_and_does_not_become_milder() {
        let catalogue = Catalogue::default();
        assert!(catalogue.learn(listing(true, "add")));
        assert_eq!(catalogue.annotations("ada", "add"), MILD);
        catalogue.note("ada", "add", (Annotations::UNKNOWN, &[]));
        assert!(catalogue.annotations("ada", "add").destructive);
        assert!(!catalogue.learn(listing(true, "add")), "nothing has changed");
        assert!(catalogue.learn(listing(false, "add")) && catalogue.learn(listing(true, "sub")));
        assert!(catalogue.learn(listing(true, "add")));
        assert!(!catalogue.annotations("bob", "add").read_only, "a tool that was gone is no new one");
    }

    #[tokio::test]
    async fn what_is_offered_to_a_person_is_no_others_business() {
        let catalogue = Catalogue::default();
        assert_eq!(catalogue.offered("ada").await, None);
        catalogue.note("ada", "hers", (MILD, &[]));
        let names = async |person| {
            let tools = catalogue.offered(person).await?;
            Some(tools.into_iter().map(|tool| (tool.name, tool.title)).collect::<Vec<_>>())
        };
        assert_eq!(names("ada").await.unwrap(), [("hers".to_owned(), None)]);
        catalogue.await_lists();
        assert!(futures_util::FutureExt::now_or_never(names("bob")).is_none(), "lists are awaited");
        let listed = ("add".to_owned(), Some("T".to_owned()));
        catalogue.learn(listing(true, "add"));
        catalogue.give_up();
        assert_eq!(names("bob").await.unwrap(), std::slice::from_ref(&listed));
        assert_eq!(names("ada").await.unwrap(), [listed, ("hers".to_owned(), None)]);
        catalogue.note("ada", "add", (Annotations::of(None, None, None), &[]));
        let says = async |person| catalogue.offered(person).await.unwrap()[0].annotations;
        assert_eq!((says("ada").await.read_only, says("bob").await), (false, MILD), "as calls are judged");
    }
}
