//! `Ruling`: what the rules say of a request; and what lists show, by the same rules.

use super::annotations::Annotations;
use super::arguments::{Holds, all_hold, of_message};
use super::mask::Mask;
use super::opened::Matching;
use super::pattern::{is_notice, needs_no_scope};
use super::rules::{PROMPT_GET, RESOURCE_READ, Rules, Standing, TOOL_CALL};
use super::tool_lookup::{Annotated, ToolLookup};
use crate::mcp::{Envelope, MessageKind};
use crate::oauth::ScopeToken;

/// The largest body in bytes whose arguments are judged; in a larger one they count as unclear, so that reading them
/// delays nobody.
pub(super) const LARGEST_JUDGED: usize = 256 << 10;

/// What the rules say of a message or an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// Nothing is against it.
    Allowed,
    /// The token lacks a scope; this one would be enough, and its account may hold it.
    Lacking(ScopeToken),
    /// No scope of the upstream that the account may hold opens it.
    Unopened,
    /// The user left the tool out when they connected the client.
    LeftOut,
    /// The tool is not what was pinned, and held until an operator approves it.
    Held,
    /// Rules refuse it, whatever scopes the token has.
    Denied(Denial),
}

/// How rules refuse a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Denial {
    /// The index of the deny rule that matches; `None` if no allow rule does.
    pub rule: Option<usize>,
    /// Whether other arguments could pass, so that lists show the tool or prompt.
    pub is_over_arguments: bool,
    /// Whether it is about what the message refers to, and not about the message itself.
    pub is_of_reference: bool,
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

/// A message to be judged, and where it is.
#[derive(Debug, Clone, Copy)]
pub struct JudgedMessage<'a> {
    /// The message, as read.
    pub envelope: &'a Envelope<'a>,
    /// The body that it was read from, and that is forwarded.
    pub body: &'a [u8],
    /// Its place in a batch.
    pub place: Option<usize>,
}

/// Returns whether a message needs no particular scope, and no rule or limit is about it.
pub(super) fn is_free(kind: MessageKind, method: &str) -> bool {
    match kind {
        // Responses and notices belong to a session, which another check binds to its user.
        MessageKind::Response => true,
        MessageKind::Notification => is_notice(method),
        MessageKind::Request => needs_no_scope(method),
    }
}

impl Rules {
    /// Judges a message. `annotations` says what a tool says of itself; it is asked only where that matters.
    #[must_use]
    pub fn judge(
        &self,
        caller: &Standing,
        message: JudgedMessage<'_>,
        annotations: impl Fn(&str) -> Annotations,
    ) -> Ruling {
        self.judge_knowing(caller, message, &Annotated(annotations))
    }

    /// As [`Rules::judge`], with everything that is known of the tools.
    #[must_use]
    pub fn judge_knowing(&self, caller: &Standing, message: JudgedMessage<'_>, tools: &impl ToolLookup) -> Ruling {
        let annotations = |tool: &str| tools.annotations(tool);
        let JudgedMessage { envelope, body, place } = message;
        let Some(method) = envelope.method.as_deref() else { return self.judge_handshake(caller) };
        if is_free(envelope.kind, method) {
            return self.judge_handshake(caller);
        }
        let name = envelope.name.as_deref();
        let found = self.matching((method, name), Some(caller), annotations);
        let decision = self.by_name_or_tool(caller, found, (method, name), tools);
        if decision != Ruling::Allowed {
            return decision;
        }
        let reference = self.judge_reference(caller, (method, message), tools);
        if let Ruling::Denied(denial) = reference {
            return Ruling::Denied(Denial { is_of_reference: true, ..denial });
        }
        if reference != Ruling::Allowed {
            return reference;
        }
        let is_call = method == TOOL_CALL;
        if is_call && self.leaves_out(caller, name, found.scopes, annotations) {
            return Ruling::LeftOut;
        }
        if !found.rules.and(caller.rules).has_any_of(self.over_arguments) {
            return decision;
        }
        self.by_arguments(found.rules.and(caller.rules), body, place)
    }

    /// Returns whether every call of a tool by a caller passes, whatever its arguments and whatever the tool says of
    /// itself.
    #[must_use]
    pub fn always_allows(&self, caller: &Standing, tool: &str) -> bool {
        let is_certain = |found: Matching| {
            let is_over_arguments = found.rules.and(caller.rules).has_any_of(self.over_arguments);
            caller.left_out.is_none() && !is_over_arguments && self.by_name(caller, found) == Ruling::Allowed
        };
        self.whatever_it_says(caller, tool).is_some_and(is_certain)
    }

    /// Judges what needs any scope of the upstream, none in particular.
    #[must_use]
    pub fn judge_handshake(&self, caller: &Standing) -> Ruling {
        self.by_scope(caller, Mask::ALL)
    }

    /// Judges an HTTP request. `path` is below the upstream's own, and the caller has checked that it cannot mean
    /// another one.
    #[must_use]
    pub fn judge_http(&self, caller: &Standing, method: &str, path: &str) -> Ruling {
        self.by_name(caller, self.matching_http(method, path))
    }

