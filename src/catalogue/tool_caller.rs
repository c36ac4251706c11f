//! `ToolCaller`: whose calls are judged by what tools say of themselves.

use crate::policy::{Annotations, Said};
use crate::time::Timestamp;

/// A person, a service, or somebody without a token.
#[derive(Debug, Clone, Copy)]
pub struct ToolCaller<'a> {
    /// What the catalogue calls them, see [`super::person`].
    pub person: &'a str,
    /// When they were shown what they consented to; 0 if they never were.
    pub consented_at: Timestamp,
}

impl ToolCaller<'_> {
    /// Returns the more dangerous of what was said of a tool to two, as far as it counts for this consent.
    pub(super) fn judged_by(self, said: [Option<Said>; 2]) -> Annotations {
        let counting = said.into_iter().flatten().map(|said| said.for_consent(self.consented_at));
        counting.reduce(Annotations::most_dangerous).unwrap_or(Annotations::UNKNOWN)
    }
}
