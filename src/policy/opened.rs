//! `Opened`: by which scopes and rules a name is matched.

use super::glob::{GlobRest, GlobShape, NameGlob, PathGlob};
use super::mask::Mask;
use super::one_meaning::{comparable, has_one_meaning, is_in_usual_form, without_extras};

/// The scopes and rules that name an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Matching {
    pub(super) scopes: Mask,
    pub(super) rules: Mask,
}

impl Matching {
    pub(super) fn with(self, other: Self) -> Self {
        Self { scopes: self.scopes.with(other.scopes), rules: self.rules.with(other.rules) }
    }
}

/// What matches which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opened<G> {
    /// Patterns by the text before their first wildcard, in its order, so that a name is compared with few of them.
    beginnings: Vec<Beginning<G>>,
    /// Everything that is in it.
    any: Matching,
}

/// The patterns with the same text before their first wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Beginning<G> {
    text: Box<str>,
    /// The [`order`] of the text.
    order: u64,
    /// The place of the longest other one that this one begins with.
    shorter: Option<usize>,
    /// What names the text itself.
    exact: Matching,
    /// What names everything that begins with it.
    all: Matching,
    /// What names some of that.
    some: Vec<PartialGlob<G>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PartialGlob<G> {
    glob: G,
    /// The last byte of everything that it matches, if that is always the same.
    last: Option<u8>,
    by: Matching,
}

impl<G> Default for Opened<G> {
    fn default() -> Self {
        Self { beginnings: Vec::new(), any: Matching::default() }
    }
}

impl<G: Clone + PartialEq> Opened<G> {
    /// Returns everything that names something here.
    pub(super) fn any(&self) -> Matching {
        self.any
    }

    fn insert(&mut self, shape: GlobShape, glob: &G, by: Matching) {
        self.any = self.any.with(by);
        let Some(Beginning { exact, all, some, .. }) = self.beginning(&shape.beginning) else { return };
        match shape.rest {
            GlobRest::Nothing => *exact = exact.with(by),
            GlobRest::Anything => *all = all.with(by),
            GlobRest::Some { last } => {
                if let Some(same) = some.iter_mut().find(|other| other.glob == *glob) {
                    same.by = same.by.with(by);
                } else {
                    some.push(PartialGlob { glob: glob.clone(), last, by });
                }
            }
        }
    }

    /// Returns the patterns with this text before their first wildcard, which are none yet if it is new.
    fn beginning(&mut self, text: &str) -> Option<&mut Beginning<G>> {
        let place = self.count_up_to(text);
        let last =
            place.checked_sub(1).filter(|last| self.beginnings.get(*last).is_some_and(|last| *last.text == *text));
        if last.is_none() {
            self.begin(place, text);
        }
        self.beginnings.get_mut(last.unwrap_or(place))
    }

    /// Adds a text at its place. What it begins with comes before it, and what begins with it follows it at once.
    fn begin(&mut self, place: usize, text: &str) {
        let shorter = self.up_to(text).find(|(_, other)| text.starts_with(&*other.text)).map(|(place, _)| place);
        for later in self.beginnings.iter_mut().skip(place) {
            let is_longer = later.text.starts_with(text);
            later.shorter = match later.shorter {
                other if is_longer && other == shorter => Some(place),
                Some(other) if other >= place => Some(other + 1),
                other => other,
            };
        }
        let (exact, all) = (Matching::default(), Matching::default());
        let new = Beginning { text: text.into(), order: order(text), shorter, exact, all, some: Vec::new() };
        self.beginnings.insert(place, new);
    }

    /// Returns how many texts do not come after a name.
    fn count_up_to(&self, name: &str) -> usize {
        let own = order(name);
        self.beginnings.partition_point(
            |Beginning { text, order, .. }| {
                if *order == own { **text <= *name } else { *order < own }
            },
        )
    }

    /// Returns all that a name begins with, the longest first, and perhaps others before them.
    fn up_to(&self, name: &str) -> impl Iterator<Item = (usize, &Beginning<G>)> {
        // Everything in order between a text and a longer one that begins with it begins with it as well. So the last
        // one up to the name begins with all those that the name begins with.
        let last = self.count_up_to(name).checked_sub(1);
        let at = |place: usize| Some((place, self.beginnings.get(place)?));
        std::iter::successors(last.and_then(at), move |(_, beginning)| beginning.shorter.and_then(at))
    }

    /// Returns what names something exactly, and if `with_wildcards` also what does so with wildcards.
    fn find(&self, name: &str, with_wildcards: bool, matches: impl Fn(&G) -> bool) -> Matching {
        let (mut found, own) = (Matching::default(), order(name));
        for (_, beginning) in self.up_to(name) {
            if !beginning.begins(name, own) {
                continue;
            }
            let Beginning { text, exact, all, some, .. } = beginning;
            if text.len() == name.len() {
                found = found.with(*exact);
            }
            if with_wildcards {
                let last = name.as_bytes().last();
                let some = some.iter().filter(|one| one.last.is_none() || one.last.as_ref() == last);
                let some = some.filter(|one| matches(&one.glob));
                found = some.fold(found.with(*all), |found, one| found.with(one.by));
            }
        }
        found
    }
}

