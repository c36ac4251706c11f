//! `Rules`: the compiled map of one upstream, and `Demand`: the scopes that a request needs by it.

use std::collections::HashMap;

use super::glob::{NameGlob, PathGlob};
use super::pattern::{Operations, Pattern, has_one_meaning, is_notice, needs_no_scope};
use crate::mcp::{Envelope, MessageKind};
use crate::oauth::{ScopeSet, ScopeToken};

/// The most scopes of an upstream with a map: the bits of a `ScopeMask`.
pub const MOST_SCOPES: usize = 128;

/// The requests of MCP that name a tool, a prompt or a resource that they use.
const TOOL_CALL: &str = "tools/call";
const PROMPT_GET: &str = "prompts/get";
const RESOURCE_READ: &str = "resources/read";

/// A set of an upstream's scopes, one bit each, in the order of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScopeMask(u128);

/// One scope, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeRule {
    /// Its name, as in requests (RFC 6749 3.3).
    pub name: ScopeToken,
    /// Whether it can do harm.
    pub sensitive: bool,
    /// What it opens by itself.
    pub allow: Vec<Pattern>,
    /// Scopes whose operations it opens too.
    pub includes: Vec<ScopeToken>,
}

/// The compiled map of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    scopes: Vec<MappedScope>,
    methods: Opened<NameGlob>,
    tools: Opened<NameGlob>,
    prompts: Opened<NameGlob>,
    resources: Opened<PathGlob>,
    http: Vec<HttpEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct MappedScope {
    name: ScopeToken,
    sensitive: bool,
    /// Itself, and the scopes that it includes, directly or not.
    holds: ScopeMask,
}

/// Which scopes open which names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Opened<G> {
    exact: HashMap<Box<str>, ScopeMask>,
    globs: Vec<(G, ScopeMask)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct HttpEntry {
    method: Option<Box<str>>,
    path: Option<PathGlob>,
    by: ScopeMask,
}

/// What the rules know of a caller, by its token alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The scopes of the upstream that it has, with those that they include.
    held: ScopeMask,
}

