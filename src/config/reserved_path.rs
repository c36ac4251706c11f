//! Which public paths an operator may choose: plain ones that are not the gateway's own.

/// First segments that are ours at the origin root, now or in a later version.
const OURS: [&str; 23] = [
    ".well-known",
    "account",
    "assets",
    "authorize",
    "consent",
    "dashboard",
    "device",
    "device_authorization",
    "favicon.ico",
    "healthz",
    "introspect",
    "jwks",
    "login",
    "logout",
    "metrics",
    "par",
    "readyz",
    "register",
    "revoke",
    "robots.txt",
    "setup",
    "switch-account",
    "token",
];

/// Returns what is wrong with a public path, and what to write. First segments in `open` are kept for it.
pub(super) fn path_fault(path: &str, open: &[&str]) -> Option<(&'static str, &'static str)> {
    let remedy = "write a path such as \"/mcp\" or \"/mcp/files\"";
    let Some(rest) = path.strip_prefix('/') else { return Some(("this does not begin with a slash", remedy)) };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    if path.len() > 255 || rest.split('/').any(|s| s.is_empty() || s == "." || s == ".." || !s.bytes().all(plain)) {
        let fault =
            "a public path has plain segments (letters, digits, -._~) between single slashes, and none at its end";
        return Some((fault, remedy));
    }
    let first = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    (OURS.contains(&first.as_str()) && !open.contains(&&*first))
        .then_some(("this path is one of the gateway's own", remedy))
}