impl<G> Beginning<G> {
    /// Returns whether a name with this [`order`] begins with the text. Few texts are so long that they are compared.
    fn begins(&self, name: &str, order: u64) -> bool {
        let (text, name) = (self.text.as_bytes(), name.as_bytes());
        if text.len() > name.len() {
            return false;
        }
        let differing = self.order ^ order;
        match (text.get(ORDERED..), name.get(ORDERED..)) {
            (Some(text), Some(name)) => differing == 0 && name.starts_with(text),
            _ => usize::try_from(differing.leading_zeros()).is_ok_and(|same| same >= 8 * text.len()),
        }
    }
}

/// How many bytes of a text its [`order`] holds.
const ORDERED: usize = size_of::<u64>();

/// Returns a number that is lower for texts that come before others in their first eight bytes.
fn order(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let first = bytes.first_chunk().copied().unwrap_or_else(|| std::array::from_fn(|n| *bytes.get(n).unwrap_or(&0)));
    u64::from_be_bytes(first)
}

impl Opened<NameGlob> {
    pub(super) fn add(&mut self, glob: &NameGlob, by: Matching) {
        self.insert(glob.shape(), glob, by);
    }

    pub(super) fn of(&self, name: &str) -> Matching {
        self.find(name, true, |glob| glob.matches(name))
    }
}

impl Opened<PathGlob> {
    pub(super) fn add(&mut self, glob: &PathGlob, by: Matching) {
        self.insert(glob.shape(), glob, by);
    }

    /// Returns what names a URI; patterns with wildcards only name one that cannot mean another.
    pub(super) fn of(&self, uri: &str) -> Matching {
        self.find(uri, has_one_meaning(uri), |glob| glob.matches(uri))
    }
}

/// Paths or URIs that deny rules name. A server may read one that is written otherwise as the same, so these are
/// compared decoded, without case, and with and without what some programs leave out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DeniedPaths(Vec<(PathGlob, Mask)>);

impl DeniedPaths {
    pub(super) fn add(&mut self, glob: &PathGlob, rule: Mask) {
        let glob = glob.map(|text| comparable(text).unwrap_or_else(|| text.to_owned()));
        self.0.extend(glob.without_last_slash().map(|glob| (glob, rule)));
        self.0.push((glob, rule));
    }

    /// Returns the rules that name a URI: all of them, if it could mean another one.
    pub(super) fn of_uri(&self, uri: &str) -> Mask {
        if !(self.0.is_empty() || has_one_meaning(uri) && is_in_usual_form(uri)) {
            return self.all();
        }
        self.of(uri)
    }

    /// Returns all rules that are in it.
    pub(super) fn all(&self) -> Mask {
        self.0.iter().fold(Mask::default(), |all, (_, rule)| all.with(*rule))
    }

    /// Returns the rules that name a path or URI with one meaning.
    pub(super) fn of(&self, path: &str) -> Mask {
        if self.0.is_empty() {
            return Mask::default();
        }
        // Some programs decode twice.
        let Some(whole) = comparable(path) else { return self.all() };
        let Some(again) = comparable(&whole) else { return self.all() };
        let forms = [without_extras(&whole), without_extras(&again), again, whole];
        let is_named = |glob: &PathGlob| forms.iter().any(|form| glob.matches(form));
        self.0.iter().filter(|(glob, _)| is_named(glob)).fold(Mask::default(), |all, (_, rule)| all.with(*rule))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Matching, Opened, has_one_meaning};
    use crate::policy::glob::{NameGlob, PathGlob};
    use crate::policy::mask::Mask;

    /// What each of several patterns stands for.
    fn bit(index: usize) -> Matching {
        Matching { scopes: Mask::bit(index), rules: Mask::default() }
    }

    fn all(matching: impl Iterator<Item = bool>) -> Matching {
        let matching = matching.enumerate().filter(|(_, matches)| *matches);
        matching.fold(Matching::default(), |all, (index, _)| all.with(bit(index)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn a_name_is_found_by_every_pattern_that_matches_it(
            globs in prop::collection::vec("[ab*]{0,5}|[ab]{7,10}[*]?", 0..24),
            names in prop::collection::vec("[ab]{0,6}|[ab]{7,11}", 8),
        ) {
            let globs: Vec<_> = globs.iter().map(|glob| NameGlob::new(glob)).collect();
            let mut opened = Opened::<NameGlob>::default();
            globs.iter().enumerate().for_each(|(index, glob)| opened.add(glob, bit(index)));
            for name in names {
                prop_assert_eq!(opened.of(&name), all(globs.iter().map(|glob| glob.matches(&name))), "{}", name);
            }
        }

        #[test]
        fn a_uri_is_found_by_every_pattern_that_matches_it(
            globs in prop::collection::vec("[ab*/]{0,6}(/[*]{2})?|[*]{2}", 0..24),
            uris in prop::collection::vec("[ab/]{0,8}", 8),
        ) {
            let globs: Vec<_> = globs.iter().filter_map(|glob| PathGlob::new(glob)).collect();
            let mut opened = Opened::<PathGlob>::default();
            globs.iter().enumerate().for_each(|(index, glob)| opened.add(glob, bit(index)));
            for uri in uris.into_iter().filter(|uri| has_one_meaning(uri)) {
                prop_assert_eq!(opened.of(&uri), all(globs.iter().map(|glob| glob.matches(&uri))), "{}", uri);
            }
        }
    }
}
