//! What the scopes of an upstream allow.

use mcpgate::config::Overrides;

use crate::{GOOD, load, only_problem};

fn scope(name: &str, keys: &str) -> String {
    format!("[[upstream.scope]]\nname = {name:?}\ntitle = \"T\"\n{keys}\n")
}

#[test]
fn tools_are_pinned_only_where_the_gateway_knows_them() {
    for (keys, expected) in [
        ("kind = \"http\"\npin = \"hold\"\n", "8: upstream[0].pin: an upstream of kind \"http\" has no tools"),
        ("check_envelope = false\npin = \"warn\"\n", "8: upstream[0].pin: without check_envelope the gateway does not"),
    ] {
        let problem = only_problem(keys);
        assert!(problem.contains(&format!("gateway.toml:{expected}")), "{keys}: {problem}");
        let off = keys.replace("hold", "off").replace("warn", "off");
        load(&format!("{GOOD}{off}"), &Overrides::default());
    }
}

#[test]
fn a_map_in_which_something_has_no_force_is_refused() {
    let list = scope("list", "allow = [\"tools/list\"]");
    for (text, expected) in [
        (
            scope("list", "allow = [\"tools/list\", \"tools/list@readOnly\"]"),
            "10: upstream[0].scope[0].allow[1]: this is not an annotation of tools",
        ),
        (scope("list", "allow = [\"tools list\"]"), "10: upstream[0].scope[0].allow[0]: this is not the name"),
        (scope("list", "allow = [\"ping\"]"), "10: upstream[0].scope[0].allow[0]: the handshake"),
        (scope("none", "allow = []"), "8: upstream[0].scope[0].name: this scope allows nothing"),
        (format!("{list}{}", scope("none", "")), "12: upstream[0].scope[1].name: this scope allows nothing"),
        (
            format!("{list}{}", scope("more", "includes = [\"lost\"]\nallow = [\"x\"]")),
            "14: upstream[0].scope[1].includes[0]: this is not among",
        ),
        (
            scope("self", "includes = [\"self\"]\nallow = [\"x\"]"),
            "10: upstream[0].scope[0].includes[0]: this scope includes the one that includes it",
        ),
        (format!("check_envelope = false\n{list}"), "7: upstream[0].check_envelope: without reading messages"),
        (
            format!("kind = \"http\"\n{list}"),
            "11: upstream[0].scope[0].allow[0]: this is not an HTTP method, or a method and a path",
        ),
        ("scopes = \"execute\"\nmanage = [\"x/y\"]\n".to_owned(), "8: upstream[0].manage: only scopes = \"mcp\""),
        ("scopes = \"mcp\"\nmanage = [\"x y\"]\n".to_owned(), "8: upstream[0].manage[0]: this is not the name"),
        ("scopes = \"mcp\"\nunknown_methods = \"x\"\n".to_owned(), "8: upstream[0].unknown_methods: this is not among"),
        ("unknown_methods = \"x\"\n".to_owned(), "7: upstream[0].unknown_methods: no scope of this upstream says"),
        (
            "kind = \"http\"\nunknown_methods = \"x\"\n".to_owned(),
            "8: upstream[0].unknown_methods: an upstream of kind",
        ),
        ("security_schemes = true\n".to_owned(), "7: upstream[0].security_schemes: no scope of this upstream says"),
        (
            "kind = \"http\"\nscopes = \"execute\"\nsecurity_schemes = true\n".to_owned(),
            "9: upstream[0].security_schemes: an upstream of kind \"http\" has no tools",
        ),
        ("kind = \"http\"\nscopes = \"mcp\"\n".to_owned(), "8: upstream[0].scopes: these scopes are for upstreams"),
        (format!("scopes = \"mcp\"\n{}", scope("none", "")), "9: upstream[0].scope[0].name: this scope allows nothing"),
    ] {
        let problem = only_problem(&text);
        assert!(problem.contains(&format!("gateway.toml:{expected}")), "{text}: {problem}");
    }
    let circle = format!("{}{}", scope("a", "includes = [\"b\"]"), scope("b", "includes = [\"a\"]\nallow = [\"x\"]"));
    let problems = crate::problems_of(&format!("{GOOD}{circle}"), &Overrides::default());
    let lines: Vec<_> = problems.iter().map(|problem| (problem.line, problem.key.as_str())).collect();
    assert_eq!(lines, [(Some(10), "upstream[0].scope[0].includes[0]"), (Some(14), "upstream[0].scope[1].includes[0]")]);
}

