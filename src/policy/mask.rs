//! `Mask`: a set of an upstream's scopes, or of its rules.

/// The most scopes, and the most rules, of an upstream: the bits of a `Mask`.
pub const MOST: usize = 128;

/// A set of scopes or rules, one bit each, in the order of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mask(u128);

impl Mask {
    pub(super) const ALL: Self = Self(u128::MAX);

    /// Returns the set of the one at `index`; nothing beyond [`MOST`].
    pub(super) fn bit(index: usize) -> Self {
        Self(u32::try_from(index).ok().and_then(|index| 1_u128.checked_shl(index)).unwrap_or(0))
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether something is in both.
    pub(super) fn has_any_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the indices in it, lowest first.
    pub(super) fn indices(self) -> impl Iterator<Item = usize> {
        (0..MOST).filter(move |index| self.has_any_of(Self::bit(*index)))
    }
}
