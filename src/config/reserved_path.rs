//! Which public paths an operator may choose: simple ones that the gateway does not use, now or in a later version.

/// First path segments that belong to the gateway.
const OURS: [&str; 18] = [
    ".well-known",
    "account",
    "assets",
    "authorize",
    "consent",
    "favicon.ico",
    "healthz",
    "introspect",
    "login",
    "logout",
    "metrics",
    "readyz",
    "register",
    "revoke",
    "robots.txt",
    "setup",
    "switch-account",
    "token",
];

/// First path segments reserved for later versions, and what for: an upstream there would lose its address and all its
/// tokens. `api` is not among them, because services behind the gateway use it.
pub(super) const TO_COME: [(&str, &str); 7] = [
    ("oauth", "where users return from other authorization servers, if an upstream needs an account there"),
    ("connections", "the page with those accounts"),
    ("device", "where users enter the code of a device without a browser (RFC 8628)"),
    ("device_authorization", "where such a device requests that code (RFC 8628)"),
    ("par", "pushed authorization requests (RFC 9126)"),
    ("jwks", "public keys of the gateway (RFC 7517)"),
    ("dashboard", "pages for operators"),
];

/// Returns what is wrong with a public path, and what to write. First segments in `open` are allowed.
pub(super) fn path_fault(path: &str, open: &[&str]) -> Option<(&'static str, &'static str)> {
    let remedy = "write a path such as \"/mcp\" or \"/mcp/files\"";
    let Some(rest) = path.strip_prefix('/') else { return Some(("this does not begin with a slash", remedy)) };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    if path.len() > 255 || rest.split('/').any(|s| s.is_empty() || s == "." || s == ".." || !s.bytes().all(plain)) {
        let fault =
            "a public path has plain segments (letters, digits, -._~) between single slashes, and no slash at its end";
        return Some((fault, remedy));
    }
    let first = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    if open.contains(&&*first) {
        return None;
    }
    if TO_COME.iter().any(|(kept, _)| *kept == first) {
        return Some(("this path is reserved for a later version of the gateway", remedy));
    }
    OURS.contains(&first.as_str()).then_some(("the gateway uses this path itself", remedy))
}
