//! Which lists show a caller something else than before, after a change of the rules or of the catalogue.

use std::sync::Arc;

use super::route_access::RouteAccess;
use crate::catalogue::{Listed, OfferKind, ToolChange};
use crate::config::PinMode;
use crate::mcp::ChangedLists;
use crate::policy::{Item, ToolLookup as _};

/// Returns the lists that `now`, at another route to the same resource, shows otherwise than `before`, among those that
/// the caller may ask for. Where nobody knows what is in them, all that the change could be about.
pub(super) fn changed_by_rules(before: &RouteAccess, now: &RouteAccess) -> ChangedLists {
    let (old, new) = (before.route(), now.route());
    if old.rules == new.rules && old.pin() == new.pin() && before.standing() == now.standing() {
        return ChangedLists::default();
    }
    let offers = match new.catalogue.listed() {
        Listed::Known(offers) if Arc::ptr_eq(&old.catalogue, &new.catalogue) => Some(offers),
        Listed::Known(_) | Listed::NotAsked | Listed::Awaited | Listed::Refused => None,
    };
    let differs = |kind: OfferKind, name: &str| before.shows(kind, name) != now.shows(kind, name);
    let is_other = |kind: OfferKind| match &offers {
        None => true,
        Some(offers) => {
            let told = new.catalogue.told(now.person(), kind);
            offers.names(kind).chain(told.iter().map(|name| &**name)).any(|name| differs(kind, name))
        }
    };
    let changed = OfferKind::ALL.into_iter().filter(|kind| now.may_list(*kind) && is_other(*kind));
    changed.fold(ChangedLists::default(), |all, kind| all.with(list(kind)))
}

/// Returns the lists that show a caller something else since its catalogue had changed `count` times.
pub(super) fn changed_by_catalogue(access: &RouteAccess, count: u64) -> ChangedLists {
    let route = access.route();
    let Some(rules) = route.rules.as_deref().filter(|_| access.may_list(OfferKind::Tools)) else {
        return ChangedLists::default();
    };
    let is_other = match route.catalogue.changes_since(count) {
        Some(changes) => changes.iter().any(|change| access.shows_otherwise(change)),
        None => route.pin() == PinMode::Hold || rules.asks_for_annotations(),
    };
    if is_other { ChangedLists::TOOLS } else { ChangedLists::default() }
}

fn list(kind: OfferKind) -> ChangedLists {
    match kind {
        OfferKind::Tools => ChangedLists::TOOLS,
        OfferKind::Prompts => ChangedLists::PROMPTS,
        OfferKind::Resources | OfferKind::Templates => ChangedLists::RESOURCES,
    }
}

impl RouteAccess {
    /// Returns whether it may ask for a list.
    fn may_list(&self, kind: OfferKind) -> bool {
        self.route().rules.as_ref().is_none_or(|rules| rules.opens(self.standing(), kind.method()))
    }

    /// Returns whether a list that it may ask for has an entry of this name.
    fn shows(&self, kind: OfferKind, name: &str) -> bool {
        let Some(rules) = self.route().rules.as_deref() else { return true };
        let is_shown = |item| rules.shows(self.standing(), item);
        self.may_list(kind)
            && match kind {
                OfferKind::Tools => {
                    let is_hidden = || self.route().pin() == PinMode::Hold && self.is_held(Some(name));
                    rules.shows_annotated(self.standing(), Item::Tool(name), self.annotations(name)) && !is_hidden()
                }
                OfferKind::Prompts => is_shown(Item::Prompt(name)),
                OfferKind::Resources => rules.shows_resource(self.standing(), name, self),
                OfferKind::Templates => is_shown(Item::Template(name)),
            }
    }

    /// Returns whether a change of a tool has hidden it, shown it, or put another tool in its place.
    fn shows_otherwise(&self, change: &ToolChange) -> bool {
        let Some(rules) = self.route().rules.as_deref() else { return false };
        let is_hold = self.route().pin() == PinMode::Hold;
        let [before, after] = change.states.map(|state| {
            let says = self.route().catalogue.judged_by(self.caller(), &change.name, state.said);
            let is_shown = rules.shows_annotated(self.standing(), Item::Tool(&change.name), says);
            (is_shown && !(is_hold && state.pinned.is_none()), state.pinned.filter(|_| is_hold && is_shown))
        });
        before != after
    }
}
