//! How the room for pending authorizations is shared out: by host, by site, and in all.
//!
//! When there is no room for one more, the one that goes belongs to the holder with the most, so that nobody who holds one
//! loses it to somebody who begins many.

use super::record::{Interaction, InteractionStep, Source};
use crate::oauth::TokenHash;

/// How much room pending authorizations may take. The unit is one whose request is shorter than 1 KiB; each further KiB
/// counts as one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingLimits {
    /// Of one host, while nobody has signed in to them.
    pub of_host: u64,
    /// Of one site, while nobody has signed in to them.
    pub of_site: u64,
    /// Of one login session, while they wait for the consent of its user.
    pub of_session: u64,
    /// Of all hosts together, and as much again of all login sessions together.
    pub in_all: u64,
}

/// Who holds a pending authorization. Strangers and sessions do not compete with each other: nobody without an account can
/// push out what somebody has signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// Anybody, from there.
    Stranger(Source),
    /// The user of a login session.
    Session(TokenHash),
}

/// Whose room a pending authorization takes, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) holder: Holder,
    /// In the unit of `PendingLimits`.
    pub(super) weight: u64,
}

impl Place {
    /// Returns the place of a pending authorization as it stands.
    pub(super) fn of(interaction: &Interaction) -> Self {
        let length = interaction.request.as_ref().map_or(0, String::len);
        let weight = u64::try_from(length / 1024).unwrap_or(u64::MAX).saturating_add(1);
        let session = interaction.session.filter(|_| interaction.step == InteractionStep::Consent);
        Self { holder: session.map_or(Holder::Stranger(interaction.source), Holder::Session), weight }
    }
}

impl Holder {
    /// Returns whether both compete for room.
    pub(super) const fn competes_with(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Stranger(_), Self::Stranger(_)) | (Self::Session(_), Self::Session(_)))
    }

    /// Returns whether both are of the same site; each session is a site of its own.
    pub(super) fn is_at_site_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stranger(one), Self::Stranger(other)) => one.site == other.site,
            (Self::Session(one), Self::Session(other)) => one == other,
            (Self::Stranger(_), Self::Session(_)) | (Self::Session(_), Self::Stranger(_)) => false,
        }
    }

    /// Returns what it may hold.
    pub(super) const fn limit(&self, limits: &PendingLimits) -> u64 {
        match self {
            Self::Stranger(_) => limits.of_host,
            Self::Session(_) => limits.of_session,
        }
    }

    /// Returns what its site may hold.
    pub(super) const fn limit_of_site(&self, limits: &PendingLimits) -> u64 {
        match self {
            Self::Stranger(_) => limits.of_site,
            Self::Session(_) => limits.of_session,
        }
    }
}
