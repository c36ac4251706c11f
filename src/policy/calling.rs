//! What names the call of a tool, by its name and by what the tool says of itself.

use super::annotations::{Annotation, Annotations};
use super::mask::Mask;
use super::opened::Matching;
use super::rules::{Rules, Standing};

impl Rules {
    /// Returns what names a call of a tool by a caller, unless it depends on what the tool says of itself.
    pub(super) fn whatever_it_says(&self, caller: &Standing, tool: &str) -> Option<Matching> {
        let found = self.calling(tool);
        (!self.depends_on_annotations(Some(caller), found.scopes)).then_some(found)
    }

    /// Returns what names a call of a tool whatever the tool says of itself, and the rules that may do so otherwise.
    pub(super) fn calling(&self, tool: &str) -> Matching {
        let found = self.calls.with(self.tools.of(tool));
        Matching { rules: found.rules.with(self.any), ..found }
    }

    /// Adds what names a tool by its annotations, and leaves out the rules that ask for others.
    pub(super) fn annotated(&self, mut found: Matching, says: Annotations) -> Matching {
        let mut accepted = Mask::default();
        for ((own, named), rules) in Annotation::ALL.into_iter().zip(self.annotated).zip(self.annotated_rules) {
            if says.has(own) {
                found = found.with(named);
                accepted = accepted.with(rules);
            }
        }
        found.rules = found.rules.and(accepted.with(Mask::ALL.without(self.over_annotations)));
        found
    }

    /// Returns whether what a tool says of itself can make a difference, where scopes of `opening` open it whatever it
    /// says: whether a rule or another scope depends on it.
    pub(super) fn depends_on_annotations(&self, caller: Option<&Standing>, opening: Mask) -> bool {
        let Some(caller) = caller else { return self.asks_for_annotations() };
        let by = self.by_annotations();
        let is_open = opening.has_any_of(caller.held) && caller.left_out.is_none();
        by.rules.has_any_of(caller.rules) || (!is_open && !by.scopes.is_empty())
    }

    /// Returns whether a scope or a rule chooses tools by their annotations.
    #[must_use]
    pub fn asks_for_annotations(&self) -> bool {
        self.by_annotations() != Matching::default()
    }

    fn by_annotations(&self) -> Matching {
        let over_annotations = Matching { scopes: Mask::default(), rules: self.over_annotations };
        self.annotated.into_iter().fold(over_annotations, Matching::with)
    }
}