    /// Returns whether a list shows an entry to a caller: whether it may be called, got or read, with some arguments.
    /// Nothing is known of the annotations of a tool.
    #[must_use]
    pub fn shows(&self, caller: &Standing, item: Item<'_>) -> bool {
        self.shows_annotated(caller, item, Annotations::UNKNOWN)
    }

    /// As [`Rules::shows`], with the annotations of a tool.
    #[must_use]
    pub fn shows_annotated(&self, caller: &Standing, item: Item<'_>, annotations: Annotations) -> bool {
        let (method, name) = match item {
            Item::Tool(name) => (TOOL_CALL, name),
            Item::Prompt(name) => (PROMPT_GET, name),
            // What a template stands for is judged when it is read; here its text is taken for a URI.
            Item::Resource(uri) | Item::Template(uri) => (RESOURCE_READ, uri),
        };
        let found = self.matching((method, Some(name)), Some(caller), |_| annotations);
        let is_left_out = |name| self.leaves_out(caller, Some(name), found.scopes, |_| annotations);
        let is_allowed = self.denial(caller, found.rules).is_none() && self.is_open(caller, found.scopes);
        is_allowed && !matches!(item, Item::Tool(name) if is_left_out(name))
    }

    /// Returns whether a caller may use a method at all, with some name and some arguments.
    #[must_use]
    pub fn opens(&self, caller: &Standing, method: &str) -> bool {
        let whole = self.whole(method);
        let with_names = whole.with(self.with_any_name(method));
        let denying = whole.rules.and(caller.rules).and(self.deny).without(self.over_arguments);
        let is_allowed = self.allow.is_empty() || with_names.rules.and(caller.rules).has_any_of(self.allow);
        denying.is_empty() && is_allowed && self.by_scope(caller, with_names.scopes) == Ruling::Allowed
    }

    /// Judges by everything but arguments.
    pub(super) fn by_name(&self, caller: &Standing, found: Matching) -> Ruling {
        self.denial(caller, found.rules).map_or_else(|| self.by_scope(caller, found.scopes), Ruling::Denied)
    }

    /// Returns how rules that match a message refuse it, whatever its arguments.
    fn denial(&self, caller: &Standing, matching: Mask) -> Option<Denial> {
        let rules = matching.and(caller.rules);
        let denying = rules.and(self.deny).without(self.over_arguments);
        if !denying.is_empty() {
            return Some(Denial { rule: denying.indices().next(), ..Denial::default() });
        }
        let is_allowed = self.allow.is_empty() || rules.has_any_of(self.allow);
        (!is_allowed).then(Denial::default)
    }

    fn is_open(&self, caller: &Standing, opening: Mask) -> bool {
        (!self.has_map && !caller.is_anonymous) || opening.has_any_of(caller.held)
    }

    fn by_scope(&self, caller: &Standing, opening: Mask) -> Ruling {
        if self.is_open(caller, opening) {
            return Ruling::Allowed;
        }
        // A login for a scope that the account may not hold would end on the page without access, and one for a scope
        // that the client may not ask for is refused.
        let helping = opening.without(caller.barred).without(caller.not_for_client);
        self.first_of(helping).map_or(Ruling::Unopened, |scope| Ruling::Lacking(scope.clone()))
    }

