//! `ToolAccess`: what a call of a tool needs, as its entry in a list tells clients in advance; and what a scope that
//! opens the tool opens besides: the `ui://` resources that the tool names (MCP Apps, SEP-1865), with which a client
//! shows what it returns.

use super::annotations::Annotations;
use super::decision::Ruling;
use super::mask::Mask;
use super::opened::Matching;
use super::rules::{RESOURCE_READ, Rules, Standing, TOOL_CALL};
use super::tool_lookup::ToolLookup;
use crate::mcp::is_ui;
use crate::oauth::{ScopeSet, ScopeToken};

/// What a call of a tool needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolAccess<'a> {
    /// A scope that opens it; `None` if none does.
    pub scope: Option<&'a ScopeToken>,
    /// Whether it is open to callers without a token.
    pub is_open_to_all: bool,
}

impl Rules {
    /// Returns what a call of a tool needs of a caller whose token has these scopes. Of several scopes that open it,
    /// that is one which the token has, or else the one that a challenge would name.
    #[must_use]
    pub fn access<'a>(
        &'a self,
        caller: &Standing,
        token: &'a ScopeSet,
        (tool, says): (&str, Annotations),
    ) -> ToolAccess<'a> {
        let found = self.matching((TOOL_CALL, Some(tool)), None, |_| says);
        let opening = found.scopes.without(self.anonymous);
        let opens = |name: &&ScopeToken| {
            let is_held = self.bit_of(name).has_any_of(caller.held);
            is_held && self.holds(|other| other == *name).has_any_of(opening)
        };
        let asked_for = || self.first_of(opening.without(caller.barred).without(caller.not_for_client));
        let nobody = self.anonymous();
        ToolAccess {
            scope: token.iter().find(opens).or_else(asked_for),
            is_open_to_all: nobody.is_some_and(|nobody| self.by_name(&nobody, found) == Ruling::Allowed),
        }
    }

    /// Returns whether a list shows a resource to a caller: whether it may be read.
    #[must_use]
    pub fn shows_resource(&self, caller: &Standing, uri: &str, tools: &impl ToolLookup) -> bool {
        let found = self.matching((RESOURCE_READ, Some(uri)), Some(caller), |_| Annotations::UNKNOWN);
        self.by_name_or_tool(caller, found, (RESOURCE_READ, Some(uri)), tools) == Ruling::Allowed
    }

    /// Judges a request, which `found` names, by everything but arguments: what opens a tool opens the resource that it
    /// names too, if the caller may call the tool.
    pub(super) fn by_name_or_tool(
        &self,
        caller: &Standing,
        found: Matching,
        (method, name): (&str, Option<&str>),
        tools: &impl ToolLookup,
    ) -> Ruling {
        let ruling = self.by_name(caller, found);
        let uri = name.filter(|uri| method == RESOURCE_READ && is_ui(uri));
        let (Some(uri), Ruling::Lacking(_) | Ruling::Unopened) = (uri, &ruling) else { return ruling };
        let naming = tools.naming(uri);
        let opening = naming.iter().map(|tool| self.opening(caller, tool, tools));
        let scopes = opening.fold(found.scopes, Mask::with);
        self.by_name(caller, Matching { scopes, ..found })
    }

    /// Returns the scopes that let a caller call a tool; none if no scope would.
    fn opening(&self, caller: &Standing, tool: &str, tools: &impl ToolLookup) -> Mask {
        let says = |tool: &str| tools.annotations(tool);
        let found = self.matching((TOOL_CALL, Some(tool)), None, says);
        match self.by_name(caller, found) {
            Ruling::Allowed if self.leaves_out(caller, Some(tool), found.scopes, says) => Mask::default(),
            Ruling::Allowed | Ruling::Lacking(_) => found.scopes,
            Ruling::Unopened | Ruling::LeftOut | Ruling::Held | Ruling::Denied(_) => Mask::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::mcp::Envelope;
    use crate::oauth::{ClientId, Exclusions, GroupSet, ScopeSet, ScopeToken};
    use crate::policy::{
        Annotations, JudgedMessage, Pattern, Rule, RuleCaller, RuleEffect, Rules, Ruling, ScopeRule, Standing,
        ToolLookup, Who,
    };

    /// Each tool names the resource after it; `look` only reads.
    struct Tools;

    impl ToolLookup for Tools {
        fn annotations(&self, tool: &str) -> Annotations {
            if tool == "look" { Annotations::of(Some(true), None, None) } else { Annotations::UNKNOWN }
        }

        fn naming(&self, uri: &str) -> Vec<Box<str>> {
            let named = match uri {
                "ui://shared" => &["search", "write"][..],
                "ui://secret" => &["secret"],
                "ui://write" => &["write"],
                "ui://look" => &["look"],
                "ui://nobody" => &["unopened"],
                "ui://denied/a" | "file:///a" => &["search"],
                _ => &[],
            };
            named.iter().map(|tool| (*tool).into()).collect()
        }
    }

    fn patterns(all: &[&str]) -> Vec<Pattern> {
        all.iter().map(|text| Pattern::of_mcp(text).unwrap()).collect()
    }

    fn rules() -> Rules {
        let scope = |name: &str, allow: &[&str]| {
            let (name, allow) = (ScopeToken::parse(name).unwrap(), patterns(allow));
            ScopeRule { name, sensitive: false, allow, includes: Vec::new() }
        };
        let scopes = [
            scope("search", &["tools/call:search", "tools/call:secret"]),
            scope("write", &["tools/call:write"]),
            scope("read", &["tools/call@readOnly"]),
            scope("files", &["resources/read:ui://files"]),
            scope("follow", &["resources/subscribe"]),
        ];
        let denied = Rule {
            effect: RuleEffect::Deny,
            operations: patterns(&["tools/call:secret", "resources/read:ui://denied/**"]),
            annotations: Vec::new(),
            who: Who::default(),
            arguments: Vec::new(),
            reason: String::new(),
        };
        Rules::narrowed(&scopes, true, &[denied]).with_anonymous(&patterns(&["tools/call:write"]))
    }

    fn standing(rules: &Rules, scopes: &str, left_out: &[&str]) -> Standing {
        let (client, scopes) = (ClientId::parse("c").unwrap(), ScopeSet::parse(scopes).unwrap());
        let groups = GroupSet::default();
        let caller = RuleCaller { client: &client, client_kind: None, user: "ada", groups: &groups, scopes: &scopes };
        let tools = left_out.iter().map(|tool| Box::from(*tool)).collect();
        rules.leaving_out(rules.standing(&caller), &scopes, &Exclusions::new(BTreeSet::new(), tools).unwrap())
    }

    fn ask(rules: &Rules, caller: &Standing, method: &str, uri: &str) -> Ruling {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"uri":"{uri}"}}}}"#);
        let envelope = &Envelope::read(body.as_bytes(), false).unwrap()[0];
        rules.judge_knowing(caller, JudgedMessage { envelope, body: body.as_bytes(), place: None }, &Tools)
    }

    /// The decision on a request to read a resource, with which lists agree.
    fn read(rules: &Rules, caller: &Standing, uri: &str) -> Ruling {
        let ruling = ask(rules, caller, "resources/read", uri);
        assert_eq!(rules.shows_resource(caller, uri, &Tools), ruling == Ruling::Allowed, "{uri}: {ruling:?}");
        ruling
    }

    #[test]
    fn a_resource_is_opened_by_what_opens_a_tool_that_names_it_in_lists_and_calls_alike() {
        let rules = rules();
        let lacking = |scope: &str| Ruling::Lacking(ScopeToken::parse(scope).unwrap());
        for (scopes, uri, expected) in [
            ("search", "ui://shared", Ruling::Allowed),
            ("write", "ui://shared", Ruling::Allowed),
            ("write", "ui://write", Ruling::Allowed),
            ("search", "ui://write", lacking("write")),
            ("read", "ui://shared", lacking("search")),
            ("read", "ui://look", Ruling::Allowed),
            ("search", "ui://look", lacking("read")),
            ("files", "ui://files", Ruling::Allowed),
            ("search", "ui://files", lacking("files")),
            // No scope opens the tool, a rule denies it, or none names the resource.
            ("search write", "ui://nobody", Ruling::Unopened),
            ("search", "ui://secret", Ruling::Unopened),
            ("search write", "ui://other", Ruling::Unopened),
            // The tool names it, but only `ui://` resources are opened so.
            ("search", "file:///a", Ruling::Unopened),
        ] {
            assert_eq!(read(&rules, &standing(&rules, scopes, &[]), uri), expected, "{scopes}: {uri}");
        }
        let denied = read(&rules, &standing(&rules, "search", &[]), "ui://denied/a");
        assert!(matches!(denied, Ruling::Denied(_)), "{denied:?}");
    }

    #[test]
    fn who_may_read_it_may_follow_it_with_a_scope_for_that() {
        let rules = rules();
        let follow = |scopes: &str, uri: &str| ask(&rules, &standing(&rules, scopes, &[]), "resources/subscribe", uri);
        assert_eq!(follow("search follow", "ui://shared"), Ruling::Allowed);
        assert_eq!(follow("search follow", "ui://nobody"), Ruling::Unopened);
        assert!(matches!(follow("search", "ui://shared"), Ruling::Lacking(_)));
    }

    #[test]
    fn a_tool_that_the_caller_may_not_call_opens_nothing() {
        let rules = rules();
        assert_eq!(read(&rules, &standing(&rules, "write", &["write"]), "ui://write"), Ruling::Unopened);
        assert_eq!(read(&rules, &standing(&rules, "search write", &["write"]), "ui://shared"), Ruling::Allowed);
        let nobody = rules.anonymous().unwrap();
        assert_eq!(read(&rules, &nobody, "ui://write"), Ruling::Allowed);
        assert!(matches!(read(&rules, &nobody, "ui://look"), Ruling::Lacking(_)));
    }

    #[test]
    fn the_scope_is_one_that_the_token_has_or_the_one_that_a_challenge_would_name() {
        let scope = |name: &str, allow: &[&str], includes: &[&str]| ScopeRule {
            name: ScopeToken::parse(name).unwrap(),
            sensitive: name == "all",
            allow: patterns(allow),
            includes: includes.iter().map(|name| ScopeToken::parse(name).unwrap()).collect(),
        };
        let scopes = [
            scope("all", &["tools/call"], &[]),
            scope("search", &["tools/call:search_*", "tools/call@readOnly"], &[]),
            scope("more", &["tools/call:write"], &["search"]),
        ];
        let hidden = Rule {
            effect: RuleEffect::Deny,
            operations: patterns(&["tools/call:search_secret"]),
            annotations: Vec::new(),
            who: Who::default(),
            arguments: Vec::new(),
            reason: String::new(),
        };
        let rules = Rules::narrowed(&scopes, true, &[hidden]).with_anonymous(&patterns(&["tools/call:search_*"]));
        let reads = Annotations::of(Some(true), None, None);
        for (token, tool, says, name, is_open_to_all) in [
            ("all", "search_web", Annotations::UNKNOWN, "all", true),
            ("search", "search_web", Annotations::UNKNOWN, "search", true),
            ("more", "search_web", Annotations::UNKNOWN, "more", true),
            ("", "search_web", Annotations::UNKNOWN, "search", true),
            ("search", "search_secret", Annotations::UNKNOWN, "search", false),
            ("search", "look", reads, "search", false),
            ("search", "write", Annotations::UNKNOWN, "more", false),
            ("search", "drop", Annotations::UNKNOWN, "all", false),
        ] {
            let token = ScopeSet::parse(token).unwrap();
            let (client, groups) = (ClientId::parse("c").unwrap(), GroupSet::default());
            let caller =
                RuleCaller { client: &client, client_kind: None, user: "ada", groups: &groups, scopes: &token };
            let access = rules.access(&rules.standing(&caller), &token, (tool, says));
            assert_eq!(access.scope.map(ScopeToken::as_str), Some(name), "{token}: {tool}");
            assert_eq!(access.is_open_to_all, is_open_to_all, "{token}: {tool}");
        }
        let token = ScopeSet::parse("gone").unwrap();
        let few = Rules::compile(&[scope("search", &["tools/call:search_*"], &[])]);
        let nobody = few.access(&Standing::default(), &token, ("write", reads));
        assert_eq!((nobody.scope, nobody.is_open_to_all), (None, false));
    }
}
