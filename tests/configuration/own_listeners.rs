//! `upstream.public_url` and `upstream.listen`: upstreams with an origin of their own.

use mcpgate::config::Overrides;

use crate::{lines, load, problems_of};

const HEAD: &str =
    "public_url = \"https://gw.example\"\n[listen]\ntls = \"development\"\naddress = \"127.0.0.1:8443\"\n";

/// Upstreams with these keys, the first from line 5, each of five lines.
fn text(upstreams: &[&str]) -> String {
    let table = |(index, keys): (usize, &&str)| {
        format!("[[upstream]]\nname = \"u{index}\"\nurl = \"http://127.0.0.1:1/\"\npath = \"/mcp\"\n{keys}\n")
    };
    format!("{HEAD}{}", upstreams.iter().enumerate().map(table).collect::<String>())
}

fn problems(upstreams: &[&str]) -> Vec<String> {
    lines(&problems_of(&text(upstreams), &Overrides::default()))
}

#[test]
fn an_origin_has_a_listener_and_the_same_path_may_be_at_each() {
    let upstreams = [
        "",
        "public_url = \"https://GW.example:3001/\"",
        "public_url = \"https://other.example\"\nlisten = \"[::1]:9443\"",
    ];
    let config = load(&text(&upstreams), &Overrides::default());
    let listeners: Vec<_> =
        config.own_listeners.iter().map(|own| format!("{} {}", own.public_url, own.address)).collect();
    assert_eq!(listeners, ["https://gw.example:3001 127.0.0.1:3001", "https://other.example [::1]:9443"]);
    let mut resources: Vec<_> = config.upstreams.iter().map(|upstream| upstream.resource.as_str()).collect();
    resources.sort_unstable();
    assert_eq!(resources, ["https://gw.example/mcp", "https://gw.example:3001/mcp", "https://other.example/mcp"]);
    let other = "https://other.example".to_owned();
    assert!(config.redirect_policy().own_origins.contains(&other), "no code goes there");
    assert!(!config.own_origins().contains(&other), "no form of ours comes from there");
    let two = "path = \"/mcp/b\"\npublic_url = \"https://gw.example:3001\"";
    let shared = text(&[upstreams[1], &two.replace("path = \"/mcp/b\"\n", "")]).replacen(
        "\"/mcp\"\npublic_url = \"https://gw.example:3001\"",
        &two[7..],
        1,
    );
    let config = load(&shared, &Overrides::default());
    assert_eq!((config.own_listeners.len(), config.upstreams.len()), (1, 2));
    let moved = load(&text(&[upstreams[0], upstreams[1]]), &Overrides::default());
    assert_eq!(config.needs_restart(&moved), Vec::<&str>::new(), "the listeners are the same");
    assert_eq!(config.needs_restart(&load(&text(&upstreams), &Overrides::default())), ["upstream.public_url"]);
}

#[test]
fn an_origin_or_address_that_cannot_be_is_reported_with_its_line() {
    for (keys, expected) in [
        ("public_url = \"https://gw.example\"", "9: upstream[0].public_url: this is the origin of the gateway itself"),
        ("public_url = \"http://gw.example:3001\"", "9: upstream[0].public_url: the public URL must be https"),
        ("public_url = \"https://gw.example:3001/a\"", "9: upstream[0].public_url: this is an origin: no path"),
        ("public_url = \"gw.example\"", "9: upstream[0].public_url: this is not a URL"),
        ("public_url = \"https://gw.example:8443\"", "9: upstream[0].public_url: another listener of the gateway uses"),
        ("public_url = \"https://a.example\"\nlisten = \"0.0.0.0:9090\"", "10: upstream[0].listen: another listener"),
        ("listen = \"0.0.0.0:3001\"", "9: upstream[0].listen: without a public_url of its own"),
    ] {
        let found = problems(&[keys]);
        assert!(found.len() == 1 && found[0].contains(&format!("gateway.toml:{expected}")), "{keys}: {found:?}");
    }
    let one = "public_url = \"https://gw.example:3001\"";
    for (other, expected) in [
        (
            "public_url = \"https://b.example:3001\"",
            "14: upstream[1].public_url: the listener of line 9 uses 127.0.0.1:3001",
        ),
        (
            "public_url = \"https://gw.example:3001\"\nlisten = \"[::1]:7\"",
            "15: upstream[1].listen: line 9 has the same origin",
        ),
        (one, "13: upstream[1].path: the upstream of line 8 has the same path"),
    ] {
        let found = problems(&[one, other]);
        assert!(found.iter().any(|found| found.contains(&format!("gateway.toml:{expected}"))), "{other}: {found:?}");
    }
}
