//! `resource`: upstreams under one audience.

use mcpgate::config::{Config, Overrides};
use mcpgate::oauth::ScopeToken;

use crate::{lines, load, problems_of, up};

const HEAD: &str = "public_url = \"https://mcp.example.com\"\nlisten = { tls = \"development\" }\n";

/// Two upstreams, the first of MCP, with these keys.
fn two(first: &str, second: &str) -> String {
    let table = |name: &str, kind: &str, keys: &str| {
        format!(
            "[[upstream]]\nname = \"{name}\"\npath = \"/{name}\"\nkind = \"{kind}\"\nurl = \"http://[::1]:1/\"\n{keys}\n"
        )
    };
    format!("{HEAD}{}{}", table("mcp", "mcp", first), table("api", "http", second))
}

fn problems(first: &str, second: &str) -> Vec<String> {
    lines(&problems_of(&two(first, second), &Overrides::default()))
}

/// What users see of the scopes of each upstream, in the order of their paths: titles, and which of them opens what.
fn seen(config: &Config) -> Vec<String> {
    let of = |upstream: &mcpgate::config::UpstreamConfig| {
        let opens = |name: &ScopeToken| upstream.rules.as_ref().is_some_and(|rules| rules.opens_anything(name));
        let scopes = upstream.scopes.iter().map(|scope| {
            let mark = if opens(&scope.name) { "+" } else { "-" };
            format!("{mark}{} ({}: {})", scope.name.as_str(), scope.title, scope.description)
        });
        format!("{} {}: {}", upstream.name, upstream.resource.as_str(), scopes.collect::<Vec<_>>().join(", "))
    };
    config.upstreams.iter().map(of).collect()
}

#[test]
fn scopes_of_one_resource_are_one_catalogue_and_each_upstream_opens_its_own() {
    let first = "resource = \"/\"\nscopes = \"read_only\"\ndisplay_name = \"Shop\"\nrequired_scopes = [\"read_only\"]\n\
                 [[upstream.scope]]\nname = \"pay\"\ntitle = \"Pay\"\ndescription = \"Pay.\"\nsensitive = true\n\
                 users = [\"ada\"]\nallow = [\"tools/call:pay\"]";
    let second = "resource = \"/\"\nallow_users = [\"ada\"]\n[[upstream.scope]]\nname = \"read_only\"\nallow = [\"GET\"]\n\
                  [[upstream.scope]]\nname = \"export\"\ntitle = \"Export\"\nincludes = [\"read_only\"]\n\
                  allow = [\"POST /exports\"]";
    let config = load(&two(first, second), &Overrides::default());
    let read = "Read only: Read what it has, and use only those of its tools that change nothing.";
    assert_eq!(
        seen(&config),
        [
            format!("api https://mcp.example.com: +read_only ({read}), +export (Export: ), -pay (Pay: Pay.)"),
            format!("mcp https://mcp.example.com: +read_only ({read}), +pay (Pay: Pay.), +export (Export: )"),
        ]
    );
    for upstream in &config.upstreams {
        assert_eq!(
            (upstream.display_name.as_str(), upstream.default_scopes.to_string()),
            ("Shop", "read_only".to_owned())
        );
        assert_eq!(upstream.required_scopes.to_string(), "read_only");
        assert!(upstream.scopes.iter().all(|scope| scope.sensitive == (scope.name.as_str() == "pay")));
        let nobody = mcpgate::oauth::GroupSet::default();
        let all = mcpgate::oauth::ScopeSet::parse("read_only pay").unwrap();
        assert_eq!(upstream.holders.narrow("ada", &nobody, &all).map(|held| held.iter().count()), Some(2));
        assert_eq!(upstream.holders.narrow("eve", &nobody, &all), None);
    }
}

#[test]
fn a_ready_made_scope_is_shown_as_what_opens_more_whichever_comes_first() {
    let both = two("resource = \"/\"\nscopes = \"read_only\"", "resource = \"/\"\nscopes = \"read_only\"");
    let turned = both.replace("kind = \"mcp\"", "kind = \"x\"").replace("kind = \"http\"", "kind = \"mcp\"");
    for text in [both, turned.replace("kind = \"x\"", "kind = \"http\"")] {
        let config = load(&text, &Overrides::default());
        let shown: Vec<_> =
            config.upstreams.iter().flat_map(|up| &up.scopes).map(|scope| &*scope.description).collect();
        assert_eq!(shown, ["Read what it has, and use only those of its tools that change nothing."; 2]);
    }
}

#[test]
fn a_resource_is_the_origin_or_a_path_above_and_without_the_key_the_path_itself() {
    let of = |first: &str, second: &str| {
        let config = load(&two(first, second), &Overrides::default());
        let mut all: Vec<_> = config.upstreams.iter().map(|up| up.resource.as_str().to_owned()).collect();
        all.sort();
        all.into_iter().map(|all| all.replace("https://mcp.example.com", "")).collect::<Vec<_>>()
    };
    assert_eq!(of("", ""), ["/api", "/mcp"]);
    assert_eq!(of("resource = \"/\"", "resource = \"/\""), ["", ""]);
    assert_eq!(of("resource = \"/mcp\"", ""), ["/api", "/mcp"]);
    assert_eq!(of("resource = \"/\"", ""), ["", "/api"]);
    let inner = two("", "")
        .replace("\"/api\"", "\"/mcp/v1/api\"\nresource = \"/mcp\"")
        .replace("\"/mcp\"\nkind = \"mcp\"", "\"/mcp/v1\"\nresource = \"/mcp\"");
    assert!(load(&inner, &Overrides::default()).upstreams.iter().all(|up| up.resource.as_str().ends_with("/mcp")));
}

