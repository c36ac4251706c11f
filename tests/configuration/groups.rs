//! Groups, and who may hold a token.

use mcpgate::config::Overrides;
use mcpgate::oauth::{ClientId, GroupSet, ScopeSet};
use mcpgate::policy::{Item, RuleCaller};

use crate::{GOOD, load, only_problem};

#[test]
fn who_may_hold_a_token_is_said_by_name_and_by_group() {
    let text = format!(
        "{GOOD}allow_users = [\"Grace\"]\nallow_groups = [\"staff\"]\n\
         [[upstream.scope]]\nname = \"read\"\ntitle = \"T\"\n\
         [[upstream.scope]]\nname = \"harm\"\ntitle = \"T\"\ngroups = [\"admins\"]\nusers = [\"ada\"]\n\
         [[group]]\nname = \"Staff\"\nmembers = [\"ada\", \"bob\"]\n[[group]]\nname = \"empty\"\n"
    );
    let config = load(&text, &Overrides::default());
    let both = ScopeSet::parse("read harm").unwrap();
    let held = |user: &str| {
        let held = config.upstreams[0].holders.narrow(user, &GroupSet::default(), &both);
        held.map(|held| held.to_string())
    };
    assert_eq!(held("grace").as_deref(), Some("read"));
    assert_eq!(held("ada").as_deref(), Some("harm read"));
    assert_eq!(held("bob").as_deref(), Some("read"));
    assert_eq!(held("eve"), None);
    let members: Vec<_> = config.groups.iter().map(|(member, _)| member.as_str()).collect();
    assert_eq!(members, ["ada", "bob"]);
    assert!(load(GOOD, &Overrides::default()).upstreams[0].holders.are_all());
}

#[test]
fn a_list_that_admits_nobody_and_a_name_that_nobody_can_have_are_refused() {
    let scope = "[[upstream.scope]]\nname = \"read\"\ntitle = \"T\"\n";
    for (text, expected) in [
        ("allow_users = []\n".to_owned(), "7: upstream[0].allow_users: an empty list admits nobody"),
        ("allow_groups = []\n".to_owned(), "7: upstream[0].allow_groups: an empty list admits nobody"),
        (format!("{scope}groups = []\n"), "10: upstream[0].scope[0].groups: an empty list admits nobody"),
        (
            "allow_users = [\"a b\"]\nallow_groups = [\"x\"]\n".to_owned(),
            "7: upstream[0].allow_users[0]: this cannot be a login name",
        ),
        (
            "allow_groups = [\"x\", \"the staff\"]\n".to_owned(),
            "7: upstream[0].allow_groups[1]: this cannot be a group",
        ),
        (format!("{scope}users = [\"\"]\n"), "10: upstream[0].scope[0].users[0]: this cannot be a login name"),
        ("[[group]]\nname = \"a,b\"\n".to_owned(), "8: group[0].name: this cannot be a group"),
        ("[[group]]\nname = \"a\"\nmembers = [\"zo\u{eb}\"]\n".to_owned(), "9: group[0].members[0]: this cannot be"),
        (
            "[[group]]\nname = \"a\"\n[[group]]\nname = \"A\"\n".to_owned(),
            "10: group[1].name: there is another [[group]] with this name",
        ),
    ] {
        let problem = only_problem(&text);
        assert!(problem.contains(&format!("gateway.toml:{expected}")), "{text}: {problem}");
    }
}

#[test]
fn a_table_that_names_a_ready_made_scope_adds_to_it() {
    let text = format!(
        "{GOOD}scopes = \"mcp\"\n\
         [[upstream.scope]]\nname = \"mcp:tools:execute\"\nsensitive = true\nusers = [\"ada\"]\n\
         [[upstream.scope]]\nname = \"mcp:server:manage\"\ntitle = \"Manage it\"\nallow = [\"tools/call:admin_*\"]\n"
    );
    let config = load(&text, &Overrides::default());
    let upstream = &config.upstreams[0];
    let scope = |name: &str| upstream.scopes.iter().find(|scope| scope.name.as_str() == name).unwrap();
    let names: Vec<_> = upstream.scopes.iter().map(|scope| scope.name.as_str()).collect();
    let expected =
        ["mcp:tools:read", "mcp:tools:execute", "mcp:resources:read", "mcp:server:read", "mcp:server:manage"];
    assert_eq!(names, expected, "each once");
    assert_eq!(upstream.default_scopes.iter().count(), 5);
    let (execute, manage) = (scope("mcp:tools:execute"), scope("mcp:server:manage"));
    assert!(execute.sensitive && !manage.sensitive);
    assert!(!execute.title.is_empty() && !execute.description.is_empty(), "its own words stay");
    assert_eq!(manage.title, "Manage it");
    let asked = ScopeSet::parse("mcp:tools:read mcp:tools:execute").unwrap();
    let held = |user: &str| upstream.holders.narrow(user, &GroupSet::default(), &asked).unwrap().to_string();
    assert_eq!((held("ada").as_str(), held("eve").as_str()), ("mcp:tools:execute mcp:tools:read", "mcp:tools:read"));
    // What it opened by itself and what the table adds.
    let rules = upstream.rules.as_ref().unwrap();
    let opens = |scope: &str, tool: &str| {
        let caller = RuleCaller {
            client: &ClientId::parse("c").unwrap(),
            client_kind: None,
            user: "ada",
            groups: &GroupSet::default(),
            scopes: &ScopeSet::parse(scope).unwrap(),
        };
        rules.shows(&rules.standing(&caller), Item::Tool(tool))
    };
    assert!(opens("mcp:tools:execute", "add") && opens("mcp:server:manage", "admin_reset"));
    assert!(!opens("mcp:server:manage", "add"));
}

#[test]
fn only_a_ready_made_scope_needs_no_title_and_none_has_two_tables() {
    let scope = |name: &str| format!("[[upstream.scope]]\nname = \"{name}\"\nusers = [\"ada\"]\n");
    let twice = scope("mcp:tools:read").repeat(2);
    for (text, expected) in [
        (scope("read"), "8: upstream[0].scope[0].name: this scope has no title"),
        (format!("scopes = \"mcp\"\n{twice}"), "12: upstream[0].scope[1].name: this scope is listed twice"),
    ] {
        let problem = only_problem(&text);
        assert!(problem.contains(&format!("gateway.toml:{expected}")), "{text}: {problem}");
    }
}
