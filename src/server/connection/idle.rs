//! `Group`: connections that share a limit, and which of them has been waiting for its peer the longest.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::activity::Activity;

/// How many connections there are per candidate kept after a search of all, which spreads the cost of that search.
const LOOKED_AT_PER_CANDIDATE: usize = 64;
/// The number of candidates kept for a small group.
const FEWEST_CANDIDATES: usize = 16;
/// How long no search is made after one that found nobody.
const PAUSE: Duration = Duration::from_millis(20);

/// Connections that share a limit, by their number.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: HashMap<u64, Arc<Activity>>,
    /// The members that had been waiting longest at the last search, longest first, with since when. All others have
    /// been waiting for less, since nobody starts to wait in the past.
    candidates: VecDeque<(Instant, u64)>,
    pause_ends: Option<Instant>,
}

impl Group {
    pub(super) fn insert(&mut self, number: u64, activity: Arc<Activity>) {
        self.members.insert(number, activity);
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.members.remove(&number);
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns the connection that has been waiting for its peer the longest, and since when; `None` if none waits.
    pub(super) fn longest_idle(&mut self) -> Option<(Instant, u64)> {
        if let Some(found) = self.first_candidate() {
            return Some(found);
        }
        let now = Instant::now();
        if self.pause_ends.is_some_and(|end| now < end) {
            return None;
        }
        self.look();
        let found = self.first_candidate();
        self.pause_ends = found.is_none().then_some(now + PAUSE);
        found
    }

    /// Returns the first candidate that has been waiting all the time since it was found.
    fn first_candidate(&mut self) -> Option<(Instant, u64)> {
        while let Some((since, number)) = self.candidates.front().copied() {
            if self.members.get(&number).and_then(|activity| activity.idle_since()) == Some(since) {
                return Some((since, number));
            }
            self.candidates.pop_front();
        }
        None
    }

    fn look(&mut self) {
        let waits = self.members.iter().filter_map(|(number, activity)| Some((activity.idle_since()?, *number)));
        let mut waiting: Vec<_> = waits.collect();
        let kept = (waiting.len() / LOOKED_AT_PER_CANDIDATE).max(FEWEST_CANDIDATES);
        if kept < waiting.len() {
            waiting.select_nth_unstable(kept);
            waiting.truncate(kept);
        }
        waiting.sort_unstable();
        self.candidates = waiting.into();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::activity::Activity;
    use super::{FEWEST_CANDIDATES, Group};

    /// Makes a group whose members have waited longer the lower their number is.
    fn group(numbers: impl Iterator<Item = u64>) -> Group {
        let (mut group, begin) = (Group::default(), Instant::now() + Duration::from_secs(10));
        for number in numbers {
            let activity = Activity::new();
            activity.rests_since(begin + Duration::from_millis(number));
            group.insert(number, Arc::new(activity));
        }
        group
    }

    #[test]
    fn ds_05_the_longest_idle_is_found_again_and_again() {
        let mut group = group((0..1000).map(|n| n * 617 % 1000));
        for expected in 0..1000 {
            let (_, number) = group.longest_idle().unwrap();
            assert_eq!(number, expected);
            group.remove(number);
        }
        assert_eq!((group.longest_idle(), group.len()), (None, 0));
    }

    #[test]
    fn ds_05_who_has_asked_meanwhile_is_idle_no_more() {
        let mut group = group(0..100);
        assert_eq!(group.longest_idle().unwrap().1, 0);
        assert_eq!(group.candidates.len(), FEWEST_CANDIDATES);
        group.members[&0].begin_request();
        group.members[&1].rests_since(Instant::now() + Duration::from_secs(20));
        assert_eq!(group.longest_idle().unwrap().1, 2);
        (2..100).for_each(|number| group.remove(number));
        assert_eq!(group.longest_idle().unwrap().1, 1);
        group.members[&1].begin_request();
        assert_eq!(group.longest_idle(), None);
    }
}
