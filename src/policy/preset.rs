//! The maps that have a name: `scopes = "mcp"`, `"read_only"` and `"execute"`.

/// A scope of a preset.
#[derive(Debug, Clone, Copy)]
pub struct PresetScope<'a> {
    /// The scope's name.
    pub name: &'a str,
    /// Its title on the consent page.
    pub title: &'static str,
    /// What it allows, for the consent page.
    pub description: &'static str,
    /// The patterns of what it opens.
    pub allow: &'static [&'static str],
}

/// The pattern that opens every operation, at an upstream of any kind.
pub const EVERYTHING: &str = "*";

/// The scope of `scopes = "read_only"` at an upstream of kind `mcp`: lists, reads, and calls of tools that say that
/// they only read.
pub const READ_ONLY: PresetScope<'static> = PresetScope {
    name: "read_only",
    title: "Read only",
    description: "Read what it has, and use only those of its tools that change nothing.",
    allow: &[
        "tools/list",
        "tools/call@readOnly",
        "resources/*",
        "prompts/*",
        "completion/complete",
        "subscriptions/listen",
        "tasks/get",
        "tasks/list",
        "tasks/result",
    ],
};

/// The scope of `scopes = "read_only"` at an upstream of kind `http`; GET includes HEAD.
pub const READ_ONLY_HTTP: PresetScope<'static> =
    PresetScope { description: "Read what it has, without changing anything.", allow: &["GET"], ..READ_ONLY };

/// The scope of `scopes = "mcp"` that also opens what `manage` lists.
pub const MANAGE: &str = "mcp:server:manage";

/// The scopes of `scopes = "mcp"`. Each request method that a client of any revision sends (tests below) is in one row,
/// or is part of the handshake, which needs no particular scope.
pub const MCP_SCOPES: [PresetScope<'static>; 5] = [
    PresetScope {
        name: "mcp:tools:read",
        title: "See its tools",
        description: "List its tools, without using any.",
        allow: &["tools/list"],
    },
    PresetScope {
        name: "mcp:tools:execute",
        title: "Use its tools",
        description: "Call its tools on your behalf, and follow or stop calls that take long.",
        allow: &["tools/call", "tasks/*"],
    },
    PresetScope {
        name: "mcp:resources:read",
        title: "Read its resources and prompts",
        description: "List and read its resources and prompts, and complete their arguments.",
        allow: &["resources/*", "prompts/*", "completion/complete"],
    },
    PresetScope {
        name: "mcp:server:read",
        title: "Follow its changes",
        description: "Be told when its tools, prompts or resources change.",
        allow: &["subscriptions/listen"],
    },
    PresetScope {
        name: MANAGE,
        title: "Set how much it reports",
        description: "Set the level of the log messages that it sends.",
        allow: &["logging/setLevel"],
    },
];

#[cfg(test)]
mod tests {
    use super::{EVERYTHING, MCP_SCOPES, READ_ONLY};
    use crate::mcp::Envelope;
    use crate::oauth::{ClientId, GroupSet, ScopeSet, ScopeToken};
    use crate::policy::{Annotations, JudgedMessage, Pattern, RuleCaller, Rules, Ruling, ScopeRule};

    /// The requests that a client may send, by the schema of each revision.
    const REQUESTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/client_requests.txt"));

