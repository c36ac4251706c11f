//! The scopes of the upstream of `up UPSTREAM_URL`, of which the operator has said nothing but the URL: by what its
//! tools say of themselves, if any of them says that it only reads, otherwise one for everything.

use std::sync::Arc;

use super::Config;
use super::scopes::ready_made;
use super::settings::{ScopeConfig, UpstreamConfig, UpstreamKind};
use crate::oauth::{ScopeSet, ScopeToken};
use crate::policy::{EVERYTHING, PresetScope, READ_ONLY, Rules, ScopeRule};

/// The scope for everything.
const USE: PresetScope<'static> = PresetScope {
    name: "mcp:use",
    title: "Use everything that it offers",
    description: "Call all of its tools, and read all of its resources and prompts, on your behalf.",
    allow: &[EVERYTHING],
};
/// The scope for what only reads.
const READ: PresetScope<'static> = PresetScope {
    name: "mcp:read",
    title: "Read from it",
    description: "Read what it has, and use those of its tools that say that they change nothing.",
    ..READ_ONLY
};
/// The scope for everything else, which includes the former.
const WRITE: PresetScope<'static> = PresetScope {
    name: "mcp:write",
    title: "Change things",
    description: "Use all of its tools, also those that may add, change or delete something.",
    allow: &[EVERYTHING],
};

impl UpstreamConfig {
    /// Gives the upstream of `up UPSTREAM_URL` its scopes. A token with scopes that it had before, and has no more, is
    /// good for nothing: they are unknown to the map, and without a map every request needs the one scope.
    #[must_use]
    pub(super) fn scoped(self, by_annotation: bool) -> Self {
        let own: &[PresetScope<'_>] = if by_annotation { &[READ, WRITE] } else { &[USE] };
        let made = own.iter().filter_map(|own| ready_made(UpstreamKind::Mcp, own));
        let (scopes, mut map): (Vec<ScopeConfig>, Vec<ScopeRule>) = made.unzip();
        if let [read, write] = map.as_mut_slice() {
            write.includes.push(ScopeToken::clone(&read.name));
        }
        let all: ScopeSet = scopes.iter().map(|scope| scope.name.clone()).collect();
        let required_scopes = if by_annotation { ScopeSet::default() } else { all.clone() };
        let rules = by_annotation.then(|| Arc::new(Rules::compile(&map)));
        Self { scopes, default_scopes: all, required_scopes, rules, ..self }
    }
}

impl Config {
    /// Returns the upstream of `up UPSTREAM_URL`, if there is one.
    #[must_use]
    pub fn unknown_server(&self) -> Option<&UpstreamConfig> {
        self.upstreams.iter().find(|upstream| upstream.takes_title)
    }

    /// Returns this configuration with other scopes for the upstream of `up UPSTREAM_URL`: by what its tools say of
    /// themselves, or one for everything; see `Overrides::by_annotation`.
    #[must_use]
    pub fn scoped(mut self, by_annotation: bool) -> Self {
        let scoped = |own: UpstreamConfig| if own.takes_title { own.scoped(by_annotation) } else { own };
        self.upstreams = self.upstreams.into_iter().map(scoped).collect();
        self
    }

    /// Returns whether the upstream of `up UPSTREAM_URL`, if there is one, has scopes by what its tools say of
    /// themselves.
    #[must_use]
    pub fn is_by_annotation(&self) -> bool {
        self.unknown_server().is_some_and(|upstream| upstream.rules.is_some())
    }
}