/// An entry of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A tool, by its name.
    Tool(&'a str),
    /// A prompt, by its name.
    Prompt(&'a str),
    /// A resource, by its URI.
    Resource(&'a str),
    /// A template of resources, by its URI template (RFC 6570).
    Template(&'a str),
}

/// What a request needs: one scope of each mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// Any scope of the upstream.
    Any,
    /// One of these scopes.
    One(ScopeMask),
    /// For each message of a batch, one of its scopes.
    Each(Box<[ScopeMask]>),
}

/// What a token lacks for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lacking {
    /// The scopes to add; they would be enough.
    Scopes(ScopeSet),
    /// No scope of the upstream opens the operation.
    Unopened,
}

impl ScopeMask {
    fn bit(index: usize) -> Self {
        Self(u32::try_from(index).ok().and_then(|index| 1_u128.checked_shl(index)).unwrap_or(0))
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether there is no scope.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether a scope is in both.
    #[must_use]
    pub fn has_any_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Demand {
    /// Returns whether a caller may make the request.
    #[must_use]
    pub fn is_met_by(&self, caller: &Standing) -> bool {
        let held = caller.held;
        match self {
            Self::Any => !held.is_empty(),
            Self::One(opening) => held.has_any_of(*opening),
            Self::Each(messages) => messages.iter().all(|opening| held.has_any_of(*opening)),
        }
    }
}

impl<G> Default for Opened<G> {
    fn default() -> Self {
        Self { exact: HashMap::new(), globs: Vec::new() }
    }
}

impl<G> Opened<G> {
    fn add(&mut self, literal: Option<String>, glob: &G, by: ScopeMask)
    where
        G: Clone + PartialEq,
    {
        if let Some(literal) = literal {
            let mask = self.exact.entry(literal.into()).or_default();
            *mask = mask.with(by);
        } else if let Some((_, mask)) = self.globs.iter_mut().find(|(other, _)| other == glob) {
            *mask = mask.with(by);
        } else {
            self.globs.push((glob.clone(), by));
        }
    }

    fn exactly(&self, name: &str) -> ScopeMask {
        self.exact.get(name).copied().unwrap_or_default()
    }

    fn by_globs(&self, matches: impl Fn(&G) -> bool) -> ScopeMask {
        let matching = self.globs.iter().filter(|(glob, _)| matches(glob));
        matching.fold(ScopeMask::default(), |all, (_, mask)| all.with(*mask))
    }
}

impl<G> Opened<G> {
    /// Returns the scopes that open any name.
    fn any(&self) -> ScopeMask {
        let masks = self.exact.values().chain(self.globs.iter().map(|(_, mask)| mask));
        masks.fold(ScopeMask::default(), |all, mask| all.with(*mask))
    }
}

impl Opened<NameGlob> {
    fn of(&self, name: &str) -> ScopeMask {
        self.exactly(name).with(self.by_globs(|glob| glob.matches(name)))
    }
}

impl Opened<PathGlob> {
    fn of(&self, uri: &str) -> ScopeMask {
        let exact = self.exactly(uri);
        if self.globs.is_empty() || !has_one_meaning(uri) {
            return exact;
        }
        exact.with(self.by_globs(|glob| glob.matches(uri)))
    }
}

impl Rules {
    /// Compiles the scopes of an upstream, at most [`MOST_SCOPES`].
    #[must_use]
    pub fn compile(scopes: &[ScopeRule]) -> Self {
        let mut rules = Self {
            scopes: Vec::new(),
            methods: Opened::default(),
            tools: Opened::default(),
            prompts: Opened::default(),
            resources: Opened::default(),
            http: Vec::new(),
        };
        for (index, scope) in scopes.iter().enumerate() {
            let by = ScopeMask::bit(index);
            let (name, sensitive) = (scope.name.clone(), scope.sensitive);
            rules.scopes.push(MappedScope { name, sensitive, holds: by });
            scope.allow.iter().for_each(|pattern| rules.open(&pattern.0, by));
        }
        // A chain of inclusions has at most as many links as there are scopes.
        for _ in scopes {
            for (index, scope) in scopes.iter().enumerate() {
                let included = rules.holds(|name| scope.includes.contains(name));
                if let Some(scope) = rules.scopes.get_mut(index) {
                    scope.holds = scope.holds.with(included);
                }
            }
        }
        rules
    }

    fn open(&mut self, operations: &Operations, by: ScopeMask) {
        let text = |glob: &NameGlob| glob.literal().map(str::to_owned);
        match operations {
            Operations::Methods(glob) => self.methods.add(text(glob), glob, by),
            Operations::Tools(glob) => self.tools.add(text(glob), glob, by),
            Operations::Prompts(glob) => self.prompts.add(text(glob), glob, by),
            Operations::Resources(glob) => self.resources.add(glob.literal(), glob, by),
            Operations::Http { method, path } => {
                self.http.push(HttpEntry { method: method.clone(), path: path.clone(), by });
            }
        }
    }

    fn holds(&self, is_held: impl Fn(&ScopeToken) -> bool) -> ScopeMask {
        let held = self.scopes.iter().filter(|scope| is_held(&scope.name));
        held.fold(ScopeMask::default(), |all, scope| all.with(scope.holds))
    }

    /// Returns what the rules know of a token with these scopes.
    #[must_use]
    pub fn standing(&self, scopes: &ScopeSet) -> Standing {
        Standing { held: self.holds(|name| scopes.contains(name.as_str())) }
    }

    /// Returns what the rules know of a caller that may not hold these scopes, whatever includes them.
    #[must_use]
    pub fn barred(&self, caller: Standing, scopes: &ScopeSet) -> Standing {
        let barred = scopes.iter().fold(ScopeMask::default(), |all, name| all.with(self.bit_of(name)));
        let mut left = caller;
        left.held = ScopeMask(left.held.0 & !barred.0);
        left
    }

    /// Returns whether a caller has each of `required`, itself or by inclusion.
    #[must_use]
    pub fn has_all(&self, caller: &Standing, required: &ScopeSet) -> bool {
        required.iter().all(|name| self.bit_of(name).has_any_of(caller.held))
    }

    /// Returns whether a list shows an entry to a caller: whether it may be called, got or read.
    #[must_use]
    pub fn shows(&self, caller: &Standing, item: Item<'_>) -> bool {
        let (method, named) = match item {
            Item::Tool(name) => (TOOL_CALL, self.tools.of(name)),
            Item::Prompt(name) => (PROMPT_GET, self.prompts.of(name)),
            Item::Resource(uri) => (RESOURCE_READ, self.resources.of(uri)),
            // What a template stands for is judged when it is read; here its text is taken for a URI.
            Item::Template(uri) => (RESOURCE_READ, self.resources.of(uri)),
        };
        self.methods.of(method).with(named).has_any_of(caller.held)
    }

    /// Returns whether a caller may use a method at all, with whatever name.
    pub(super) fn opens(&self, caller: &Standing, method: &str) -> bool {
        let named = match method {
            TOOL_CALL => self.tools.any(),
            PROMPT_GET => self.prompts.any(),
            RESOURCE_READ => self.resources.any(),
            _ => ScopeMask::default(),
        };
        self.methods.of(method).with(named).has_any_of(caller.held)
    }

    /// Returns whether a scope opens anything.
    #[must_use]
    pub fn opens_anything(&self, name: &ScopeToken) -> bool {
        let held = self.holds(|other| other == name);
        let has = |mask: &ScopeMask| mask.has_any_of(held);
        let names = [&self.methods, &self.tools, &self.prompts];
        names.iter().any(|names| names.exact.values().chain(names.globs.iter().map(|(_, mask)| mask)).any(has))
            || self.resources.exact.values().chain(self.resources.globs.iter().map(|(_, mask)| mask)).any(has)
            || self.http.iter().map(|entry| &entry.by).any(has)
    }

    fn bit_of(&self, name: &ScopeToken) -> ScopeMask {
        self.scopes.iter().position(|scope| scope.name == *name).map(ScopeMask::bit).unwrap_or_default()
    }

    /// Returns what the messages of a body need, one for each of them.
    #[must_use]
    pub fn of_messages(&self, messages: &[Envelope<'_>]) -> Demand {
        if let [message] = messages {
            return self.of_message(message).map_or(Demand::Any, Demand::One);
        }
        // 2025-03-26, batches: each message for itself.
        let each: Box<[_]> = messages.iter().filter_map(|message| self.of_message(message)).collect();
        if each.is_empty() { Demand::Any } else { Demand::Each(each) }
    }

    /// Returns the scopes that open a message; `None` if it needs none in particular.
    fn of_message(&self, message: &Envelope<'_>) -> Option<ScopeMask> {
        let method = message.method.as_deref()?;
        let is_free = match message.kind {
            // Responses and notices belong to a session, which another check binds to its user.
            MessageKind::Response => true,
            MessageKind::Notification => is_notice(method),
            MessageKind::Request => needs_no_scope(method),
        };
        if is_free {
            return None;
        }
        let whole = self.methods.of(method);
        // Without a name, or with one that is not a string, only what opens the whole method counts.
        let Some(name) = message.name.as_deref() else { return Some(whole) };
        Some(whole.with(match method {
            TOOL_CALL => self.tools.of(name),
            PROMPT_GET => self.prompts.of(name),
            RESOURCE_READ => self.resources.of(name),
            _ => ScopeMask::default(),
        }))
    }

    /// Returns what an HTTP request needs. `path` is below the upstream's own, and the caller has checked that it
    /// cannot mean another one.
    #[must_use]
    pub fn of_http(&self, method: &str, path: &str) -> Demand {
        let path = if path.is_empty() { "/" } else { path };
        let is_own = |own: &str| own == method || (own == "GET" && method == "HEAD");
        let opening = self.http.iter().filter(|entry| {
            // RFC 9110 9.3.2: HEAD is GET without the content.
            entry.method.as_deref().is_none_or(is_own) && entry.path.as_ref().is_none_or(|glob| glob.matches(path))
        });
        Demand::One(opening.fold(ScopeMask::default(), |all, entry| all.with(entry.by)))
    }

    /// Returns what a token lacks for a request, where `required` is needed for every request. Of several scopes that
    /// would help, the first in the configuration that is not sensitive is named.
    #[must_use]
    pub fn lacking(&self, caller: &Standing, demand: &Demand, required: &ScopeSet) -> Lacking {
        let (held, any) = (caller.held, ScopeMask(u128::MAX));
        let opening = match demand {
            Demand::Any => std::slice::from_ref(&any),
            Demand::One(opening) => std::slice::from_ref(opening),
            Demand::Each(messages) => messages,
        };
        let unmet = opening.iter().filter(|opening| !opening.has_any_of(held));
        match unmet.map(|opening| self.first_of(*opening)).collect::<Option<Vec<_>>>() {
            None => Lacking::Unopened,
            Some(opening) => {
                let lacking = required.iter().filter(|name| !self.bit_of(name).has_any_of(held));
                Lacking::Scopes(lacking.chain(opening).cloned().collect())
            }
        }
    }

    /// Returns the scope to ask for, of several: the first that is not sensitive, or else the first.
    fn first_of(&self, opening: ScopeMask) -> Option<&ScopeToken> {
        let scopes = self.scopes.iter().enumerate().filter(|(index, _)| ScopeMask::bit(*index).has_any_of(opening));
        let mut scopes = scopes.map(|(_, scope)| scope);
        let first = scopes.clone().next();
        scopes.find(|scope| !scope.sensitive).or(first).map(|scope| &scope.name)
    }

    /// Returns those of a token's scopes that this upstream has.
    #[must_use]
    pub fn known(&self, held: &ScopeSet) -> ScopeSet {
        held.iter().filter(|name| self.scopes.iter().any(|scope| scope.name == **name)).cloned().collect()
    }
}
