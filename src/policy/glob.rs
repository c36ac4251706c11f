//! `NameGlob` and `PathGlob`: texts with wildcards, matched in linear time.

/// A name with wildcards: `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameGlob {
    /// What is between the wildcards; one piece if there are none.
    pieces: Box<[Box<str>]>,
}

/// A path or URI with wildcards: `*` stands for any characters but `/`, a last segment `**` for any rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathGlob {
    segments: Box<[NameGlob]>,
    is_open: bool,
}

/// What is known of everything that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GlobShape {
    /// The text before the first wildcard.
    pub(super) beginning: String,
    pub(super) rest: GlobRest,
}

/// What follows the text before the first wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GlobRest {
    /// There is no wildcard.
    Nothing,
    /// The wildcard stands for any rest.
    Anything,
    /// It depends; the last byte, if it is always the same.
    Some { last: Option<u8> },
}

impl NameGlob {
    pub(super) fn new(text: &str) -> Self {
        Self { pieces: text.split('*').map(Into::into).collect() }
    }

    /// Returns the text, if it has no wildcard.
    pub(super) fn literal(&self) -> Option<&str> {
        if let [only] = &*self.pieces { Some(only) } else { None }
    }

    pub(super) fn shape(&self) -> GlobShape {
        let (beginning, rest) = match &*self.pieces {
            [] => ("", GlobRest::Nothing),
            [only] => (&**only, GlobRest::Nothing),
            [first, rest @ ..] if rest.iter().all(|piece| piece.is_empty()) => (&**first, GlobRest::Anything),
            [first, .., last] => (&**first, GlobRest::Some { last: last.bytes().last() }),
        };
        GlobShape { beginning: beginning.to_owned(), rest }
    }

    /// Returns whether some text matches both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        match (self.literal(), other.literal()) {
            (Some(text), _) => other.matches(text),
            (_, Some(text)) => self.matches(text),
            // What is between the first and the last wildcard of each fits between the ends of both.
            (None, None) => {
                let ([first, .., last], [their_first, .., their_last]) = (&*self.pieces, &*other.pieces) else {
                    return false;
                };
                (first.starts_with(&**their_first) || their_first.starts_with(&**first))
                    && (last.ends_with(&**their_last) || their_last.ends_with(&**last))
            }
        }
    }

    /// Returns whether it matches all of `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return text.is_empty() };
        let Some((last, middle)) = rest.split_last() else { return **first == *text };
        let inner = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last));
        let Some(mut left) = inner else { return false };
        // The leftmost occurrence leaves the most to the pieces after it, so none is ever looked for again: each byte
        // is passed once.
        for piece in middle {
            let Some((_, after)) = left.split_once(&**piece) else { return false };
            left = after;
        }
        true
    }
}

impl PathGlob {
    /// Reads a path; `None` if `**` is anything but the last segment.
    pub(super) fn new(text: &str) -> Option<Self> {
        let (closed, is_open) = match (text, text.strip_suffix("/**")) {
            ("**", _) => return Some(Self { segments: Box::default(), is_open: true }),
            (_, Some(before)) => (before, true),
            (whole, None) => (whole, false),
        };
        let segments = closed.split('/').map(NameGlob::new).collect();
        (!closed.contains("**")).then_some(Self { segments, is_open })
    }

    pub(super) fn shape(&self) -> GlobShape {
        let mut beginning = String::new();
        for segment in &self.segments {
            beginning.push_str(&segment.shape().beginning);
            if segment.literal().is_none() {
                let last = self.segments.last().and_then(|last| last.pieces.last()?.bytes().last());
                return GlobShape { beginning, rest: GlobRest::Some { last: last.filter(|_| !self.is_open) } };
            }
            beginning.push('/');
        }
        if self.is_open {
            return GlobShape { beginning, rest: GlobRest::Anything };
        }
        beginning.pop();
        GlobShape { beginning, rest: GlobRest::Nothing }
    }

