//! Aliases: further paths of the gateway's endpoints.

use mcpgate::config::{Overrides, PathAlias};
use mcpgate::endpoints::ROUTES;

use crate::{GOOD, lines, load, only_problem, problems_of, up};

fn alias(from: &str, to: &str) -> String {
    format!("[[alias]]\nfrom = {from:?}\nto = {to:?}\n")
}

#[test]
fn an_alias_is_a_further_path_of_an_endpoint() {
    let mut text = GOOD.to_owned();
    for (from, to) in [
        ("/oauth/authorize", "/authorize"),
        ("/oauth/consent", "/authorize"),
        ("/api/oauth/token", "/token"),
        ("/oauth/register", "/register"),
        ("/api/oauth/revoke", "/revoke"),
        ("/oauth/introspect", "/introspect"),
        ("/security", "/account"),
    ] {
        text.push_str(&alias(from, to));
        assert!(ROUTES.iter().any(|route| route.path == to), "{to}");
    }
    let config = load(&text, &Overrides::default());
    assert_eq!(config.aliases.len(), 7);
    let first = PathAlias { from: "/oauth/authorize".to_owned(), to: "/authorize", in_metadata: false };
    assert_eq!(config.aliases[0], first);
    assert_eq!(load(GOOD, &Overrides::default()).aliases, []);
}

#[test]
fn an_alias_hides_nothing_that_the_gateway_or_an_upstream_answers() {
    let own = ROUTES.iter().map(|route| route.path.trim_end_matches('/').to_owned());
    let own = own.flat_map(|path| [path.to_ascii_uppercase(), format!("{path}/x")]).filter(|path| path.len() > 2);
    let others =
        ["/healthz", "/metrics", "/.well-known/oauth-protected-resource/mcp", "/.well-known/x", "/par", "/oauth"];
    let others = others.into_iter().chain(["/oauth/callback", "/OAuth/Callback", "/jwks", "/", "/x/", "x", "/a//b"]);
    for path in own.chain(others.map(str::to_owned)) {
        let found = only_problem(&alias(&path, "/token"));
        assert!(found.starts_with("gateway.toml:8: alias[0].from"), "{path}: {found}");
    }
    for (path, whose) in [("/mcp", "the upstream of line 5"), ("/MCP", "the upstream of line 5")] {
        assert!(only_problem(&alias(path, "/token")).contains(whose), "{path}");
    }
    let http = GOOD.replace("path = \"/mcp\"", "path = \"/api\"\nkind = \"http\"");
    let found = lines(&problems_of(&(http + &alias("/api/oauth/token", "/token")), &Overrides::default()));
    assert!(found.len() == 1 && found[0].contains("below that of the upstream of line 5"), "{found:?}");
    let health = GOOD.replace("tls = \"development\"", "tls = \"development\", health_path = \"/health\"");
    let found = lines(&problems_of(&(health + &alias("/health", "/token")), &Overrides::default()));
    assert!(found.len() == 1 && found[0].contains("listen.health_path has the same path"), "{found:?}");
    for overrides in [up(), Overrides { upstream: Some("http://127.0.0.1:1/mcp".to_owned()), ..up() }] {
        let found = lines(&problems_of(&alias("/mcp", "/token"), &overrides));
        assert!(found.len() == 1 && found[0].starts_with("gateway.toml:2: alias[0].from"), "{found:?}");
    }
}

#[test]
fn all_faults_of_aliases_are_reported_with_their_lines() {
    let text = [
        alias("/oauth/token", "/token"),
        alias("/oauth/token", "/consent"),
        alias("/token", "/.well-known/oauth-authorization-server"),
        alias("/mcp", "/login"),
        "[[alias]]\nfrom = \"/a\"\nto = \"/account\"\nin_metadata = true\n".to_owned(),
        "[[alias]]\nfrom = \"/b\"\nto = \"/token\"\nin_metadata = true\n".to_owned(),
        "[[alias]]\nfrom = \"/c\"\nto = \"/token\"\nin_metadata = true\n".to_owned(),
        "[[alias]]\n".to_owned(),
    ];
    let found = lines(&problems_of(&format!("{GOOD}{}", text.concat()), &Overrides::default()));
    let targets = "/account, /authorize, /introspect, /register, /revoke, /token";
    let expected = [
        "gateway.toml:11: alias[1].from: the alias of line 8 has the same path; choose another one".to_owned(),
        format!("gateway.toml:12: alias[1].to: no endpoint with this path can have an alias; write one of: {targets}"),
        "gateway.toml:14: alias[2].from: the gateway uses this path itself; write a path such as \"/oauth/authorize\""
            .to_owned(),
        format!("gateway.toml:15: alias[2].to: no endpoint with this path can have an alias; write one of: {targets}"),
        "gateway.toml:17: alias[3].from: the upstream of line 5 has the same path; choose another one".to_owned(),
        format!("gateway.toml:18: alias[3].to: no endpoint with this path can have an alias; write one of: {targets}"),
        "gateway.toml:22: alias[4].in_metadata: metadata does not name /account; remove it".to_owned(),
        "gateway.toml:30: alias[6].in_metadata: metadata already names the alias of line 26; keep one".to_owned(),
        "gateway.toml:31: alias[7].from: this key is missing; write a string".to_owned(),
        "gateway.toml:31: alias[7].to: this key is missing; write a string".to_owned(),
    ];
    assert_eq!(found, expected);
    let many: String = (0..33).map(|n| alias(&format!("/oauth/{n}"), "/token")).collect();
    assert!(only_problem(&many).contains("more than 32"));
}
