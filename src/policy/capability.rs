//! Which requests belong to a server's capabilities, so that none is announced that a caller cannot use.

use super::rules::{Rules, Standing};

/// The capabilities whose use needs a request, and the requests (MCP, lifecycle, capability negotiation).
const CAPABILITIES: [(&str, &[&str]); 6] = [
    ("tools", &["tools/list", "tools/call"]),
    ("prompts", &["prompts/list", "prompts/get"]),
    (
        "resources",
        &[
            "resources/list",
            "resources/templates/list",
            "resources/read",
            "resources/subscribe",
            "resources/unsubscribe",
        ],
    ),
    ("completions", &["completion/complete"]),
    ("logging", &["logging/setLevel"]),
    ("tasks", &["tasks/get", "tasks/list", "tasks/result", "tasks/cancel", "tasks/update"]),
];

impl Rules {
    /// Returns whether a caller may use any method of a capability; also true of those that need none.
    #[must_use]
    pub fn offers(&self, caller: &Standing, capability: &str) -> bool {
        let methods = CAPABILITIES.iter().find(|(name, _)| *name == capability);
        methods.is_none_or(|(_, methods)| methods.iter().any(|method| self.opens(caller, method)))
    }
}

#[cfg(test)]
mod tests {
    use crate::oauth::{ClientId, GroupSet, ScopeSet, ScopeToken};
    use crate::policy::{Pattern, RuleCaller, Rules, ScopeRule};

    #[test]
    fn a_capability_is_offered_to_those_who_may_use_one_of_its_methods() {
        let scope = |name: &str, allow: &str| ScopeRule {
            name: ScopeToken::parse(name).unwrap(),
            sensitive: false,
            allow: vec![Pattern::of_mcp(allow).unwrap()],
            includes: Vec::new(),
        };
        let scopes = [
            scope("call", "tools/call:search_*"),
            scope("list", "tools/list"),
            scope("read", "resources/read:file:///a"),
            scope("all", "*"),
        ];
        let rules = Rules::compile(&scopes);
        let client = ClientId::parse("c").unwrap();
        let offered = |held: &str| {
            let scopes = &ScopeSet::parse(held).unwrap();
            let caller =
                RuleCaller { client: &client, client_kind: None, user: "ada", groups: &GroupSet::default(), scopes };
            let standing = rules.standing(&caller);
            let all = ["tools", "prompts", "resources", "completions", "logging", "tasks", "experimental"];
            all.into_iter().filter(|name| rules.offers(&standing, name)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(offered("call"), "tools experimental");
        assert_eq!(offered("list"), "tools experimental");
        assert_eq!(offered("read"), "resources experimental");
        assert_eq!(offered("all"), "tools prompts resources completions logging tasks experimental");
        assert_eq!(offered("gone"), "experimental");
    }
}
