//! `Cache-Control` of upstreams' answers (RFC 9111 5.2). Each is for the token of its request, or for none, so no
//! shared cache may store it; the upstream decides what the caller's own cache may do.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};

pub(in crate::proxy) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PRIVATE: HeaderValue = HeaderValue::from_static("private");

/// Returns the `Cache-Control` with which an answer with these fields is forwarded.
pub(in crate::proxy) fn confine(headers: &HeaderMap) -> HeaderValue {
    // An unreadable directive might forbid anything.
    let Some(said) = directives(headers) else { return NO_STORE };
    let mut kept = String::new();
    let mut is_stored = true;
    for directive in said {
        let name = name(directive);
        // RFC 9111 3.5: these let a shared cache store the answer to a request with credentials. `private` with field
        // names would only protect those fields (5.2.2.7), so ours replaces it.
        if ["public", "s-maxage", "private"].iter().any(|dropped| name.eq_ignore_ascii_case(dropped)) {
            continue;
        }
        is_stored &= !name.eq_ignore_ascii_case("no-store");
        kept.push_str(if kept.is_empty() { "" } else { ", " });
        kept.push_str(directive);
    }
    match (is_stored, kept.is_empty()) {
        (true, true) => PRIVATE,
        (true, false) => HeaderValue::try_from(format!("private, {kept}")).unwrap_or(NO_STORE),
        (false, _) => HeaderValue::try_from(kept).unwrap_or(NO_STORE),
    }
}

/// Returns whether an answer may be used again for other requests, and other callers.
pub(in crate::proxy) fn is_for_all(headers: &HeaderMap) -> bool {
    let forbids = |directive: &&str| {
        ["no-store", "no-cache", "private"].iter().any(|word| name(directive).eq_ignore_ascii_case(word))
    };
    directives(headers).is_some_and(|said| !said.iter().any(forbids))
}

fn name(directive: &str) -> &str {
    directive.split('=').next().unwrap_or_default().trim()
}

/// Splits all fields into directives; `None` when they are malformed. A quoted argument may contain commas.
fn directives(headers: &HeaderMap) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    for value in headers.get_all(CACHE_CONTROL) {
        let mut rest = value.to_str().ok()?;
        while !rest.is_empty() {
            let end = end_of_first(rest)?;
            let (first, after) = rest.split_at_checked(end)?;
            found.extend(Some(first.trim()).filter(|directive| !directive.is_empty()));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
    }
    Some(found)
}

/// Returns where the first directive ends; `None` when a quoted string in it does not.
fn end_of_first(list: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (place, byte) in list.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return Some(place),
            _ => {}
        }
    }
    (!is_quoted).then_some(list.len())
}

#[cfg(test)]
mod tests {
    use super::{confine, is_for_all};
    use http::{HeaderMap, HeaderValue, header::CACHE_CONTROL};

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (CACHE_CONTROL, HeaderValue::from_bytes(v.as_bytes()).unwrap())).collect()
    }

    #[test]
    fn no_shared_cache_keeps_what_needed_a_token_and_the_rest_stays() {
        for (said, passed) in [
            (&[][..], "private"),
            (&[""], "private"),
            (&["public"], "private"),
            (&["public, max-age=60"], "private, max-age=60"),
            (&["Public , S-MaxAge=\"600\", max-age=60,must-revalidate"], "private, max-age=60, must-revalidate"),
            (&["s-maxage = 60"], "private"),
            (&["max-age=60", "s-maxage=600", "public"], "private, max-age=60"),
            (&["private"], "private"),
            (&["private=\"set-cookie, x\", max-age=5"], "private, max-age=5"),
            (&["no-cache=\"a, public\", immutable"], "private, no-cache=\"a, public\", immutable"),
            (&["no-store"], "no-store"),
            (&["no-store, public, max-age=0"], "no-store, max-age=0"),
            (&["NO-STORE"], "NO-STORE"),
            (&["x=\"no-store\""], "private, x=\"no-store\""),
            (&["x=\"\\\", public\", public"], "private, x=\"\\\", public\""),
            (&["x=\"never ends, no-store"], "no-store"),
            (&["max-age=60, \u{e9}"], "no-store"),
            (&[",, ,max-age=1,"], "private, max-age=1"),
        ] {
            assert_eq!(confine(&headers(said)), passed, "{said:?}");
        }
    }

    #[test]
    fn what_is_for_one_caller_is_told_from_what_is_for_all() {
        for (said, for_all) in [
            (&[][..], true),
            (&["max-age=60"], true),
            (&["public"], true),
            (&["private"], false),
            (&["no-store"], false),
            (&["max-age=60", "No-Cache"], false),
            (&["private=\"x\""], false),
            (&["x=\""], false),
        ] {
            assert_eq!(is_for_all(&headers(said)), for_all, "{said:?}");
        }
    }
}
