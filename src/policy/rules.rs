//! `Rules`: the compiled map and rules of one upstream. `decision.rs` judges requests by them.

use super::annotations::Annotation;
use super::excluded_tools::ExcludedTools;
use super::glob::{NameGlob, PathGlob};
use super::mask::Mask;
use super::opened::{DeniedPaths, Matching, Opened};
use super::pattern::{Operations, Pattern};
use super::rule::{Rule, RuleCaller, RuleEffect};
use crate::oauth::{GroupSet, ScopeSet, ScopeToken};

/// The requests of MCP that name a tool, a prompt or a resource that they use.
pub(super) const TOOL_CALL: &str = "tools/call";
pub(super) const PROMPT_GET: &str = "prompts/get";
pub(super) const RESOURCE_READ: &str = "resources/read";

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

/// The compiled map and rules of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    pub(super) scopes: Vec<MappedScope>,
    /// Whether scopes say what they open; otherwise each opens everything.
    pub(super) has_map: bool,
    pub(super) rules: Vec<Rule>,
    pub(super) deny: Mask,
    pub(super) allow: Mask,
    /// Rules with conditions on arguments.
    pub(super) over_arguments: Mask,
    /// The scope that opens methods which MCP does not define.
    pub(super) unknown_methods: Mask,
    /// What opens operations for callers without a token: a bit beyond those of the scopes.
    pub(super) anonymous: Mask,
    /// Rules about any operation.
    pub(super) any: Mask,
    /// Rules about tools with certain annotations, and for each annotation those that accept it.
    pub(super) over_annotations: Mask,
    pub(super) annotated_rules: [Mask; 3],
    pub(super) methods: Opened<NameGlob>,
    /// What names the calls of all tools.
    pub(super) calls: Matching,
    pub(super) tools: Opened<NameGlob>,
    /// What names tools by annotation, in the order of `Annotation::ALL`.
    pub(super) annotated: [Matching; 3],
    pub(super) prompts: Opened<NameGlob>,
    pub(super) resources: Opened<PathGlob>,
    pub(super) denied_resources: DeniedPaths,
    pub(super) http: Vec<HttpEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappedScope {
    name: ScopeToken,
    sensitive: bool,
    /// Itself, and the scopes that it includes, directly or not.
    holds: Mask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpEntry {
    pub(super) method: Option<Box<str>>,
    pub(super) path: Option<PathGlob>,
    pub(super) by: Matching,
    /// The path as deny rules name it.
    pub(super) denied: DeniedPaths,
}

/// What the rules know of a caller, by its token alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The scopes of the upstream that it has, with those that they include.
    pub(super) held: Mask,
    /// The rules that are about it.
    pub(super) rules: Mask,
    /// The scopes that its account may not hold, which therefore nobody tells it to ask for.
    pub(super) barred: Mask,
    /// The scopes that its client may not ask for.
    pub(super) not_for_client: Mask,
    /// Whether it has no token.
    pub(super) is_anonymous: bool,
    /// What its grant leaves out, if anything.
    pub(super) left_out: Option<Box<ExcludedTools>>,
}

impl Standing {
    /// Returns that of a caller whose client may ask only for the scopes in `limit`, if there is one. What its token
    /// has keeps its force.
    #[must_use]
    pub fn asking_for(self, rules: &Rules, limit: Option<&ScopeSet>) -> Self {
        let Some(limit) = limit else { return self };
        let allowed = limit.iter().fold(Mask::default(), |all, name| all.with(rules.bit_of(name)));
        Self { not_for_client: Mask::ALL.without(allowed), ..self }
    }
}

impl Rules {
    /// Compiles the map of an upstream without rules, of at most [`MOST`](super::MOST) scopes.
    #[must_use]
    pub fn compile(scopes: &[ScopeRule]) -> Self {
        Self::narrowed(scopes, true, &[])
    }

