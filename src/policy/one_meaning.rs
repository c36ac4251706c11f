//! Paths and URIs that mean the same to every program, and how those are compared that deny rules name.

use std::borrow::Cow;

/// Separators, dots and NUL, encoded; and what is encoded twice.
const HIDING: [&[u8]; 5] = [b"%25", b"%2e", b"%2f", b"%5c", b"%00"];

/// HS-11: Returns whether upstreams get requests with this method of HTTP.
#[must_use]
pub fn is_forwarded_method(method: &str) -> bool {
    // RFC 9110 9.3.6, 9.3.8: a tunnel, and an echo of the fields that the gateway adds.
    !matches!(method, "CONNECT" | "TRACE")
}

/// HS-14: Returns whether a path below an upstream's own has only one interpretation. The prefix was matched on raw
/// bytes, so the rest must not lead out of it when it is decoded (even twice), normalized or stripped of path
/// parameters.
#[must_use]
pub fn is_plain_path(path: &str) -> bool {
    let once = path.replace("%25", "%");
    let octets = decoded(&once);
    !path.contains('\\') && !hides(&once) && !has_overlong(&octets) && has_plain_segments(&octets)
}

/// Returns whether a URI means the same to every program: none can take it for one outside of the folder or host that a
/// pattern with wildcards names, by decoding it (even twice), normalising it (RFC 3986 5.2.4) or leaving something out.
pub(super) fn has_one_meaning(uri: &str) -> bool {
    let octets = decoded(uri);
    let Ok(text) = std::str::from_utf8(&octets) else { return false };
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    // WHATWG URL: tabs and line ends are removed, and a backslash may be a slash. Some programs remove more.
    let is_removed = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '\u{feff}');
    let parts = UriParts::of(uri);
    !uri.contains(is_removed)
        && !hides(uri)
        && !text.split(['/', '?', '#', ':']).any(is_dots)
        && has_plain_segments(&decoded(parts.path))
        && !(parts.is_web() && (parts.authority.contains('@') || parts.after.starts_with(['?', '#'])))
}

/// Returns whether a URI is written in the one form by which deny rules name it: with a scheme, as `file:///path`
/// (RFC 8089 allows others), and without a port that goes without saying (RFC 3986 6.2.3).
pub(super) fn is_in_usual_form(uri: &str) -> bool {
    let parts = UriParts::of(uri);
    if parts.scheme.eq_ignore_ascii_case("file") {
        return parts.has_authority && parts.authority.is_empty();
    }
    let Some(default) = parts.default_port() else { return !parts.scheme.is_empty() };
    let (host, port) = match parts.authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (parts.authority, None),
    };
    let is_usual = |port: &str| !port.is_empty() && !port.starts_with('0') && port != default;
    parts.has_authority && !host.is_empty() && !host.ends_with('.') && port.is_none_or(is_usual)
}

/// Returns a text as deny rules compare it: percent-encoded octets decoded (RFC 3986 2.1), in lower case. `None` if
/// that is not UTF-8, which programs read in different ways.
pub(super) fn comparable(text: &str) -> Option<String> {
    std::str::from_utf8(&decoded(text)).ok().map(str::to_lowercase)
}

/// Removes what some programs leave out: query, fragment, the parameters of segments, space around them and dots after
/// them, and slashes at the end.
pub(super) fn without_extras(text: &str) -> String {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    let name = |segment: &str| {
        let name = segment.split(';').next().unwrap_or_default();
        name.trim_start_matches(is_blank).trim_end_matches(|c| is_blank(c) || c == '.').to_owned()
    };
    let joined = path.split('/').map(name).collect::<Vec<_>>().join("/");
    match joined.trim_end_matches('/') {
        "" => "/".to_owned(),
        short => short.to_owned(),
    }
}

/// The parts of a URI (RFC 3986 3), as they are written.
struct UriParts<'a> {
    /// Empty if there is none.
    scheme: &'a str,
    has_authority: bool,
    authority: &'a str,
    /// Everything after the authority.
    after: &'a str,
    path: &'a str,
}

impl<'a> UriParts<'a> {
    fn of(uri: &'a str) -> Self {
        let (scheme, rest) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).unwrap_or(("", uri));
        let with_authority = rest.strip_prefix("//");
        let (authority, after) =
            with_authority.map_or(("", rest), |text| text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len())));
        let path = after.split(['?', '#']).next().unwrap_or_default();
        Self { scheme, has_authority: with_authority.is_some(), authority, after, path }
    }

    /// Returns the port that goes without saying, where programs agree on it.
    fn default_port(&self) -> Option<&'static str> {
        let is = |name: &str| self.scheme.eq_ignore_ascii_case(name);
        if is("http") || is("ws") {
            Some("80")
        } else if is("https") || is("wss") {
            Some("443")
        } else {
            None
        }
    }

    fn is_web(&self) -> bool {
        self.default_port().is_some()
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn hides(text: &str) -> bool {
    text.as_bytes().windows(3).any(|three| HIDING.iter().any(|code| three.eq_ignore_ascii_case(code)))
}

/// Returns whether there is a character in more bytes than it needs, which lenient programs decode (RFC 3629 3).
fn has_overlong(octets: &[u8]) -> bool {
    octets.windows(2).any(|two| matches!(two, [0xc0 | 0xc1, 0x80..=0xbf] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]))
}

