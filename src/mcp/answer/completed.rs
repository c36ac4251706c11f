//! The values of a completion in an answer (MCP, completion: `CompleteResult`), kept until its message has ended: the
//! id, by which the request is known, may come last.

use std::borrow::Cow;
use std::ops::Range;

use super::cut::{Cut, Edit};
use super::{Offer, Shown};
use crate::strict_json::text;

/// The most values that an answer may have.
const MOST: usize = 100;

/// The values of one message.
#[derive(Debug, Default)]
pub(super) struct CompletedValues<'a> {
    /// The raw id of the message.
    pub(super) id: Option<&'a str>,
    values: Vec<(Range<usize>, Option<&'a str>)>,
    /// The values beyond [`MOST`], from the first to the last, and how many they are.
    beyond: Option<(Range<usize>, u64)>,
    /// The number of all that there are, not only in this answer.
    total: Option<(Range<usize>, u64)>,
}

impl<'a> CompletedValues<'a> {
    /// Takes the next value, which is raw JSON if it is a scalar.
    pub(super) fn add(&mut self, place: Range<usize>, scalar: Option<&'a str>) {
        if self.values.len() < MOST {
            self.values.push((place, scalar.filter(|raw| raw.starts_with('"'))));
            return;
        }
        let (range, count) = self.beyond.get_or_insert_with(|| (place.clone(), 0));
        (range.end, *count) = (place.end, *count + 1);
    }

    pub(super) fn set_total(&mut self, place: Range<usize>, scalar: Option<&'a str>) {
        self.total = scalar.and_then(|raw| raw.parse().ok()).map(|total| (place, total));
    }

    /// Forgets the values, because their message changes as a whole.
    pub(super) fn clear(&mut self) {
        *self = Self { id: self.id, ..Self::default() };
    }

    /// Returns what leaves out the values that are not shown. The total is less by as many.
    pub(super) fn edits(&self, shows: &mut impl FnMut(Offer<'_>) -> Shown) -> Vec<Edit> {
        let (mut cut, mut edits, mut gone) = (Cut::default(), Vec::new(), 0);
        let each = self.values.iter().map(|(place, raw)| (place, raw.and_then(text), 1));
        let beyond = self.beyond.iter().map(|(place, count)| (place, None, *count));
        for (place, value, count) in each.chain(beyond) {
            let stays = shows(Offer::Completion(self.id, value.as_deref())) != Shown::Nothing;
            gone += if stays { 0 } else { count };
            edits.extend(cut.next(place.clone(), stays).map(|range| (range, Cow::Borrowed(""))));
        }
        edits.extend(cut.end().map(|range| (range, Cow::Borrowed(""))));
        if let Some((place, total)) = self.total.as_ref().filter(|_| gone > 0) {
            edits.push((place.clone(), total.saturating_sub(gone).to_string().into()));
        }
        edits
    }
}