    /// Judges by the arguments, where `rules` match a message otherwise.
    fn by_arguments(&self, rules: Mask, body: &[u8], place: Option<usize>) -> Ruling {
        let read = std::str::from_utf8(body).ok().filter(|body| body.len() <= LARGEST_JUDGED);
        let arguments = read.and_then(|body| of_message(body, place));
        let holds = |index: &usize| {
            let conditions = self.rules.get(*index).map(|rule| rule.arguments.as_slice()).unwrap_or_default();
            arguments.map_or(Holds::Unclear, |arguments| all_hold(conditions, arguments))
        };
        let judged = rules.and(self.over_arguments);
        let denying = judged.and(self.deny).indices().find(|index| holds(index) != Holds::No);
        let is_allowed = self.allow.is_empty()
            || rules.and(self.allow).has_any_of(Mask::ALL.without(self.over_arguments))
            || judged.and(self.allow).indices().any(|index| holds(&index) == Holds::Yes);
        if denying.is_none() && is_allowed {
            return Ruling::Allowed;
        }
        Ruling::Denied(Denial { rule: denying, is_over_arguments: true, ..Denial::default() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Item, JudgedMessage, Ruling};
    use crate::mcp::Envelope;
    use crate::oauth::{ClientId, GroupSet, ScopeSet, ScopeToken};
    use crate::policy::{Annotation, Annotations, Pattern, Rule, RuleCaller, RuleEffect, Rules, ScopeRule, Who};

    /// Patterns, each with its definition.
    type Definition = fn(&str, Annotations) -> bool;
    const PATTERNS: [(&str, Definition); 8] = [
        ("*", |_, _| true),
        ("tools/call", |_, _| true),
        ("tools/list", |_, _| false),
        ("tools/call:add", |name, _| name == "add"),
        ("tools/call:a*", |name, _| name.starts_with('a')),
        ("tools/call@readOnly", |_, says| says.read_only),
        ("tools/call@destructive", |_, says| says.destructive),
        ("prompts/get:add", |_, _| false),
    ];

    fn pattern(index: &usize) -> Pattern {
        Pattern::of_mcp(PATTERNS[*index].0).unwrap()
    }

    #[derive(Debug, Clone)]
    struct Drawn {
        denies: bool,
        operations: Vec<usize>,
        annotations: Vec<Annotation>,
        users: Vec<String>,
        scopes: Vec<usize>,
    }

    fn scope(index: usize) -> ScopeToken {
        ScopeToken::parse(&format!("s{index}")).unwrap()
    }

    impl Drawn {
        fn rule(&self) -> Rule {
            let scopes = self.scopes.iter().map(|index| scope(*index)).collect();
            Rule {
                effect: if self.denies { RuleEffect::Deny } else { RuleEffect::Allow },
                operations: self.operations.iter().map(pattern).collect(),
                annotations: self.annotations.clone(),
                who: Who { users: self.users.clone(), scopes, ..Who::default() },
                arguments: Vec::new(),
                reason: String::new(),
            }
        }

        fn matches(&self, name: &str, says: Annotations, held: &[usize]) -> bool {
            let has = |annotation: &Annotation| match annotation {
                Annotation::ReadOnly => says.read_only,
                Annotation::Destructive => says.destructive,
                Annotation::OpenWorld => says.open_world,
            };
            (self.operations.is_empty() || self.operations.iter().any(|index| PATTERNS[*index].1(name, says)))
                && (self.annotations.is_empty() || self.annotations.iter().any(has))
                && (self.users.is_empty() || self.users.iter().any(|user| user == "ada"))
                && (self.scopes.is_empty() || self.scopes.iter().any(|scope| held.contains(scope)))
        }
    }

    fn drawn() -> impl Strategy<Value = Drawn> {
        let few = |most: usize| prop::collection::vec(0..most, 0..3);
        let annotation = prop::sample::select(Annotation::ALL.to_vec());
        let user = prop::sample::select(vec!["ada".to_owned(), "eve".to_owned()]);
        let lists = (few(PATTERNS.len()), prop::collection::vec(annotation, 0..2), prop::collection::vec(user, 0..2));
        (any::<bool>(), lists, few(3)).prop_map(|(denies, (operations, annotations, users), scopes)| Drawn {
            denies,
            operations,
            annotations,
            users,
            scopes,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]
        #[test]
        fn lists_show_what_calls_allow_and_both_are_what_the_rules_say(
            map in prop::collection::vec(prop::collection::vec(0..PATTERNS.len(), 0..3), 3),
            has_map in any::<bool>(),
            drawn in prop::collection::vec(drawn(), 0..4),
            held in prop::collection::vec(0..3_usize, 0..3),
            hints in any::<[Option<bool>; 3]>(),
        ) {
            let scope_rule = |(index, allow): (usize, &Vec<usize>)| ScopeRule {
                name: scope(index),
                sensitive: false,
                allow: allow.iter().map(pattern).collect(),
                includes: Vec::new(),
            };
            let scopes: Vec<_> = map.iter().enumerate().map(scope_rule).collect();
            let rules = Rules::narrowed(&scopes, has_map, &drawn.iter().map(Drawn::rule).collect::<Vec<_>>());
            let (client, token) = (ClientId::parse("c").unwrap(), held.iter().map(|index| scope(*index)));
            let token: ScopeSet = token.collect();
            let caller = RuleCaller { client: &client, client_kind: None, user: "ada", groups: &GroupSet::default(), scopes: &token };
            let (standing, says) = (rules.standing(&caller), Annotations::of(hints[0], hints[1], hints[2]));
            for name in ["add", "all", "sub"] {
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#
                );
                let envelope = &Envelope::read(body.as_bytes(), false).unwrap()[0];
                let message = JudgedMessage { envelope, body: body.as_bytes(), place: None };
                let is_allowed = rules.judge(&standing, message, |_| says) == Ruling::Allowed;
                prop_assert_eq!(rules.shows_annotated(&standing, Item::Tool(name), says), is_allowed);
                prop_assert!(is_allowed || !rules.always_allows(&standing, name), "{}", name);
                let opens = |scope: &usize| map[*scope].iter().any(|index| PATTERNS[*index].1(name, says));
                let matching = |denies: bool| {
                    drawn.iter().any(|rule| rule.denies == denies && rule.matches(name, says, &held))
                };
                let has_allow_rules = drawn.iter().any(|rule| !rule.denies);
                let expected = (!has_map || held.iter().any(opens))
                    && !matching(true)
                    && (!has_allow_rules || matching(false));
                prop_assert_eq!(is_allowed, expected, "{}", name);
            }
        }
    }
}
