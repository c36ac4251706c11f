//! A `public_url` with a path.

use mcpgate::config::Overrides;

use crate::{GOOD, lines, load, problems_of};

fn with(url: &str) -> String {
    GOOD.replace("https://mcp.example.com", url)
}

#[test]
fn issuer_and_resources_have_the_path_and_origins_do_not() {
    for (written, path) in [
        ("https://apps.example/gw", "/gw"),
        ("https://APPS.example:443/gw/", "/gw"),
        ("https://apps.example/a/token", "/a/token"),
    ] {
        let config = load(&with(written), &Overrides::default());
        assert_eq!(config.public_url, format!("https://apps.example{path}"));
        assert_eq!(config.public_path, path);
        assert_eq!(config.upstreams[0].resource.as_str(), format!("https://apps.example{path}/mcp"));
        assert_eq!(config.own_origins(), ["https://apps.example"]);
        assert_eq!(config.warnings().iter().filter(|warning| warning.contains("public_url has a path")).count(), 1);
    }
    let config = load(&with("https://apps.example/"), &Overrides::default());
    assert_eq!((config.public_url.as_str(), config.public_path.as_str()), ("https://apps.example", ""));
    assert!(!config.warnings().iter().any(|warning| warning.contains("public_url has a path")));
    let shared = load(
        &with("https://apps.example/gw").replace("path = \"/mcp\"", "path = \"/mcp\"\nresource = \"/\""),
        &Overrides::default(),
    );
    assert_eq!(shared.upstreams[0].resource.as_str(), "https://apps.example/gw");
}

#[test]
fn a_path_that_could_be_read_in_two_ways_is_refused() {
    for url in [
        "https://apps.example/gw//",
        "https://apps.example/a//b",
        "https://apps.example/a/../b",
        "https://apps.example/%67w",
        "https://apps.example/g w",
        "https://apps.example/gw?x",
        "https://apps.example/gw#x",
        "https://me@apps.example/gw",
    ] {
        let found = lines(&problems_of(&with(url), &Overrides::default()));
        let is_named =
            found.iter().any(|found| found.contains("gateway.toml:1: public_url: the public URL is an origin"));
        assert!(is_named, "{url}: {found:?}");
    }
}
