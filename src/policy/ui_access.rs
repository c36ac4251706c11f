//! What a scope that opens a tool opens besides: the `ui://` resources that the tool names (MCP Apps, SEP-1865), with
//! which a client shows what it returns.

use super::annotations::Annotations;
use super::decision::Ruling;
use super::mask::Mask;
use super::opened::Matching;
use super::rules::{RESOURCE_READ, Rules, Standing, TOOL_CALL};
use super::tool_lookup::ToolLookup;
use crate::mcp::is_ui;

impl Rules {
    /// Returns whether a list shows a resource to a caller: whether it may be read.
    #[must_use]
    pub fn shows_resource(&self, caller: &Standing, uri: &str, tools: &impl ToolLookup) -> bool {
        let found = self.matching((RESOURCE_READ, Some(uri)), Some(caller), |_| Annotations::UNKNOWN);
        self.by_name_or_tool(caller, found, (RESOURCE_READ, Some(uri)), tools) == Ruling::Allowed
    }

    /// Returns whether a caller may read every resource.
    #[must_use]
    pub fn shows_every_resource(&self, caller: &Standing) -> bool {
        let found = self.matching((RESOURCE_READ, None), Some(caller), |_| Annotations::UNKNOWN);
        self.by_name(caller, found) == Ruling::Allowed
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
}
