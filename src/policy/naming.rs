//! What of a map and of rules names a request, by its method and by what it acts on.

use super::annotations::Annotations;
use super::glob::PathGlob;
use super::mask::Mask;
use super::opened::Matching;
use super::pattern::is_known;
use super::rules::{HttpEntry, PROMPT_GET, RESOURCE_READ, Rules, Standing, TOOL_CALL};

impl Rules {
    /// Returns what names a method, whatever its requests name.
    pub(super) fn whole(&self, method: &str) -> Matching {
        let found = self.methods.of(method);
        Matching { scopes: found.scopes, rules: found.rules.with(self.any).without(self.over_annotations) }
    }

    /// Returns what names any request of MCP with this method.
    pub(super) fn with_any_name(&self, method: &str) -> Matching {
        let named = match method {
            TOOL_CALL => {
                let any = Matching { scopes: Mask::default(), rules: self.any };
                self.annotated.into_iter().fold(self.tools.any().with(any), Matching::with)
            }
            PROMPT_GET => self.prompts.any(),
            RESOURCE_READ => self.resources.any(),
            _ => Matching::default(),
        };
        self.methods.of(method).with(named)
    }

    /// Returns what names a request of MCP with this method, and the name that it acts on, if it has one. `says` is
    /// asked only where what a tool says of itself can make a difference, to `caller` if there is one.
    pub(super) fn matching(
        &self,
        (method, name): (&str, Option<&str>),
        caller: Option<&Standing>,
        says: impl Fn(&str) -> Annotations,
    ) -> Matching {
        if let (TOOL_CALL, Some(name)) = (method, name) {
            let found = self.calling(name);
            let is_asked = self.depends_on_annotations(caller, found.scopes);
            return if is_asked { self.annotated(found, says(name)) } else { found };
        }
        let mut found = self.methods.of(method);
        let denied = match (method, name) {
            (PROMPT_GET, Some(name)) => {
                found = found.with(self.prompts.of(name));
                Mask::default()
            }
            (RESOURCE_READ, Some(uri)) => {
                found = found.with(self.resources.of(uri));
                self.denied_resources.of_uri(uri)
            }
            // Without a name, or with one that is not a string, only what names the whole method counts; but a server
            // may find a name where we do not, so all that is denied is.
            (TOOL_CALL, None) => {
                let any = self.annotated.into_iter().fold(self.tools.any(), Matching::with);
                any.rules.with(self.any.and(self.over_annotations)).and(self.deny)
            }
            (PROMPT_GET, None) => self.prompts.any().rules.and(self.deny),
            (RESOURCE_READ, None) => self.denied_resources.all(),
            _ => Mask::default(),
        };
        let rules = found.rules.with(self.any).without(self.over_annotations).with(denied);
        let is_open = !found.scopes.without(self.anonymous).is_empty();
        let is_unknown = !is_open && !self.unknown_methods.is_empty() && !is_known(method);
        let opening = if is_unknown { self.unknown_methods } else { Mask::default() };
        Matching { scopes: found.scopes.with(opening), rules }
    }

    /// Returns what names an HTTP request. `path` is below the upstream's own, and cannot mean another one.
    pub(super) fn matching_http(&self, method: &str, path: &str) -> Matching {
        let path = if path.is_empty() { "/" } else { path };
        let mut found = Matching { scopes: Mask::default(), rules: self.any };
        for HttpEntry { method: own, path: glob, by, denied } in &self.http {
            // Some servers take methods in any case, so deny rules do.
            let is_denied = by.rules.has_any_of(self.deny);
            let is = |own: &str| if is_denied { own.eq_ignore_ascii_case(method) } else { own == method };
            // RFC 9110 9.3.2: HEAD is GET without the content.
            let is_own = |own: &str| is(own) || (own == "GET" && is("HEAD"));
            let is_path = |glob: &PathGlob| if is_denied { !denied.of(path).is_empty() } else { glob.matches(path) };
            if own.as_deref().is_none_or(is_own) && glob.as_ref().is_none_or(is_path) {
                found = found.with(*by);
            }
        }
        found
    }
}
