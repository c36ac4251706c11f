//! Further paths of the gateway's endpoints.

use http::Uri;
use http::uri::PathAndQuery;

use crate::config::PathAlias;

/// Puts the endpoint's own path in the place of an alias, before anything else looks at the path. The query stays.
pub(super) fn resolve(uri: &mut Uri, aliases: &[PathAlias]) {
    let Some(alias) = aliases.iter().find(|alias| alias.from == uri.path()) else { return };
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{}?{query}", alias.to)),
        None => PathAndQuery::try_from(alias.to),
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
}
