//! The words that rows use for their states. They are words rather than 0 and 1, so that no single flipped bit turns
//! one into another.

use crate::oauth::ClientOrigin;
use crate::policy::Annotations;
use crate::store::EphemeralStep;

pub(super) const fn origin_word(origin: ClientOrigin) -> &'static str {
    match origin {
        ClientOrigin::Manual => "manual",
        ClientOrigin::Registered => "registered",
        ClientOrigin::MetadataDocument => "document",
    }
}

pub(super) fn parse_origin(word: &str) -> Option<ClientOrigin> {
    [ClientOrigin::Manual, ClientOrigin::Registered, ClientOrigin::MetadataDocument]
        .into_iter()
        .find(|origin| origin_word(*origin) == word)
}

pub(super) const fn status_word(disabled: bool) -> &'static str {
    if disabled { "disabled" } else { "enabled" }
}

pub(super) fn parse_disabled(word: &str) -> Option<bool> {
    [true, false].into_iter().find(|disabled| status_word(*disabled) == word)
}

pub(super) const fn step_word(step: EphemeralStep) -> &'static str {
    match step {
        EphemeralStep::LogIn => "log_in",
        EphemeralStep::Consent => "consent",
        EphemeralStep::Ended => "ended",
    }
}

pub(super) fn parse_step(word: &str) -> Option<EphemeralStep> {
    [EphemeralStep::LogIn, EphemeralStep::Consent, EphemeralStep::Ended]
        .into_iter()
        .find(|step| step_word(*step) == word)
}

/// Returns annotations as a number, a bit for each; the seal of the row covers it.
pub(super) fn annotations_number(says: Annotations) -> u32 {
    let bits = [says.read_only, says.destructive, says.open_world, says.is_known];
    bits.into_iter().zip([1, 2, 4, 8]).filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum()
}

pub(super) fn parse_annotations(number: u64) -> Option<Annotations> {
    let has = |bit| number & bit != 0;
    let says = || Annotations { read_only: has(1), destructive: has(2), open_world: has(4), is_known: has(8) };
    (number < 16).then(says)
}