    /// Compiles scopes and rules of an upstream, at most [`MOST`](super::MOST) of each. Without `has_map`, every scope
    /// opens everything, and so does a token without any.
    #[must_use]
    pub fn narrowed(scopes: &[ScopeRule], has_map: bool, rules: &[Rule]) -> Self {
        let mut compiled = Self {
            scopes: Vec::new(),
            has_map,
            rules: rules.to_vec(),
            deny: Mask::default(),
            allow: Mask::default(),
            over_arguments: Mask::default(),
            unknown_methods: Mask::default(),
            anonymous: Mask::default(),
            any: Mask::default(),
            over_annotations: Mask::default(),
            annotated_rules: [Mask::default(); 3],
            methods: Opened::default(),
            calls: Matching::default(),
            tools: Opened::default(),
            annotated: [Matching::default(); 3],
            prompts: Opened::default(),
            resources: Opened::default(),
            denied_resources: DeniedPaths::default(),
            http: Vec::new(),
        };
        for (index, scope) in scopes.iter().enumerate() {
            let by = Matching { scopes: Mask::bit(index), rules: Mask::default() };
            let (name, sensitive) = (scope.name.clone(), scope.sensitive);
            compiled.scopes.push(MappedScope { name, sensitive, holds: by.scopes });
            scope.allow.iter().for_each(|pattern| compiled.open(&pattern.0, by, false));
        }
        // A chain of inclusions has at most as many links as there are scopes.
        for _ in scopes {
            for (index, scope) in scopes.iter().enumerate() {
                let included = compiled.holds(|name| scope.includes.contains(name));
                if let Some(scope) = compiled.scopes.get_mut(index) {
                    scope.holds = scope.holds.with(included);
                }
            }
        }
        for (index, rule) in rules.iter().enumerate() {
            compiled.add(rule, Mask::bit(index));
        }
        compiled
    }

    /// Lets requests whose method neither MCP defines nor a scope opens pass with a scope.
    #[must_use]
    pub fn with_unknown_methods(self, scope: Option<&ScopeToken>) -> Self {
        let unknown_methods = scope.map(|name| self.bit_of(name)).unwrap_or_default();
        Self { unknown_methods, ..self }
    }

    fn add(&mut self, rule: &Rule, bit: Mask) {
        let set = |mask: &mut Mask, holds: bool| *mask = if holds { mask.with(bit) } else { *mask };
        set(&mut self.deny, rule.effect == RuleEffect::Deny);
        set(&mut self.allow, rule.effect == RuleEffect::Allow);
        set(&mut self.over_arguments, !rule.arguments.is_empty());
        set(&mut self.any, rule.operations.is_empty());
        set(&mut self.over_annotations, !rule.annotations.is_empty());
        for (mask, annotation) in self.annotated_rules.iter_mut().zip(Annotation::ALL) {
            set(mask, rule.annotations.contains(&annotation));
        }
        let by = Matching { scopes: Mask::default(), rules: bit };
        rule.operations.iter().for_each(|pattern| self.open(&pattern.0, by, rule.effect == RuleEffect::Deny));
    }

    pub(super) fn open(&mut self, operations: &Operations, by: Matching, is_denied: bool) {
        match operations {
            Operations::Methods(glob) => {
                self.methods.add(glob, by);
                self.calls = self.methods.of(TOOL_CALL);
            }
            Operations::Tools(glob) => self.tools.add(glob, by),
            Operations::Annotated(annotation) => {
                for (found, _) in self.annotated.iter_mut().zip(Annotation::ALL).filter(|(_, own)| own == annotation) {
                    *found = found.with(by);
                }
            }
            Operations::Prompts(glob) => self.prompts.add(glob, by),
            Operations::Resources(glob) if is_denied => self.denied_resources.add(glob, by.rules),
            Operations::Resources(glob) => self.resources.add(glob, by),
            Operations::Http { method, path } => {
                let mut denied = DeniedPaths::default();
                path.iter().filter(|_| is_denied).for_each(|glob| denied.add(glob, by.rules));
                self.http.push(HttpEntry { method: method.clone(), path: path.clone(), by, denied });
            }
        }
    }

    pub(super) fn holds(&self, is_held: impl Fn(&ScopeToken) -> bool) -> Mask {
        let held = self.scopes.iter().filter(|scope| is_held(&scope.name));
        held.fold(Mask::default(), |all, scope| all.with(scope.holds))
    }

    /// Returns what the rules know of a caller.
    #[must_use]
    pub fn standing(&self, caller: &RuleCaller<'_>) -> Standing {
        self.standing_without(caller, &ScopeSet::default())
    }

