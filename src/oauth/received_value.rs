//! `ReceivedValue`: a value of a refused request, in a form that the log may show. If it may be secret, only its length
//! and kinds of characters are shown: enough to recognise a value that was truncated, encoded twice or misplaced.

/// The parameters and members whose values may be shown. A code challenge is not among them: from a client that means
/// `plain`, it is the verifier.
const SHOWN: &[&str] = &[
    "Content-Encoding",
    "Content-Type",
    "Origin",
    "client_id",
    "client_name",
    "code_challenge_method",
    "grant_type",
    "grant_types",
    "parameter",
    "prompt",
    "redirect_uri",
    "redirect_uris",
    "resource",
    "response_mode",
    "response_type",
    "response_types",
    "scope",
    "token_endpoint_auth_method",
];

/// The most characters that are shown.
const LONGEST: usize = 200;

/// A received value and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedValue {
    name: &'static str,
    shown: String,
}

impl ReceivedValue {
    /// Takes the value of a parameter; its name and its form decide whether it may be shown.
    #[must_use]
    pub fn new(name: &'static str, value: &str) -> Self {
        let shown = if SHOWN.contains(&name) && !is_like_a_secret(value) { show(value) } else { describe(value) };
        Self { name, shown }
    }

    /// Returns the name of the parameter.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what may be shown of the value, in printable ASCII.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// How many acceptable values the log lists.
const LISTED: usize = 4;

/// Lists the first few acceptable values for the log.
pub(super) fn show_some(names: &[&str]) -> String {
    let mut shown: Vec<_> = names.iter().take(LISTED).map(|name| show(name)).collect();
    if names.len() > LISTED {
        shown.push(format!("{} more", names.len().saturating_sub(LISTED)));
    }
    shown.join(", ")
}

/// Escapes and shortens a text for the log. User name, password, query and fragment of URLs are left out.
pub fn show(text: &str) -> String {
    let cut = text.find(['?', '#']).unwrap_or(text.len());
    let (head, tail) = text.split_at_checked(cut).unwrap_or((text, ""));
    let mut shown = String::new();
    let mut rest = head;
    if let Some((scheme, after)) = head.split_once("//") {
        let end = after.find(['/', '\\']).unwrap_or(after.len());
        let (authority, path) = after.split_at_checked(end).unwrap_or((after, ""));
        if let Some((_, host)) = authority.rsplit_once('@') {
            escape(scheme, &mut shown);
            shown.push_str("//(user)@");
            escape(host, &mut shown);
            rest = path;
        }
    }
    escape(rest, &mut shown);
    if shown.len() > LONGEST {
        // The text is all ASCII, so it can be cut anywhere.
        shown.truncate(LONGEST);
        return format!("{shown}...({} bytes)", text.len());
    }
    match tail.chars().next() {
        Some(mark) => format!("{shown}{mark}({} bytes)", tail.len().saturating_sub(1)),
        None => shown,
    }
}

/// Keeps printable ASCII, escapes the rest by code point, and replaces what looks random by its length.
fn escape(text: &str, out: &mut String) {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_';
    for part in text.split_inclusive(is_end) {
        if out.len() > LONGEST {
            return;
        }
        let word = part.trim_end_matches(is_end);
        let end = part.strip_prefix(word).unwrap_or_default();
        if is_random(word) {
            out.push_str(&describe(word));
        } else {
            out.extend(word.chars().take(LONGEST + 1));
        }
        for c in end.chars() {
            match c {
                ' '..='~' => out.push(c),
                other => out.extend(other.escape_unicode()),
            }
        }
    }
}

/// Describes a text by its length and kinds of characters.
fn describe(text: &str) -> String {
    let all = |allowed: fn(u8) -> bool| text.bytes().all(allowed);
    let made_of = if text.is_empty() {
        return "empty".to_owned();
    } else if text.split('.').count() == 3 && text.starts_with("ey") {
        "like a JWT"
    } else if all(|b| b.is_ascii_digit()) {
        "digits"
    } else if all(|b| b.is_ascii_hexdigit()) {
        "hexadecimal"
    } else if all(|b| b.is_ascii_alphanumeric()) {
        "letters and digits"
    } else if all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        "base64url"
    } else if all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')) {
        "base64"
    } else if all(|b| b.is_ascii_graphic()) {
        "printable, without spaces"
    } else if text.is_ascii() {
        "with spaces or control characters"
    } else {
        "not ASCII"
    };
    format!("({} bytes, {made_of})", text.len())
}

