//! What may be done at an upstream without a token.

use super::mask::Mask;
use super::opened::Matching;
use super::pattern::Pattern;
use super::rule::Who;
use super::rules::{Rules, Standing};

impl Rules {
    /// Lets callers without a token do what these patterns name, of which there are at most as many as scopes less one
    /// ([`MOST`](super::MOST)). Nothing changes without a pattern.
    #[must_use]
    pub fn with_anonymous(mut self, patterns: &[Pattern]) -> Self {
        if patterns.is_empty() {
            return self;
        }
        // As if there were one scope more, which no token can have.
        self.anonymous = Mask::bit(self.scopes.len());
        let by = Matching { scopes: self.anonymous, rules: Mask::default() };
        patterns.iter().for_each(|pattern| self.open(&pattern.0, by, false));
        self
    }

    /// Returns what the rules know of a caller without a token; `None` if such a caller may do nothing. Rules about
    /// certain callers are not about this one, of whom nothing is known.
    #[must_use]
    pub fn anonymous(&self) -> Option<Standing> {
        if self.anonymous.is_empty() {
            return None;
        }
        let rules = self.rules.iter().enumerate().filter(|(_, rule)| rule.who == Who::default());
        let rules = rules.fold(Mask::default(), |all, (index, _)| all.with(Mask::bit(index)));
        Some(Standing { held: self.anonymous, rules, is_anonymous: true, ..Standing::default() })
    }
}

#[cfg(test)]
mod tests {
    use crate::mcp::Envelope;
    use crate::oauth::{ClientId, GroupSet, ScopeSet, ScopeToken};
    use crate::policy::{
        Annotations, Item, JudgedMessage, Pattern, Rule, RuleCaller, RuleEffect, Rules, Ruling, ScopeRule, Standing,
        Who,
    };

    fn patterns(all: &[&str]) -> Vec<Pattern> {
        all.iter().map(|text| Pattern::of_mcp(text).unwrap()).collect()
    }

    fn scope(name: &str, allow: &[&str]) -> ScopeRule {
        let name = ScopeToken::parse(name).unwrap();
        ScopeRule { name, sensitive: false, allow: patterns(allow), includes: Vec::new() }
    }

    fn passes(rules: &Rules, caller: &Standing, method: &str, name: &str) -> bool {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"name":"{name}"}}}}"#);
        let envelope = &Envelope::read(body.as_bytes(), false).unwrap()[0];
        let message = JudgedMessage { envelope, body: body.as_bytes(), place: None };
        rules.judge(caller, message, |_| Annotations::UNKNOWN) == Ruling::Allowed
    }

    fn deny(operations: &[&str], who: Who) -> Rule {
        let (operations, reason) = (patterns(operations), String::new());
        Rule { effect: RuleEffect::Deny, operations, annotations: Vec::new(), who, arguments: Vec::new(), reason }
    }

    #[test]
    fn without_a_token_only_what_is_listed_passes_with_a_map_or_without() {
        let listed = patterns(&["tools/list", "tools/call:search_*", "x/y"]);
        for has_map in [true, false] {
            let scopes = [scope("all", &["*"])];
            let rules = Rules::narrowed(&scopes, has_map, &[]).with_anonymous(&listed);
            let nobody = rules.anonymous().unwrap();
            for (method, name, expected) in [
                ("initialize", "", true),
                ("ping", "", true),
                ("tools/list", "", true),
                ("tools/call", "search_web", true),
                ("tools/call", "delete", false),
                ("resources/list", "", false),
                ("x/y", "", true),
                ("x/z", "", false),
            ] {
                assert_eq!(passes(&rules, &nobody, method, name), expected, "{has_map} {method} {name}");
            }
            assert!(rules.shows(&nobody, Item::Tool("search_web")) && !rules.shows(&nobody, Item::Tool("delete")));
        }
        assert_eq!(Rules::compile(&[]).with_anonymous(&[]).anonymous(), None);
    }

    #[test]
    fn what_is_open_to_all_gives_tokens_nothing() {
        let rules = Rules::compile(&[scope("few", &["prompts/list"]), scope("ext", &["prompts/list"])]);
        let ext = ScopeToken::parse("ext").unwrap();
        let rules = rules.with_unknown_methods(Some(&ext)).with_anonymous(&patterns(&["tools/list", "x/y"]));
        let standing = |scopes: &str| {
            let (client, scopes) = (ClientId::parse("c").unwrap(), ScopeSet::parse(scopes).unwrap());
            let groups = &GroupSet::default();
            rules.standing(&RuleCaller { client: &client, client_kind: None, user: "ada", groups, scopes: &scopes })
        };
        assert!(!passes(&rules, &standing("few"), "tools/list", ""));
        assert!(passes(&rules, &standing("ext"), "x/y", ""), "the scope for unknown methods still opens it");
        assert!(passes(&rules, &rules.anonymous().unwrap(), "x/y", ""));
    }

    #[test]
    fn deny_rules_about_everybody_hold_and_others_are_not_about_the_nameless() {
        let ada = Who { users: vec!["ada".to_owned()], ..Who::default() };
        let denied = [deny(&["tools/call:search_secret"], Who::default()), deny(&["tools/call:search_web"], ada)];
        let rules = Rules::narrowed(&[], false, &denied).with_anonymous(&patterns(&["tools/call:search_*"]));
        let nobody = rules.anonymous().unwrap();
        assert!(passes(&rules, &nobody, "tools/call", "search_web"));
        assert!(!passes(&rules, &nobody, "tools/call", "search_secret"));
    }
}
