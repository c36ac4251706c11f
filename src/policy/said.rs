//! `Said`: what a tool has said of itself over time, and what of that counts for a consent.

use super::annotations::Annotations;
use crate::oauth::Timestamp;

/// What a tool has said of itself.
///
/// An upstream may call a tool destructive, and read-only once people have agreed to what only reads. So the most
/// dangerous that it ever said counts, unless the user consented after it began to say what it says now: what they were
/// shown then counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// What it said last.
    pub last: Annotations,
    /// The most dangerous that it has said.
    pub most_dangerous: Annotations,
    /// Since when it has said what it said last, without a break, if that is milder than the most dangerous; `None` if
    /// it is not, or if that is not known.
    pub milder_since: Option<Timestamp>,
}

impl Said {
    /// Returns it for a tool that has said nothing else.
    #[must_use]
    pub const fn only(says: Annotations) -> Self {
        Self { last: says, most_dangerous: says, milder_since: None }
    }

    /// Returns it after the tool has said this. Each change begins a new time.
    #[must_use]
    pub fn then(self, says: Annotations, at: Timestamp) -> Self {
        let most_dangerous = self.most_dangerous.most_dangerous(says);
        // A later time is one of a clock that was ahead.
        let goes_on = self.milder_since.filter(|since| says == self.last && *since <= at);
        let milder_since = (says != most_dangerous).then_some(goes_on.unwrap_or(at));
        Self { last: says, most_dangerous, milder_since }
    }

    /// Returns it after the tool has said this, where what it said last is not replaced yet.
    #[must_use]
    pub fn besides(self, says: Annotations) -> Self {
        let milder_since = self.milder_since.filter(|_| says == self.last);
        Self { most_dangerous: self.most_dangerous.most_dangerous(says), milder_since, ..self }
    }

    /// Returns it for a tool that says nothing, because it is not listed.
    #[must_use]
    pub fn silent(self) -> Self {
        Self { milder_since: None, ..self }
    }

    /// Returns what calls of it are judged by, for a user who consented at this moment.
    #[must_use]
    pub fn for_consent(self, at: Timestamp) -> Annotations {
        if self.milder_since.is_some_and(|since| since < at) { self.last } else { self.most_dangerous }
    }

    /// Returns what calls of it are judged by, for a user who consents now.
    #[must_use]
    pub fn for_new_consent(self) -> Annotations {
        if self.milder_since.is_some() { self.last } else { self.most_dangerous }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Said;
    use crate::oauth::Timestamp;
    use crate::policy::Annotations;

    const READS: Annotations = Annotations::of(Some(true), None, Some(false));
    const WRITES: Annotations = Annotations::of(Some(false), Some(false), Some(false));
    const DESTROYS: Annotations = Annotations::of(Some(false), Some(true), Some(false));

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    /// A tool that says one thing each ten seconds.
    fn saying(all: &[Annotations]) -> Said {
        let moments = (1..).map(|n| at(10 * n));
        let mut rest = all.iter().copied().zip(moments);
        let (first, _) = rest.next().unwrap();
        rest.fold(Said::only(first), |said, (says, at)| said.then(says, at))
    }

    #[test]
    fn what_is_milder_counts_for_a_consent_that_came_after_it() {
        let said = saying(&[DESTROYS, READS, READS]);
        assert_eq!(said, Said { last: READS, most_dangerous: DESTROYS, milder_since: Some(at(20)) });
        for (consent, expected) in [(0, DESTROYS), (15, DESTROYS), (20, DESTROYS), (21, READS), (25, READS)] {
            assert_eq!(said.for_consent(at(consent)), expected, "{consent}");
        }
        assert_eq!(said.for_new_consent(), READS);
        let steady = saying(&[READS, READS]);
        assert_eq!((steady, steady.for_consent(at(0))), (Said::only(READS), READS));
    }

    #[test]
    fn each_change_begins_a_new_time() {
        let back_and_forth = saying(&[DESTROYS, READS, DESTROYS, READS]);
        assert_eq!(back_and_forth.for_consent(at(25)), DESTROYS, "a consent while it said that it reads");
        assert_eq!(back_and_forth.for_consent(at(35)), DESTROYS);
        assert_eq!(back_and_forth.for_consent(at(41)), READS);
        assert_eq!(saying(&[DESTROYS, READS, DESTROYS]).for_new_consent(), DESTROYS);
        let step_by_step = saying(&[DESTROYS, WRITES, READS]);
        assert_eq!((step_by_step.for_consent(at(25)), step_by_step.for_consent(at(31))), (DESTROYS, READS));
        let gone = saying(&[DESTROYS, READS]).silent();
        assert_eq!((gone.for_consent(at(99)), gone.for_new_consent()), (DESTROYS, DESTROYS));
        assert_eq!(gone.then(READS, at(50)).milder_since, Some(at(50)), "it is listed again");
        let doubted = saying(&[WRITES, READS]).besides(DESTROYS);
        assert_eq!(doubted, Said { last: READS, most_dangerous: DESTROYS, milder_since: None });
        assert_eq!(saying(&[DESTROYS, READS]).besides(READS), saying(&[DESTROYS, READS]));
    }

    #[test]
    fn a_time_of_a_clock_that_was_ahead_is_replaced() {
        let ahead = saying(&[DESTROYS]).then(READS, at(1000));
        assert_eq!(ahead.then(READS, at(30)).milder_since, Some(at(30)));
    }

    proptest! {
        /// What counts is at least as dangerous as all that was said since the consent.
        #[test]
        fn a_consent_gains_nothing_by_what_is_said_after_it(
            told in prop::collection::vec(prop::sample::select(vec![READS, WRITES, DESTROYS]), 1..8),
            consent in 0..90_u64,
        ) {
            let counts = saying(&told).for_consent(at(consent));
            // What it said when the user consented, and all that it said later.
            let since = told.iter().enumerate().filter(|(n, _)| 10 * (u64::try_from(*n).unwrap() + 2) >= consent);
            for (_, says) in since {
                prop_assert_eq!(counts.most_dangerous(*says), counts);
            }
        }
    }
}