    /// Returns the text before its first wildcard.
    pub(super) fn beginning(&self) -> String {
        let mut beginning = String::new();
        for segment in &self.segments {
            beginning.push_str(segment.pieces.first().map(AsRef::as_ref).unwrap_or_default());
            if segment.literal().is_none() {
                return beginning;
            }
            beginning.push('/');
        }
        let has_more = self.is_open || self.segments.is_empty();
        if has_more { beginning } else { beginning.strip_suffix('/').unwrap_or_default().to_owned() }
    }

    /// Returns the same with the texts between its wildcards changed.
    pub(super) fn map(&self, change: impl Fn(&str) -> String) -> Self {
        let name =
            |name: &NameGlob| NameGlob { pieces: name.pieces.iter().map(|piece| change(piece).into()).collect() };
        Self { segments: self.segments.iter().map(name).collect(), is_open: self.is_open }
    }

    /// Returns what it matches with a slash at the end, without that slash: of `/a/**` and of `/a/`, `/a`.
    pub(super) fn without_last_slash(&self) -> Option<Self> {
        let (last, before) = self.segments.split_last()?;
        let segments = if self.is_open {
            (last.literal() != Some("")).then_some(&*self.segments)
        } else {
            let has_slash = last.literal() == Some("") && before.last().is_some_and(|name| name.literal() != Some(""));
            has_slash.then_some(before)
        };
        segments.map(|segments| Self { segments: segments.into(), is_open: false })
    }

    /// Returns whether it matches all of `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = Some(text);
        for segment in &self.segments {
            let Some(text) = rest else { return false };
            let (this, after) = text.split_once('/').map_or((text, None), |(this, after)| (this, Some(after)));
            if !segment.matches(this) {
                return false;
            }
            rest = after;
        }
        rest.is_some() == self.is_open
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{NameGlob, PathGlob};

    #[test]
    fn a_star_is_any_characters_of_a_name() {
        for (glob, text, matches) in [
            ("search_*", "search_", true),
            ("search_*", "search_web/x", true),
            ("search_*", "research_web", false),
            ("*", "", true),
            ("**", "x", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("add", "add", true),
            ("add", "Add", false),
            ("", "", true),
        ] {
            assert_eq!(NameGlob::new(glob).matches(text), matches, "{glob} {text}");
        }
    }

    #[test]
    fn a_star_stays_in_its_segment_and_two_are_the_rest() {
        for (glob, text, matches) in [
            ("file:///public/**", "file:///public/a/b", true),
            ("file:///public/**", "file:///public/", true),
            ("file:///public/**", "file:///public", false),
            ("file:///public/**", "file:///publicity/a", false),
            ("/reports/*", "/reports/1", true),
            ("/reports/*", "/reports/1/2", false),
            ("/reports/*/raw", "/reports/1/raw", true),
            ("/reports/*.pdf", "/reports/a.pdf", true),
            ("/reports", "/reports/", false),
            ("/**", "/", true),
            ("**", "anything", true),
        ] {
            assert_eq!(PathGlob::new(glob).unwrap().matches(text), matches, "{glob} {text}");
        }
        for bad in ["/a/**/b", "/a**", "**/a", "a/**b"] {
            assert_eq!(PathGlob::new(bad), None, "{bad}");
        }
    }

    /// The definition, tried in every way.
    fn by_definition(glob: &[u8], text: &[u8]) -> bool {
        match glob.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skipped| by_definition(rest, &text[skipped..])),
            Some((byte, rest)) => {
                text.split_first().is_some_and(|(first, left)| first == byte && by_definition(rest, left))
            }
        }
    }

    proptest! {
        #[test]
        fn a_name_matches_as_the_definition_says(glob in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(NameGlob::new(&glob).matches(&text), by_definition(glob.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn ds_11_no_pattern_takes_more_than_linear_time() {
        let text = "a".repeat(1 << 20);
        let begun = Instant::now();
        for glob in ["*a*a*a*a*a*a*a*a*b", "*aaaaaaaaaaaaaaaab*", "a*aab*aab*aab*c"] {
            assert!(!NameGlob::new(glob).matches(&text), "{glob}");
            assert!(!PathGlob::new(&format!("{glob}/x")).unwrap().matches(&text), "{glob}");
        }
        // Milliseconds; with backtracking, the age of the universe.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
