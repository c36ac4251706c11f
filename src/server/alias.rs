//! Paths that the gateway's own stand for: further paths of its endpoints, and those below the path of its public URL.

use http::Uri;
use http::uri::PathAndQuery;

use crate::config::PathAlias;

/// Puts the endpoint's own path in the place of an alias, before anything else looks at the path. The query stays.
pub(super) fn resolve(uri: &mut Uri, aliases: &[PathAlias]) {
    let alias = aliases.iter().find(|alias| alias.from == uri.path());
    if let Some(alias) = alias {
        replace_path(uri, alias.to);
    }
}

/// Takes the path of the public URL off the beginning of a path. Returns false, and changes nothing, if the path does
/// not lie below it.
pub(super) fn strip(uri: &mut Uri, public_path: &str) -> bool {
    let Some(rest) = uri.path().strip_prefix(public_path) else { return false };
    let rest = match rest {
        "" => "/".to_owned(),
        rest if rest.starts_with('/') => rest.to_owned(),
        _ => return false,
    };
    replace_path(uri, &rest);
    true
}

fn replace_path(uri: &mut Uri, path: &str) {
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = std::mem::take(uri).into_parts();
    // Path and query were both valid in a target before.
    parts.path_and_query = target.ok();
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_path_is_replaced_and_nothing_else_changes() {
        let alias = |from: &str, to| PathAlias { from: from.to_owned(), to, in_metadata: false };
        let aliases = [alias("/oauth/authorize", "/authorize"), alias("/api/oauth/token", "/token")];
        for (target, expected) in [
            ("/oauth/authorize", "/authorize"),
            ("/oauth/authorize?", "/authorize?"),
            ("/oauth/authorize?state=%2Foauth&x=/a?b", "/authorize?state=%2Foauth&x=/a?b"),
            ("https://gw.example/api/oauth/token?x", "https://gw.example/token?x"),
            ("/api/oauth/token/", "/api/oauth/token/"),
            ("/API/oauth/token", "/API/oauth/token"),
            ("/api//oauth/token", "/api//oauth/token"),
            ("/api/oauth/%74oken", "/api/oauth/%74oken"),
            ("/authorize", "/authorize"),
        ] {
            let mut uri: Uri = target.parse().unwrap();
            resolve(&mut uri, &aliases);
            assert_eq!(uri.to_string(), expected, "{target}");
        }
    }

    #[test]
    fn the_path_of_the_public_url_is_taken_off_and_nothing_else() {
        for (target, expected) in [
            ("/gw", Some("/")),
            ("/gw/", Some("/")),
            ("/gw/mcp?x=/gw", Some("/mcp?x=/gw")),
            ("https://h.example/gw/mcp/", Some("https://h.example/mcp/")),
            ("/gw//mcp", Some("//mcp")),
            ("/gwx", None),
            ("/GW/mcp", None),
            ("/%67w/mcp", None),
            ("/mcp", None),
            ("/", None),
        ] {
            let mut uri: Uri = target.parse().unwrap();
            assert_eq!(strip(&mut uri, "/gw").then(|| uri.to_string()).as_deref(), expected, "{target}");
            assert!(expected.is_some() || uri == target, "{target}");
        }
    }
}
