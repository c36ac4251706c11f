//! In which parts a redirect URI differs from a registered one, in words for whoever has to correct it.

use super::RedirectUri;
use super::redirect_uri::loopback;

/// The parts of a redirect URI, each with its name for errors.
fn parts(uri: &str) -> [(&'static str, &str); 5] {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, "")),
        None => ("", rest),
    };
    // A colon inside of an IPv6 address is followed by its closing bracket.
    let (host, port) = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')).unwrap_or((authority, ""));
    [("scheme", scheme), ("host", host), ("port", port), ("path", path), ("query", query)]
}

/// Names the parts in which two redirect URIs differ: scheme, host, port, path or trailing slash, query.
fn differing(sent: &str, registered: &str) -> Vec<&'static str> {
    // RFC 8252 7.3: the port of a loopback URI may be any.
    let any_port = loopback(registered).is_some();
    let pairs = parts(sent).into_iter().zip(parts(registered));
    let differing = pairs.filter(|((name, sent), (_, known))| sent != known && !(*name == "port" && any_port));
    let named = differing.map(|((name, sent), (_, known))| {
        let is_slash = name == "path" && sent.trim_end_matches('/') == known.trim_end_matches('/');
        if is_slash { "trailing slash" } else { name }
    });
    named.collect()
}

/// Names the parts in which a redirect URI differs from the closest of several: `port`, `host and path`; empty without
/// any.
#[must_use]
pub fn redirect_difference(sent: &str, registered: &[RedirectUri]) -> String {
    let closest = registered.iter().map(|uri| differing(sent, uri.as_str())).min_by_key(Vec::len).unwrap_or_default();
    match closest.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::redirect_difference;
    use crate::oauth::RedirectUri;

    #[test]
    fn what_differs_from_the_closest_registered_uri_is_named() {
        let registered =
            ["https://c.example/cb", "http://127.0.0.1:8080/cb", "myapp://done", "https://d.example:8443/a?b=1"];
        let registered = registered.map(|uri| RedirectUri::from_stored(uri.to_owned()));
        for (sent, differs) in [
            ("http://c.example/cb", "scheme"),
            ("https://e.example/cb", "host"),
            ("https://c.example:8443/cb", "port"),
            ("https://c.example/callback", "path"),
            ("https://c.example/cb/", "trailing slash"),
            ("https://c.example/cb?x=1", "query"),
            ("https://d.example/a?b=1", "port"),
            ("http://127.0.0.1:1/callback", "path"),
            ("http://[::1]:1/cb", "host"),
            ("http://localhost:8080/cb", "host"),
            ("myapp://", "host"),
            ("https://e.example/callback", "host and path"),
            ("other:x", "scheme, host and path"),
        ] {
            assert_eq!(redirect_difference(sent, &registered), differs, "{sent}");
        }
        assert_eq!(redirect_difference("https://c.example/cb", &[]), "");
    }
}
