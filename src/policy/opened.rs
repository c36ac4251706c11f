//! `Opened`: by which scopes and rules a name is matched.

use std::collections::HashMap;

use super::glob::{NameGlob, PathGlob};
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
    exact: HashMap<Box<str>, Matching>,
    globs: Vec<(G, Matching)>,
    /// Everything that is in it.
    any: Matching,
}

impl<G> Default for Opened<G> {
    fn default() -> Self {
        Self { exact: HashMap::new(), globs: Vec::new(), any: Matching::default() }
    }
}

impl<G> Opened<G> {
    /// Returns everything that names something here.
    pub(super) fn any(&self) -> Matching {
        self.any
    }

    fn exactly(&self, name: &str) -> Matching {
        self.exact.get(name).copied().unwrap_or_default()
    }

    fn by_globs(&self, matches: impl Fn(&G) -> bool) -> Matching {
        let matching = self.globs.iter().filter(|(glob, _)| matches(glob));
        matching.fold(Matching::default(), |all, (_, found)| all.with(*found))
    }

    fn insert(&mut self, literal: Option<String>, glob: &G, by: Matching)
    where
        G: Clone + PartialEq,
    {
        self.any = self.any.with(by);
        if let Some(literal) = literal {
            let found = self.exact.entry(literal.into()).or_default();
            *found = found.with(by);
        } else if let Some((_, found)) = self.globs.iter_mut().find(|(other, _)| other == glob) {
            *found = found.with(by);
        } else {
            self.globs.push((glob.clone(), by));
        }
    }
}

impl Opened<NameGlob> {
    pub(super) fn add(&mut self, glob: &NameGlob, by: Matching) {
        self.insert(glob.literal().map(str::to_owned), glob, by);
    }

    pub(super) fn of(&self, name: &str) -> Matching {
        self.exactly(name).with(self.by_globs(|glob| glob.matches(name)))
    }
}

impl Opened<PathGlob> {
    pub(super) fn add(&mut self, glob: &PathGlob, by: Matching) {
        self.insert(glob.literal(), glob, by);
    }

    /// Returns what names a URI; patterns with wildcards only name one that cannot mean another.
    pub(super) fn of(&self, uri: &str) -> Matching {
        let exact = self.exactly(uri);
        if self.globs.is_empty() || !has_one_meaning(uri) {
            return exact;
        }
        exact.with(self.by_globs(|glob| glob.matches(uri)))
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