#[test]
fn what_belongs_to_the_resource_is_not_said_otherwise_in_another_upstream() {
    let shared = "resource = \"/\"\n";
    for (first, second, expected) in [
        ("display_name = \"A\"", "display_name = \"B\"", "upstream[1].display_name: line 9 says otherwise"),
        ("allow_users = [\"a\"]", "allow_users = [\"b\"]", "upstream[1].allow_users: line 9 says otherwise"),
        ("access_lifetime = \"1h\"", "access_lifetime = \"2h\"", "upstream[1].access_lifetime: line 9 says otherwise"),
        (
            "[[upstream.scope]]\nname = \"a\"\ntitle = \"A\"\nsensitive = true",
            "[[upstream.scope]]\nname = \"a\"\ntitle = \"B\"\nsensitive = false",
            "upstream[1].scope[0].title: line 11 says otherwise",
        ),
        (
            "[[upstream.scope]]\nname = \"a\"\ntitle = \"A\"\ngroups = [\"x\"]",
            "[[upstream.scope]]\nname = \"a\"\ngroups = [\"y\"]",
            "upstream[1].scope[0].groups: line 12 says otherwise",
        ),
        // The two lists admit together: either alone would be added to the other's.
        ("allow_users = [\"a\"]", "allow_groups = [\"b\"]", "upstream[1].allow_groups: line 9 says otherwise"),
        (
            "allow_users = [\"a\"]\nallow_groups = [\"b\"]",
            "allow_users = [\"a\"]",
            "upstream[1].allow_users: line 10 says otherwise",
        ),
        (
            "[[upstream.scope]]\nname = \"a\"\ntitle = \"A\"\nusers = [\"x\"]",
            "[[upstream.scope]]\nname = \"a\"\ngroups = [\"y\"]",
            "upstream[1].scope[0].groups: line 12 says otherwise",
        ),
        (
            "scopes = \"read_only\"",
            "[[upstream.scope]]\nname = \"a\"\ntitle = \"A\"",
            "upstream[1].name: the scopes of line 4, which has the same resource, say what they open",
        ),
        (
            "[[upstream.scope]]\nname = \"a\"\ntitle = \"A\"\nallow = [\"tools/list\"]",
            "scopes = \"read_only\"\n[[upstream.scope]]\nname = \"b\"\ntitle = \"B\"",
            "upstream[1].scope[0].name: this scope allows nothing",
        ),
        ("allow_users = [\"a b\"]", "", "upstream[0].allow_users[0]: this cannot be a login name"),
    ] {
        let found = problems(&format!("{shared}{first}"), &format!("{shared}{second}"));
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
        let most = if first.contains("sensitive") { 2 } else { 1 };
        assert_eq!(found.len(), most, "{found:?}");
        assert_eq!(problems(first, second).iter().filter(|problem| problem.contains("otherwise")).count(), 0);
    }
    let same =
        problems("resource = \"/\"\nallow_users = [\"a\", \"b\"]", "resource = \"/\"\nallow_users = [\"b\", \"a\"]");
    assert_eq!(same, Vec::<String>::new());
}

#[test]
fn a_resource_that_is_none_of_these_is_refused() {
    for (resource, expected) in [
        ("/shop", "the path of this upstream is not below it"),
        ("/ap", "the path of this upstream is not below it"),
        ("/api/", "a public path has plain segments"),
        ("https://mcp.example.com", "this does not begin with a slash"),
        ("", "this does not begin with a slash"),
    ] {
        let found = problems("", &format!("resource = \"{resource}\""));
        assert!(found.len() == 1 && found[0].contains("gateway.toml:14: upstream[1].resource: "), "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
    // A client that names the URL of `/mcp` would mean two things.
    let text = two("resource = \"/\"", "resource = \"/mcp\"").replace("\"/api\"", "\"/mcp/api\"");
    let found = lines(&problems_of(&text, &Overrides::default()));
    assert!(
        found.len() == 1
            && found[0].contains(":8: upstream[0].resource: the path of this upstream is the resource of line 14"),
        "{found:?}"
    );
}

#[test]
fn the_resource_of_the_command_lines_upstream_is_its_own() {
    let up = Overrides { upstream: Some("http://[::1]:2/mcp".to_owned()), ..up() };
    let text = |resource: &str| {
        format!(
            "[[upstream]]\nname = \"api\"\npath = \"/mcp/api\"\nkind = \"http\"\nurl = \"http://[::1]:1/\"\n\
             resource = \"{resource}\"\n"
        )
    };
    assert_eq!(
        lines(&problems_of(&text("/mcp"), &up)),
        ["gateway.toml:6: upstream[0].resource: this is the resource of the upstream of the command line, which \
             shares none; choose another one, or write that upstream into the file, too"]
    );
    assert_eq!(load(&text("/"), &up).upstreams.len(), 2);
}
