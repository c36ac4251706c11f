//! `RouteAccess`: what a principal may use at its route, by the configuration that the route was made from.

use std::sync::Arc;

use super::remembered_tools::RememberedTools;
use super::route::Route;
use crate::catalogue::{self, ListedTool, OfferKind, ToolCaller};
use crate::config::PinMode;
use crate::mcp::{ToolDefinition, ui_resources_as_sent};
use crate::oauth::ScopeSet;
use crate::policy::{Annotations, Rules, Standing, ToolLookup};
use crate::token_cache::Principal;

/// What a principal may use at a route.
pub(super) struct RouteAccess {
    principal: Arc<Principal>,
    route: Arc<Route>,
    /// Whether its account may hold a token for the route.
    is_admitted: bool,
    has_scopes: bool,
    /// What the route's map knows of it; nothing without a map.
    standing: Standing,
    /// Tools whose every call passes.
    passing: RememberedTools,
    /// What the catalogue calls its person.
    person: Box<str>,
}

impl ToolLookup for RouteAccess {
    fn annotations(&self, tool: &str) -> Annotations {
        self.route.catalogue.annotations(self.caller(), tool)
    }

    fn naming(&self, uri: &str) -> Vec<Box<str>> {
        let mut tools = self.route.catalogue.naming(&self.person, uri);
        tools.retain(|tool| self.route.pin() != PinMode::Hold || !self.is_held(Some(tool)));
        tools
    }
}

impl RouteAccess {
    pub(super) fn new(principal: &Arc<Principal>, route: &Arc<Route>) -> Self {
        Self::with_scopes(principal, route).0
    }

    /// Returns also which scopes of its token have force.
    pub(super) fn with_scopes(principal: &Arc<Principal>, route: &Arc<Route>) -> (Self, ScopeSet) {
        let is_anonymous = principal.is_anonymous();
        let held = if is_anonymous { route.anonymous().map(|_| ScopeSet::default()) } else { route.held(principal) };
        let (is_admitted, held) = (held.is_some(), held.unwrap_or_default());
        let of_token = || route.standing(principal, &held);
        let standing = route.anonymous().filter(|_| is_anonymous).unwrap_or_else(of_token);
        let has_scopes = is_anonymous || route.has_required(&standing, &held);
        let name = if is_anonymous { catalogue::anonymous } else { catalogue::person };
        let access = Self {
            person: name(principal.tenant().as_str(), principal.subject().as_str()).into(),
            principal: Arc::clone(principal),
            route: Arc::clone(route),
            is_admitted,
            has_scopes,
            standing,
            passing: RememberedTools::default(),
        };
        (access, held)
    }

    pub(super) fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    pub(super) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Returns whether its account may hold a token for its route.
    pub(super) fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// Returns whether it has the scopes that its route requires.
    pub(super) fn has_scopes(&self) -> bool {
        self.has_scopes
    }

    /// Returns what its route's map knows of it.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Returns whether it has no token: then it is nobody whom an upstream could be told of.
    pub(super) fn is_anonymous(&self) -> bool {
        self.principal.is_anonymous()
    }

    /// Returns whether every call of a tool is known to pass, whatever its arguments and whatever is learnt of the
    /// tool.
    pub(super) fn always_passes(&self, tool: &str) -> bool {
        self.passing.has(tool)
    }

    /// Notes that a call of a tool passed, to know it if that is always so.
    pub(super) fn note_passed(&self, tool: &str) {
        let is_certain = self.route.rules.as_ref().is_some_and(|rules| rules.always_allows(&self.standing, tool));
        if is_certain && self.route.pin() != PinMode::Hold {
            self.passing.add(tool);
        }
    }

    /// Notes what an answer to it says of a tool, with the JSON of its entry where that has a `_meta`, and returns what
    /// its calls of the tool are judged by.
    pub(super) fn note(&self, tool: &str, says: Annotations, with_meta: Option<&str>) -> Annotations {
        let ui = with_meta.map(ui_resources_as_sent).unwrap_or_default();
        self.route.catalogue.note(self.caller(), tool, (says, &ui))
    }

    /// Notes a prompt, resource or template in a list that it gets.
    pub(super) fn note_item(&self, kind: OfferKind, name: &str) {
        self.route.catalogue.note_item(&self.person, kind, name);
    }

    /// Notes how an answer to it shows a tool, as the JSON of the entry. Returns whether it gets to see it, where tools
    /// are pinned.
    pub(super) fn is_shown_as_pinned(&self, tool: &str, says: Annotations, entry: &str) -> bool {
        if self.route.pin() == PinMode::Off {
            return true;
        }
        let (name, definition) = (tool.to_owned(), ToolDefinition::read(entry));
        let shown = ListedTool { name, title: None, annotations: says, definition };
        self.route.catalogue.show(&self.person, shown) || self.route.pin() == PinMode::Warn
    }

    /// Returns whether calls of a tool are held for it, because it is not what was pinned. A name that cannot be read
    /// may be that of any tool.
    pub(super) fn is_held(&self, tool: Option<&str>) -> bool {
        let differs = |tool| self.route.catalogue.differs(&self.person, tool);
        tool.is_none_or(differs)
    }

    /// Returns whether it may read the `ui://` resource of a tool.
    pub(super) fn may_read_ui(&self, rules: &Rules) -> bool {
        let uris = self.route.catalogue.ui_resources(&self.person);
        uris.iter().any(|uri| rules.shows_resource(&self.standing, uri, self))
    }

    /// Returns for whom the catalogue judges.
    pub(super) fn caller(&self) -> ToolCaller<'_> {
        ToolCaller { person: &self.person, consented_at: self.principal.consented_at() }
    }

    /// Returns what the catalogue calls its person.
    pub(super) fn person(&self) -> &str {
        &self.person
    }

    /// Returns how many bytes it takes besides itself, its principal and its route, at most.
    pub(super) fn most_text(&self) -> usize {
        self.person.len() + RememberedTools::MOST_BYTES
    }
}
