//! Groups, and who may hold a token.

use mcpgate::config::Overrides;
use mcpgate::oauth::{GroupSet, ScopeSet};

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
