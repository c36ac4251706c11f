//! `ToolAccess`: what a call of a tool needs, as its entry in a list tells clients in advance.

use super::annotations::Annotations;
use super::decision::Ruling;
use super::rules::{Rules, Standing, TOOL_CALL};
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
}

#[cfg(test)]
mod tests {
    use crate::oauth::{ClientId, GroupSet, ScopeSet, ScopeToken};
    use crate::policy::{Annotations, Pattern, Rule, RuleCaller, RuleEffect, Rules, ScopeRule, Standing, Who};

    fn patterns(all: &[&str]) -> Vec<Pattern> {
        all.iter().map(|text| Pattern::of_mcp(text).unwrap()).collect()
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
