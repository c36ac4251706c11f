//! `ToolChanges`: which tools are judged or held otherwise than before, for callers who were shown them.

use std::collections::{HashMap, VecDeque};

use crate::policy::Said;

/// The most changes that are remembered.
const MOST: usize = 256;

/// What counts of a tool for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToolSnapshot {
    /// What it has said in the lists of the gateway's own client.
    pub said: Option<Said>,
    /// The hash of its definition, if that is pinned and the own client saw no other last.
    pub pinned: Option<[u8; 32]>,
}

/// A tool whose state is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolChange {
    /// The name that calls use.
    pub name: Box<str>,
    /// Its state before and after.
    pub states: [ToolSnapshot; 2],
}

/// The latest changes.
#[derive(Debug, Default)]
pub(super) struct ToolChanges {
    /// How many there were so far.
    count: u64,
    latest: VecDeque<ToolChange>,
}

impl ToolChanges {
    /// Notes all differences between two states of a catalogue. Returns how many changes there were so far.
    pub(super) fn note(
        &mut self,
        before: &HashMap<Box<str>, ToolSnapshot>,
        after: &HashMap<Box<str>, ToolSnapshot>,
    ) -> u64 {
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        for name in after.keys().chain(gone) {
            let states = [before, after].map(|states| states.get(name).copied().unwrap_or_default());
            if states[0] == states[1] {
                continue;
            }
            if self.latest.len() >= MOST {
                self.latest.pop_front();
            }
            self.latest.push_back(ToolChange { name: name.clone(), states });
            self.count += 1;
        }
        self.count
    }

    /// Returns the changes after the first `count`; `None` if not all of them are remembered.
    pub(super) fn since(&self, count: u64) -> Option<Vec<ToolChange>> {
        let missed = usize::try_from(self.count.saturating_sub(count)).ok()?;
        let first = self.latest.len().checked_sub(missed)?;
        Some(self.latest.range(first..).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, ToolChanges, ToolSnapshot};
    use crate::policy::{Annotations, Said};
    use std::collections::HashMap;

    fn states(tools: &[(&str, bool)]) -> HashMap<Box<str>, ToolSnapshot> {
        let state = |is_mild| {
            let said = if is_mild { Annotations::of(Some(true), None, None) } else { Annotations::UNKNOWN };
            ToolSnapshot { said: Some(Said::only(said)), pinned: None }
        };
        tools.iter().map(|(name, is_mild)| ((*name).into(), state(*is_mild))).collect()
    }

    #[test]
    fn what_is_new_gone_or_otherwise_is_a_change() {
        let mut changes = ToolChanges::default();
        let (before, after) =
            (states(&[("a", true), ("b", true), ("c", true)]), states(&[("a", true), ("b", false), ("d", true)]));
        assert_eq!(changes.note(&before, &after), 3);
        let mut names: Vec<_> = changes.since(0).unwrap().into_iter().map(|change| change.name).collect();
        names.sort();
        assert_eq!(names, ["b".into(), "c".into(), "d".into()]);
        assert_eq!(changes.note(&after, &after), 3);
        assert_eq!((changes.since(3).unwrap().len(), changes.since(2).unwrap().len()), (0, 1));
    }

    #[test]
    fn so_many_are_remembered() {
        let mut changes = ToolChanges::default();
        let (none, one) = (HashMap::new(), states(&[("a", true)]));
        for _ in 0..MOST {
            changes.note(&none, &one);
            changes.note(&one, &none);
        }
        let count = u64::try_from(MOST).unwrap();
        assert!(changes.since(count).is_some() && changes.since(count - 1).is_none() && changes.since(0).is_none());
    }
}