    fn requests() -> impl Iterator<Item = &'static str> {
        let lines = REQUESTS.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split_once(' ').expect("a revision and a method").1)
    }

    /// What each scope opens of them.
    const ROWS: [(&str, &str); 5] = [
        ("mcp:tools:read", "tools/list"),
        ("mcp:tools:execute", "tools/call tasks/get tasks/list tasks/result tasks/cancel tasks/update"),
        (
            "mcp:resources:read",
            "resources/list resources/templates/list resources/read resources/subscribe resources/unsubscribe \
             prompts/list prompts/get completion/complete",
        ),
        ("mcp:server:read", "subscriptions/listen"),
        ("mcp:server:manage", "logging/setLevel"),
    ];
    const HANDSHAKE: [&str; 3] = ["initialize", "ping", "server/discover"];

    fn rules(scopes: &[(&str, &[&str])]) -> Rules {
        let rule = |(name, allow): &(&str, &[&str])| ScopeRule {
            name: ScopeToken::parse(name).unwrap(),
            sensitive: false,
            allow: allow.iter().map(|text| Pattern::of_mcp(text).unwrap()).collect(),
            includes: Vec::new(),
        };
        Rules::compile(&scopes.iter().map(rule).collect::<Vec<_>>())
    }

    fn opens(rules: &Rules, scope: &str, method: &str, annotations: Annotations) -> bool {
        let (client, scopes) = (ClientId::parse("c").unwrap(), ScopeSet::parse(scope).unwrap());
        let caller = RuleCaller {
            client: &client,
            client_kind: None,
            user: "ada",
            groups: &GroupSet::default(),
            scopes: &scopes,
        };
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"name":"a","uri":"b:c"}}}}"#);
        let envelope = &Envelope::read(body.as_bytes(), false).unwrap()[0];
        let message = JudgedMessage { envelope, body: body.as_bytes(), place: None };
        rules.judge(&rules.standing(&caller), message, |_| annotations) == Ruling::Allowed
    }

    #[test]
    fn every_request_of_every_revision_is_in_one_row_of_the_mcp_preset() {
        let table: Vec<_> = MCP_SCOPES.iter().map(|scope| (scope.name, scope.allow)).collect();
        let rules = rules(&table);
        for method in requests() {
            let opens = |name: &&str| opens(&rules, name, method, Annotations::UNKNOWN);
            let opening: Vec<&str> = table.iter().map(|(name, _)| *name).filter(opens).collect();
            let row = ROWS.iter().find(|(_, methods)| methods.split_whitespace().any(|own| own == method));
            match row {
                Some((name, _)) => assert_eq!(opening, [*name], "{method}"),
                None => assert!(HANDSHAKE.contains(&method) && opening.len() == table.len(), "{method}: {opening:?}"),
            }
        }
    }

    #[test]
    fn every_request_of_every_revision_is_in_one_row_of_the_read_only_preset() {
        const OPENED: &str = "tools/list tools/call resources/list resources/templates/list resources/read \
             resources/subscribe resources/unsubscribe prompts/list prompts/get completion/complete \
             subscriptions/listen tasks/get tasks/list tasks/result";
        const NOT_OPENED: &str = "logging/setLevel tasks/update tasks/cancel";
        let rules = rules(&[(READ_ONLY.name, READ_ONLY.allow), ("other", &["x/y"])]);
        let (reading, unknown) = (Annotations::of(Some(true), None, None), Annotations::UNKNOWN);
        for method in requests() {
            let is_in = |row: &str| row.split_whitespace().any(|own| own == method);
            let rows = [is_in(OPENED), is_in(NOT_OPENED), HANDSHAKE.contains(&method)];
            assert_eq!(rows.iter().filter(|is_in| **is_in).count(), 1, "{method}");
            assert_eq!(opens(&rules, READ_ONLY.name, method, reading), !rows[1], "{method}");
            assert_eq!(opens(&rules, READ_ONLY.name, method, unknown), !rows[1] && method != "tools/call", "{method}");
            assert_eq!(opens(&rules, "other", method, reading), rows[2], "{method}");
        }
    }

    #[test]
    fn no_request_of_any_revision_is_an_unknown_method() {
        let rules = rules(&[("ext", &["x/y"]), ("other", &["x/y"])]);
        let rules = rules.with_unknown_methods(ScopeToken::parse("ext").as_ref().ok());
        for method in requests() {
            assert_eq!(opens(&rules, "ext", method, Annotations::UNKNOWN), HANDSHAKE.contains(&method), "{method}");
        }
        for (method, by_other) in [("x/z", false), ("tools/unknown", false), ("x/y", true)] {
            assert!(opens(&rules, "ext", method, Annotations::UNKNOWN), "{method}");
            assert_eq!(opens(&rules, "other", method, Annotations::UNKNOWN), by_other, "{method}");
        }
    }

    #[test]
    fn the_one_scope_of_the_execute_preset_opens_every_request() {
        let rules = rules(&[("files:execute", &[EVERYTHING]), ("other", &["x/y"])]);
        let opens = |scope: &str, method: &str| opens(&rules, scope, method, Annotations::UNKNOWN);
        for method in requests() {
            assert!(opens("files:execute", method), "{method}");
            assert_eq!(opens("other", method), HANDSHAKE.contains(&method), "{method}");
        }
    }
}
