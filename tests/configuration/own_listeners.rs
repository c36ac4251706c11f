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
    // Connections keep the number of their listener, so the order in the file means nothing.
    let turned = load(&text(&[upstreams[2], upstreams[1]]), &Overrides::default());
    assert_eq!(turned.needs_restart(&load(&text(&upstreams), &Overrides::default())), Vec::<&str>::new());
}

#[test]
fn an_origin_or_address_that_cannot_be_is_reported_with_its_line() {
    for (keys, expected) in [
        ("public_url = \"https://gw.example\"", "9: upstream[0].public_url: this is the origin of the gateway itself"),
        ("public_url = \"http://gw.example:3001\"", "9: upstream[0].public_url: the public URL must be https"),
        ("public_url = \"https://gw.example:3001/a\"", "9: upstream[0].public_url: this is an origin: no path"),
        ("public_url = \"https://gw.example.:3001\"", "9: upstream[0].public_url: the host ends in a dot"),
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

#[test]
fn cf_05_where_no_listener_has_tls_each_is_on_this_machine_or_behind_a_load_balancer() {
    let up = Overrides { up: true, public_url: Some("http://localhost:8080".to_owned()), ..Overrides::default() };
    let text =
        |keys: &str| format!("[[upstream]]\nname = \"a\"\npath = \"/mcp\"\nurl = \"http://127.0.0.1:1/\"\n{keys}\n");
    let config = load(&text("public_url = \"http://localhost:3001\""), &up);
    assert_eq!(config.own_listeners[0].address.to_string(), "127.0.0.1:3001");
    for (keys, expected) in [
        ("public_url = \"http://b.example:3001\"", "5: upstream[0].public_url: the public URL must be https"),
        ("public_url = \"ftp://localhost:3001\"", "5: upstream[0].public_url: the public URL must be https"),
        ("public_url = \"https://localhost:3001\"", "5: upstream[0].public_url: the gateway's own public URL is plain"),
        (
            "public_url = \"http://localhost:3001\"\nlisten = \"0.0.0.0:3001\"",
            "6: upstream[0].listen: the public URL is plain http, and this address is open to the network",
        ),
    ] {
        let found = lines(&problems_of(&text(keys), &up));
        assert!(found.len() == 1 && found[0].contains(&format!("gateway.toml:{expected}")), "{keys}: {found:?}");
    }
    let off = |listen: &str| {
        let head = HEAD.replace("\"development\"", "\"off\"\ntrusted_proxies = [\"10.0.0.7\"]");
        let keys = format!("public_url = \"https://gw.example:3001\"\nlisten = \"{listen}\"");
        let config = load(&format!("{head}{}", text(&keys)), &Overrides::default());
        config.warnings().iter().filter(|warning| warning.starts_with("listen.tls is off")).count()
    };
    assert_eq!([off("127.0.0.1:3001"), off("0.0.0.0:3001")], [0, 1]);
}

#[test]
fn what_the_public_listener_or_all_listeners_answer_is_no_upstreams() {
    let of = |top: &str, keys: &str| {
        let text = text(&[keys]).replace("[listen]\n", &format!("{top}[listen]\n"));
        lines(&problems_of(&text, &Overrides::default()))
    };
    let own = "public_url = \"https://other.example\"\nlisten = \"127.0.0.1:3001\"";
    for host in ["Other.example", "other.example:443"] {
        let found = of(&format!("extra_hosts = [\"{host}\"]\n"), own);
        let expected =
            "gateway.toml:10: upstream[0].public_url: this is an origin of the gateway itself, by extra_hosts";
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }
    assert_eq!(of("extra_hosts = [\"other.example:8443\"]\n", own), Vec::<String>::new());
    for (health, fault) in [("/mcp", "listen.health_path has the same path"), ("/health", "")] {
        let text = text(&[own]).replace("[listen]\n", &format!("[listen]\nhealth_path = \"{health}\"\n"));
        let found = lines(&problems_of(&text, &Overrides::default()));
        assert_eq!(found.len(), usize::from(!fault.is_empty()), "{found:?}");
        assert!(found.iter().all(|found| found.contains(fault)), "{found:?}");
    }
}