    /// Returns what the rules know of a caller that may not hold these scopes, whatever includes them.
    #[must_use]
    pub fn standing_without(&self, caller: &RuleCaller<'_>, barred: &ScopeSet) -> Standing {
        let barred = barred.iter().fold(Mask::default(), |all, name| all.with(self.bit_of(name)));
        let held = self.holds(|name| caller.scopes.contains(name.as_str())).without(barred);
        let has_scope = |names: &[ScopeToken]| names.iter().any(|name| self.bit_of(name).has_any_of(held));
        let is_about =
            |rule: &Rule| rule.is_about(caller) && (rule.who.scopes.is_empty() || has_scope(&rule.who.scopes));
        let rules = self.rules.iter().enumerate().filter(|(_, rule)| is_about(rule));
        let rules = rules.fold(Mask::default(), |all, (index, _)| all.with(Mask::bit(index)));
        Standing { held, rules, barred, ..Standing::default() }
    }

    /// Returns the scopes that have force for a caller that may hold these: those of the map, itself or by inclusion;
    /// without a map, all.
    #[must_use]
    pub fn in_force(&self, caller: &Standing, held: &ScopeSet) -> ScopeSet {
        let mapped = self.scopes.iter().enumerate().filter(|(index, _)| Mask::bit(*index).has_any_of(caller.held));
        let mapped = mapped.map(|(_, scope)| scope.name.clone()).collect();
        if self.has_map { mapped } else { held.union(&mapped) }
    }

    /// Returns the scopes that a scope includes, directly or not.
    #[must_use]
    pub fn included(&self, scope: &ScopeToken) -> ScopeSet {
        let held = self.holds(|name| name == scope).without(self.bit_of(scope));
        let held = self.scopes.iter().enumerate().filter(|(index, _)| Mask::bit(*index).has_any_of(held));
        held.map(|(_, scope)| scope.name.clone()).collect()
    }

    /// Returns all groups that rules name.
    #[must_use]
    pub fn named_groups(&self) -> GroupSet {
        self.rules.iter().flat_map(|rule| rule.who.groups.iter().cloned()).collect()
    }

    /// Returns those of `required` that a caller has neither itself nor by inclusion.
    #[must_use]
    pub fn missing(&self, caller: &Standing, required: &ScopeSet) -> ScopeSet {
        required.iter().filter(|name| !self.bit_of(name).has_any_of(caller.held)).cloned().collect()
    }

    /// Returns whether a scope opens anything.
    #[must_use]
    pub fn opens_anything(&self, name: &ScopeToken) -> bool {
        let held = self.holds(|other| other == name);
        let names = [self.methods.any(), self.tools.any(), self.prompts.any(), self.resources.any()];
        let all = names.into_iter().chain(self.annotated).chain(self.http.iter().map(|entry| entry.by));
        all.fold(Matching::default(), Matching::with).scopes.with(self.unknown_methods).has_any_of(held)
    }

    /// Returns whether the client of a caller may ask for all of these scopes.
    #[must_use]
    pub fn may_ask_for(&self, caller: &Standing, scopes: &ScopeSet) -> bool {
        !scopes.iter().any(|name| self.bit_of(name).has_any_of(caller.not_for_client))
    }

    pub(super) fn bit_of(&self, name: &ScopeToken) -> Mask {
        self.scopes.iter().position(|scope| scope.name == *name).map(Mask::bit).unwrap_or_default()
    }

    /// Returns the scope to ask for, of several: the first that is not sensitive, or else the first.
    pub(super) fn first_of(&self, opening: Mask) -> Option<&ScopeToken> {
        let scopes = self.scopes.iter().enumerate().filter(|(index, _)| Mask::bit(*index).has_any_of(opening));
        let mut scopes = scopes.map(|(_, scope)| scope);
        let first = scopes.clone().next();
        scopes.find(|scope| !scope.sensitive).or(first).map(|scope| &scope.name)
    }

    /// Returns those of a token's scopes that this upstream has.
    #[must_use]
    pub fn known(&self, held: &ScopeSet) -> ScopeSet {
        held.iter().filter(|name| self.scopes.iter().any(|scope| scope.name == **name)).cloned().collect()
    }

    /// Returns the reason of a rule; empty if it has none.
    #[must_use]
    pub fn reason(&self, rule: usize) -> &str {
        self.rules.get(rule).map_or("", |rule| rule.reason.as_str())
    }
}
