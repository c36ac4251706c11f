//! What an upstream offers, as learnt from its answers, and what of it is pinned. In memory; `server` keeps it in the
//! store.
//!
//! What the gateway's own client listed serves everybody. What the answers to one person showed serves to judge that
//! person's calls and no other's: an upstream may tell each something else. It does not judge and sends nothing:
//! `policy` and `proxy` do. Start at [`Catalogue`].

mod item_names;
mod items;
mod judging;
mod offer_kind;
mod offers;
mod own_word;
mod people;
mod pins;
mod tool_caller;
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
pub use tool_caller::ToolCaller;
pub use tool_changes::{ToolChange, ToolSnapshot};

use crate::clock::Clock;
use crate::sync::lock;
use item_names::ShownNames;
use own_word::OwnWord;
use people::People;
use pins::Pins;
use tool_changes::ToolChanges;

/// What one upstream offers.
pub struct Catalogue {
    /// Tells since when tools say what they say, by the clock that tells when users consent.
    clock: Arc<dyn Clock>,
    people: Mutex<People>,
    own_word: Mutex<OwnWord>,
    /// What people were shown besides tools.
    shown_names: Mutex<ShownNames>,
    pins: Mutex<Pins>,
    /// Held while `own_word` or `pins` are replaced.
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

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogue").field("listed", &self.listed).finish_non_exhaustive()
    }
}

impl Catalogue {
    /// Makes one of an upstream of which nothing is known.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            people: Mutex::default(),
            own_word: Mutex::default(),
            shown_names: Mutex::default(),
            pins: Mutex::default(),
            tool_changes: Mutex::default(),
            changes: AtomicU64::default(),
            shown: Notify::default(),
            listed: watch::Sender::default(),
            changed: Notify::default(),
            session: tokio::sync::Mutex::default(),
        }
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
        lock(&self.own_word).learn(offers, self.clock.now());
        lock(&self.pins).learn(offers);
    }

    /// Replaces what counts of tools, and notes what has changed by that.
    fn noting_changes(&self, replace: impl FnOnce()) {
        let states = || {
            let mut states: HashMap<Box<str>, ToolSnapshot> = HashMap::new();
            for (name, said) in lock(&self.own_word).all() {
                states.entry(name.into()).or_default().said = Some(said);
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
        let milder = lock(&self.own_word).adopt(tools, offers, self.clock.now());
        // What was approved, as milder than it was or for the first time, counts as each person was last told of it.
        let mut people = lock(&self.people);
        milder.iter().for_each(|tool| people.settle(tool));
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

    /// Notes that the upstream said that a list changed.
    pub fn note_change(&self) {
        self.changed.notify_one();
    }

    /// Waits until the upstream says that a list changed.
    pub async fn change(&self) {
        self.changed.notified().await;
    }
}
