//! The rules of an upstream.

use mcpgate::config::Overrides;

use crate::{GOOD, load, only_problem};

fn rule(keys: &str) -> String {
    format!("[[upstream.rule]]\neffect = \"deny\"\n{keys}\n")
}

#[test]
fn a_rule_that_cannot_match_is_refused() {
    for (text, expected) in [
        ("[[upstream.rule]]\nusers = [\"ada\"]\n".to_owned(), "7: upstream[0].rule[0].effect: this key is missing"),
        (rule("operations = [\"x\", \"tools list\"]"), "9: upstream[0].rule[0].operations[1]: this is not the name"),
        (rule("operations = [\"ping\"]"), "9: upstream[0].rule[0].operations[0]: the handshake"),
        (rule("scopes = [\"lost\"]"), "9: upstream[0].rule[0].scopes[0]: this is not among"),
        (rule("users = [\"\"]"), "9: upstream[0].rule[0].users[0]: this cannot be a login name"),
        (rule("clients = [\"a b\"]"), "9: upstream[0].rule[0].clients[0]: this cannot be a client id"),
        (rule("client_kinds = [\"dcr\"]"), "9: upstream[0].rule[0].client_kinds[0]: this string cannot be read"),
        (rule("annotations = [\"harmless\"]"), "9: upstream[0].rule[0].annotations[0]: this string cannot be read"),
        (
            rule("annotations = [\"destructive\"]\noperations = [\"prompts/get\"]"),
            "10: upstream[0].rule[0].operations: none of these operations calls a tool",
        ),
        (
            rule("arguments = [{ pointer = \"path\", present = true }]"),
            "9: upstream[0].rule[0].arguments[0].pointer: this is not a JSON pointer",
        ),
        (
            rule("arguments = [{ pointer = \"/path\" }]"),
            "9: upstream[0].rule[0].arguments[0].pointer: a condition asks for exactly one thing",
        ),
        (
            rule("arguments = [{ pointer = \"/path\", equals = 1, present = true }]"),
            "9: upstream[0].rule[0].arguments[0].pointer: a condition asks for exactly one thing",
        ),
        (
            rule("arguments = [{ pointer = \"/path\", min = 2, max = 1 }]"),
            "9: upstream[0].rule[0].arguments[0].pointer: no value meets this condition",
        ),
        (
            rule("arguments = [{ pointer = \"/path\", equals = 2, equal = 2 }]"),
            "9: upstream[0].rule[0].arguments[0].equal: this key is unknown",
        ),
        (
            rule("operations = [\"tools/list\"]\narguments = [{ pointer = \"/path\", present = true }]"),
            "9: upstream[0].rule[0].operations: none of these operations has arguments",
        ),
        (
            format!("kind = \"http\"\n{}", rule("arguments = [{ pointer = \"/path\", present = true }]")),
            "10: upstream[0].rule[0].arguments[0].pointer: an upstream of kind \"http\"",
        ),
        (
            format!("kind = \"http\"\n{}", rule("annotations = [\"readOnly\"]")),
            "10: upstream[0].rule[0].annotations: an upstream of kind \"http\"",
        ),
        (format!("check_envelope = false\n{}", rule("")), "7: upstream[0].check_envelope: without reading messages"),
    ] {
        let problem = only_problem(&text);
        assert!(problem.contains(&format!("gateway.toml:{expected}")), "{text}: {problem}");
    }
    let scope = |keys: &str| format!("[[upstream.scope]]\nname = \"s\"\ntitle = \"S\"\n{keys}\n");
    let [read, graces] = ["allow = [\"tools/list\", \"tools/call:read_*\"]", "users = [\"grace\"]"].map(scope);
    for (text, expected) in [
        (
            format!("{read}{}", rule("operations = [\"tools/call:write\", \"prompts/*\"]")),
            "13: upstream[0].rule[0].operations: no scope of this upstream opens any of these operations",
        ),
        (
            rule("clients = [\"a\"]\nclient_kinds = [\"metadata_document\"]"),
            "9: upstream[0].rule[0].clients: none of these clients is of one of the client_kinds",
        ),
        (
            format!("allow_users = [\"grace\"]\n{}", rule("users = [\"ada\"]")),
            "10: upstream[0].rule[0].users: none of these users may hold a token",
        ),
        (
            format!("{graces}{}", rule("users = [\"ada\"]\nscopes = [\"s\"]")),
            "14: upstream[0].rule[0].scopes: none of its users may hold one of these scopes",
        ),
    ] {
        let problem = only_problem(&text);
        assert!(problem.contains(&format!("gateway.toml:{expected}")), "{text}: {problem}");
    }
    for text in [
        format!("{read}{}", rule("operations = [\"tools/call:write\", \"tools/call:*_all\"]")),
        format!("allow_users = [\"grace\"]\nallow_groups = [\"staff\"]\n{}", rule("users = [\"ada\"]")),
        format!("{graces}{}", rule("users = [\"Grace\"]\nscopes = [\"s\"]")),
        rule("clients = [\"a\"]\nclient_kinds = [\"registered\", \"metadata_document\"]"),
    ] {
        assert!(load(&format!("{GOOD}{text}"), &Overrides::default()).upstreams[0].rules.is_some(), "{text}");
    }
    let many = rule("").repeat(129);
    assert!(only_problem(&many).contains("an upstream has at most 128 rules"));
}

#[test]
fn rules_have_force_without_a_map() {
    let config = load(&format!("{GOOD}{}", rule("users = [\"ada\"]")), &Overrides::default());
    assert!(config.upstreams[0].rules.is_some());
}

/// The tables of ready-made scopes say what the program opens.
#[test]
fn the_page_about_rules_has_the_ready_made_scopes() {
    use mcpgate::policy::{MANAGE, MCP_SCOPES, READ_ONLY};
    let page = std::fs::read_to_string(crate::root().join("docs/rules.md")).expect("the page can be read");
    let rows: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).collect();
    let shown = |name: &str| rows.iter().find(|(own, _)| *own == name).map(|(_, opens)| opens.trim_end_matches(" |"));
    let opens = |allow: &[&str]| format!("`{}`", allow.join("`, `"));
    for scope in MCP_SCOPES {
        let more = if scope.name == MANAGE { ", and what `manage` lists" } else { "" };
        assert_eq!(shown(scope.name), Some(&*format!("{}{more}", opens(scope.allow))), "{}", scope.name);
    }
    let reading = rows.iter().find(|(name, _)| *name == "read_only`, kind `mcp").map(|(_, opens)| *opens);
    assert_eq!(reading, Some(&*format!("{} |", opens(READ_ONLY.allow))));
}

#[test]
fn the_examples_of_the_page_about_rules_load() {
    let page = std::fs::read_to_string(crate::root().join("docs/rules.md")).expect("the page can be read");
    let examples: Vec<_> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 11);
    for example in examples {
        let upstream = &load(&format!("{GOOD}{example}"), &Overrides::default()).upstreams[0];
        assert!(upstream.rules.is_some() != upstream.limits.is_some(), "{example}");
    }
}
