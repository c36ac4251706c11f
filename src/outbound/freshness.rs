//! How long an answer stays fresh: Cache-Control, or Expires relative to Date (RFC 9111 4.2.1).

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderName};
use time::PrimitiveDateTime;
use time::macros::format_description;

/// The freshness of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Freshness {
    /// Freshness in seconds; `None` when nothing was specified.
    pub(super) max_age: Option<u64>,
    /// Whether `no-store` or `no-cache` was present.
    pub(super) no_store: bool,
}

impl Freshness {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let mut freshness = Self::default();
        for value in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
            for directive in value.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
                let (name, argument) = directive.split_once('=').unwrap_or((&directive, ""));
                match name {
                    "no-store" | "no-cache" => freshness.no_store = true,
                    "max-age" => {
                        // RFC 9111 4.2.1: of several values the most restrictive; an unreadable one means stale.
                        let seconds = argument.trim_matches('"').parse().unwrap_or(0);
                        freshness.max_age = Some(freshness.max_age.map_or(seconds, |known| known.min(seconds)));
                    }
                    _ => {}
                }
            }
        }
        // RFC 9111 5.3: max-age overrides Expires, and an unreadable Expires counts as past.
        let expires = || text(EXPIRES).map(|end| text(DATE).and_then(|now| seconds_between(now, end)).unwrap_or(0));
        let age = text(AGE).and_then(|age| age.parse().ok()).unwrap_or(0);
        freshness.max_age = freshness.max_age.or_else(expires).map(|seconds| seconds.saturating_sub(age));
        freshness
    }
}

fn seconds_between(now: &str, end: &str) -> Option<u64> {
    let format =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    let read = |text| PrimitiveDateTime::parse(text, &format).ok();
    u64::try_from((read(end)? - read(now)?).whole_seconds()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(HeaderName, &str)]) -> (Option<u64>, bool) {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let Freshness { max_age, no_store } = Freshness::read(&headers);
        (max_age, no_store)
    }

    #[test]
    fn what_an_answer_says_of_its_age_is_read() {
        let (date, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:37 GMT");
        assert_eq!(read(&[]), (None, false));
        assert_eq!(read(&[(CACHE_CONTROL, "public, Max-Age=31536000")]), (Some(31_536_000), false));
        assert_eq!(read(&[(CACHE_CONTROL, "max-age=600"), (AGE, "100")]), (Some(500), false));
        assert_eq!(read(&[(CACHE_CONTROL, "max-age=60, max-age=10")]), (Some(10), false));
        assert_eq!(read(&[(CACHE_CONTROL, "max-age=x")]), (Some(0), false));
        assert_eq!(read(&[(CACHE_CONTROL, "no-store")]), (None, true));
        assert_eq!(read(&[(CACHE_CONTROL, "no-cache, max-age=5")]), (Some(5), true));
        assert_eq!(read(&[(DATE, date), (EXPIRES, later)]), (Some(60), false));
        assert_eq!(read(&[(DATE, later), (EXPIRES, date)]), (Some(0), false));
        assert_eq!(read(&[(DATE, date), (EXPIRES, "0")]), (Some(0), false));
        assert_eq!(read(&[(CACHE_CONTROL, "max-age=5"), (DATE, date), (EXPIRES, later)]), (Some(5), false));
    }
}
