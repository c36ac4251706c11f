//! `ExcludedTools`: what a caller's grant leaves out, compiled for the scopes of one upstream.

use super::mask::Mask;
use crate::oauth::Exclusions;

/// What a caller's grant leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExcludedTools {
    pub(super) exclusions: Exclusions,
    pub(super) has_groups: bool,
    /// For each kind of tools, in the order of `ToolKind::ALL`, what the scopes hold that open it.
    pub(super) held: [Mask; 3],
}