#[test]
fn without_allow_and_includes_there_is_no_map() {
    let config = load(&format!("{GOOD}{}", scope("all", "sensitive = true")), &Overrides::default());
    assert_eq!(config.upstreams[0].rules, None);
    let kept = format!("{GOOD}check_envelope = false\n{}", scope("all", ""));
    assert_eq!(load(&kept, &Overrides::default()).upstreams[0].rules, None);
}

#[test]
fn what_may_be_done_without_a_token_is_judged_and_limited() {
    for (text, expected) in [
        ("anonymous = [\"tools/list:a\"]\n", "7: upstream[0].anonymous[0]: names can follow"),
        ("kind = \"http\"\nanonymous = [\"tools/list\"]\n", "8: upstream[0].anonymous[0]: this is not an HTTP"),
        ("anonymous_per_minute = 5\n", "7: upstream[0].anonymous_per_minute: without anonymous, nothing is answered"),
        ("anonymous = [\"*\"]\ncheck_envelope = false\n", "8: upstream[0].check_envelope: without reading messages"),
    ] {
        let problem = only_problem(text);
        assert!(problem.contains(&format!("gateway.toml:{expected}")), "{text}: {problem}");
    }
    let most: String = (0..128).map(|n| scope(&format!("s{n}"), "allow = [\"x\"]")).collect();
    assert!(only_problem(&format!("anonymous = [\"x\"]\n{most}")).contains("has at most 127 scopes"));
    let upstream = |text: &str| load(&format!("{GOOD}{text}"), &Overrides::default()).upstreams.remove(0);
    assert!(upstream("").anonymous_limits.is_none());
    let open = upstream("anonymous = [\"x\"]\nanonymous_per_minute = 7\n");
    let of = |limit: &mcpgate::policy::CallLimit| (limit.rate.map(|rate| rate.per_minute), limit.at_once);
    let limits: Vec<_> = open.anonymous_limits.as_ref().expect("limits").all().iter().map(of).collect();
    assert_eq!(limits, [(Some(7), Some(16)), (Some(70), Some(64))]);
    assert!(open.rules.is_some_and(|rules| rules.anonymous().is_some()));
}

#[test]
fn presets_bring_their_scopes_and_their_map() {
    let names = |text: &str| {
        let config = load(&format!("{GOOD}{text}"), &Overrides::default());
        assert!(config.upstreams[0].rules.is_some(), "{text}");
        let names: Vec<_> = config.upstreams[0].scopes.iter().map(|scope| scope.name.as_str().to_owned()).collect();
        let names = names.join(" ");
        let defaults = &config.upstreams[0].default_scopes;
        (names, defaults.to_string())
    };
    let mcp = "mcp:tools:read mcp:tools:execute mcp:resources:read mcp:server:read mcp:server:manage";
    let ordered = "mcp:resources:read mcp:server:manage mcp:server:read mcp:tools:execute mcp:tools:read";
    let pair = |names: &str, defaults: &str| (names.to_owned(), defaults.to_owned());
    assert_eq!(names("scopes = \"mcp\"\n"), pair(mcp, ordered));
    let chosen = "scopes = \"mcp\"\ndefault_scopes = [\"mcp:tools:read\"]\n";
    assert_eq!(names(chosen), pair(mcp, "mcp:tools:read"));
    assert_eq!(names("scopes = \"execute\"\n"), pair("a:execute", "a:execute"));
    assert_eq!(names("kind = \"http\"\nscopes = \"execute\"\n"), pair("a:execute", "a:execute"));
    assert_eq!(names("scopes = \"read_only\"\n"), pair("read_only", "read_only"));
    assert_eq!(names("kind = \"http\"\nscopes = \"read_only\"\n"), pair("read_only", "read_only"));
    let more = scope("more", "allow = [\"x/y\"]\nincludes = [\"a:execute\"]");
    assert_eq!(names(&format!("scopes = \"execute\"\n{more}")), pair("a:execute more", "a:execute"));
}