/// The infixes of our own secrets, by kind.
const KINDS: [&str; 5] = ["_access_", "_refresh_", "_code_", "_secret_", "_session_"];

/// Length from which a run counts as random: that of the shortest code verifier and of a hash in base64url, and longer
/// than a UUID.
const RANDOM: usize = 43;

/// Returns whether a value looks like a misplaced secret: one of ours, or a JWT.
fn is_like_a_secret(text: &str) -> bool {
    KINDS.iter().any(|kind| text.contains(kind)) || text.contains("eyJ")
}

/// Returns whether a part of a value is a random run of characters other than one of our client ids.
fn is_random(part: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| part.as_bytes().iter().any(kind);
    let is_long = part.len() >= RANDOM && !part.contains("_client_");
    is_long && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::*;

    fn shown(name: &'static str, value: &str) -> String {
        ReceivedValue::new(name, value).shown().to_owned()
    }

    #[test]
    fn what_is_no_secret_is_shown_escaped_and_shortened() {
        for (value, expected) in [
            ("https://c.example/cb", "https://c.example/cb"),
            ("https://u:hunter2@c.example/cb", "https://(user)@c.example/cb"),
            ("https://c.example/cb?token=hunter2", "https://c.example/cb?(13 bytes)"),
            ("https://c.example/cb#hunter2", "https://c.example/cb#(7 bytes)"),
            ("https://\u{441}.example/\n", "https://\\u{441}.example/\\u{a}"),
            ("", ""),
        ] {
            assert_eq!(shown("redirect_uri", value), expected, "{value:?}");
        }
        let long = shown("redirect_uri", &format!("https://c.example/{}", "a".repeat(5000)));
        assert!(long.len() < 230 && long.ends_with("...(5018 bytes)"), "{long}");
        assert_eq!(
            shown("client_id", "mcp_client_0123456789abcdefghijABCDEFGHI"),
            "mcp_client_0123456789abcdefghijABCDEFGHI"
        );
        assert_eq!(shown("scope", "files:read files:write"), "files:read files:write");
    }

    #[test]
    fn lk_01_of_a_secret_there_is_only_its_form() {
        for (name, value, expected) in [
            ("code", "mcp_code_abc", "(12 bytes, base64url)"),
            ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "(43 bytes, base64url)"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", "(44 bytes, printable, without spaces)"),
            ("client_secret", "hunter2 ", "(8 bytes, with spaces or control characters)"),
            ("client_assertion", "eyJh.eyJi.c2ln", "(14 bytes, like a JWT)"),
            ("state", "", "empty"),
            ("password", "p\u{e4}ss", "(5 bytes, not ASCII)"),
            // A secret in the wrong place.
            ("client_id", "mcp_secret_0123456789", "(21 bytes, base64url)"),
            ("scope", "eyJhbGciOiJub25lIn0.e30.", "(24 bytes, like a JWT)"),
            ("resource", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "(43 bytes, base64url)"),
            (
                "redirect_uri",
                "https://c.example/dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk/a",
                "https://c.example/(43 bytes, base64url)/a",
            ),
        ] {
            assert_eq!(shown(name, value), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_one_short_line_of_printable_ascii(value in prop::collection::vec(proptest::char::any(), 0..600)) {
            let value: String = value.into_iter().collect();
            for name in ["redirect_uri", "scope", "state"] {
                let shown = shown(name, &value);
                assert!(shown.len() <= LONGEST + 30 && shown.bytes().all(|b| matches!(b, b' '..=b'~')), "{shown:?}");
            }
        }
    }
}
