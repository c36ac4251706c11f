//! `Cut`: which bytes go when some of the elements of an array, or of the members of an object, are left out.

use std::borrow::Cow;
use std::ops::Range;

/// Bytes that are replaced, and by what.
pub(super) type Edit = (Range<usize>, Cow<'static, str>);

/// The elements of one array, or the members of one object, in their order.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// Where the last one ends that stays.
    kept: Option<usize>,
    /// Those left out since then.
    gone: Option<Range<usize>>,
}

impl Cut {
    /// Takes the next element. Returns the bytes that go before it.
    pub(super) fn next(&mut self, element: Range<usize>, stays: bool) -> Option<Range<usize>> {
        if stays {
            self.kept = Some(element.end);
            // With the comma after each, and the space up to the next.
            return self.gone.take().map(|gone| gone.start..element.start);
        }
        let start = self.gone.as_ref().map_or(element.start, |gone| gone.start);
        self.gone = Some(start..element.end);
        None
    }

    /// Ends the array. Returns the bytes that go at its end.
    pub(super) fn end(self) -> Option<Range<usize>> {
        // With the comma before each.
        self.gone.map(|gone| self.kept.unwrap_or(gone.start)..gone.end)
    }
}