/// Returns whether no segment of a path is `.` or `..`, or empty unless it is the last, without its parameters.
fn has_plain_segments(path: &[u8]) -> bool {
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        if matches!(name, b"." | b"..") || (name.is_empty() && segments.peek().is_some()) {
            return false;
        }
    }
    true
}

/// Decodes percent-encoded octets.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octet = after.get(..2).filter(|_| *first == b'%').and_then(|hex| {
            let hex = std::str::from_utf8(hex).ok().filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u8::from_str_radix(hex, 16).ok()
        });
        octets.push(octet.unwrap_or(*first));
        rest = if octet.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Cow::Owned(octets)
}

#[cfg(test)]
mod tests {
    use super::{has_one_meaning, is_in_usual_form, is_plain_path, without_extras};

    #[test]
    fn a_uri_that_leads_elsewhere_has_two_meanings() {
        for uri in [
            "file:///public/../etc/passwd",
            "file:///public/..",
            "file:///public/./a",
            "file:///public/%2e%2e/a",
            "file:///public/%2E./a",
            "file:///public/a%2fb",
            "file:///public/%252e%252e/a",
            "file:///public/..;x/a",
            "file:///public/..%3bx/a",
            "file:///public/..\\a",
            "file:///public/.\t./a",
            "file:///public/a\u{a0}",
            "file:///public/a?/../b",
            "file:///public/%c0%ae%c0%ae/a",
            "file:///public/%e0%80%ae/a",
            "file:///public/%ff",
            "x:..",
            // Joined to a folder, an absolute path takes its place.
            "file:///public//etc/passwd",
            "file:///public/;/etc/passwd",
            "file:////public/a",
            "https://elsewhere?.example.org/a",
            "https://elsewhere#.example.org/a",
            "https://h@elsewhere/a",
        ] {
            assert!(!has_one_meaning(uri), "{uri}");
        }
        for uri in [
            "file:///public/a..b/c.txt",
            "https://h:1/a?b=c#d",
            "https://h/a?b=//c",
            "db://t/%20x",
            "file:///ä",
            "file:///%C3%A4",
            "file:///a/",
            "postgres://user@h/db/t",
            "urn:a:b",
        ] {
            assert!(has_one_meaning(uri), "{uri}");
        }
    }

    #[test]
    fn a_uri_in_another_form_than_the_usual_one_is_known() {
        for uri in [
            "file:/a",
            "file:a",
            "FILE://localhost/a",
            "file://127.0.0.1/a",
            "/a",
            "//h/a",
            "a",
            "https://h:443/a",
            "http://h:80",
            "https://h:0444/a",
            "https://h:/a",
            "https://h./a",
            "https:h/a",
            "https:///h/a",
        ] {
            assert!(!is_in_usual_form(uri), "{uri}");
        }
        for uri in ["file:///a", "File:///a", "https://h/a", "https://h:80/a", "http://[::1]/a", "x://h:443/a", "urn:a"]
        {
            assert!(is_in_usual_form(uri), "{uri}");
        }
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_not_plain() {
        for path in [
            "/;x/admin",
            "/%3bx/admin",
            "/%253b/admin",
            "/a/;/;",
            "/;;/a",
            "/..%3b/a",
            "/..%253bx/a",
            "/%c0%afa",
            "/%25c0%25afa",
            "/%e0%80%afa",
            "/%f0%80%80%afa",
            "//a",
        ] {
            assert!(!is_plain_path(path), "{path}");
        }
        for path in
            ["", "/", "/a/", "/a/;v=1", "/;v=1", "/a;v=1/b", "/100%25", "/%e4", "/%c3%a4", "/a%3bb", "/...", "/a%"]
        {
            assert!(is_plain_path(path), "{path}");
        }
    }

    #[test]
    fn what_some_programs_leave_out_is_removed() {
        for (text, short) in [
            ("/a/", "/a"),
            ("/a/;v=1", "/a"),
            ("/a;v=1/b?c#d", "/a/b"),
            ("/a ", "/a"),
            ("/\ta. /b...", "/a/b"),
            ("/.git", "/.git"),
            ("/;v=1", "/"),
            ("/", "/"),
            ("file:///a/", "file:///a"),
        ] {
            assert_eq!(without_extras(text), short, "{text:?}");
        }
    }
}
