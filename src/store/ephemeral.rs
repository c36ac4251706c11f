//! What lives for minutes: pending authorizations, and whatever else somebody begins and comes back to. One table, one set
//! of methods, and room that is shared out by host, by site, and in all, for each kind apart.
//!
//! When there is no room for one more, the one that goes belongs to the holder with the most, so that nobody who holds one
//! loses it to somebody who begins many.

use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;

use super::{Insertion, Result, SessionHash, Update};
use crate::oauth::{ClientId, Digest, TenantId, Timestamp};

/// Where a request came from, as far as storage is shared out by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// The host: an IPv4 address, or the first address of an IPv6 /64.
    pub host: IpAddr,
    /// The first address of its site: a /24, or an IPv6 /48.
    pub site: IpAddr,
}

impl Source {
    /// Stands for all requests whose address is not known.
    pub const UNKNOWN: Self = Self { host: IpAddr::V4(Ipv4Addr::UNSPECIFIED), site: IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
}

/// By which one is found.
pub type EphemeralHash = Digest<Ephemeral>;

/// What binds one to the browser that began it: only its digest is kept.
#[derive(Debug)]
pub enum TransactionCookie {}

/// What it is. Each kind has room of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EphemeralKind {
    /// A pending authorization, or a visit to the account page.
    Interaction,
    /// An authorization request that its client sent ahead (RFC 9126). Nothing keeps one yet.
    PushedRequest,
}

impl EphemeralKind {
    /// Returns the word under which it is stored.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Interaction => "interaction",
            Self::PushedRequest => "pushed_request",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Interaction, Self::PushedRequest].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How one is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EphemeralKey {
    /// Whose.
    pub tenant: TenantId,
    /// What it is.
    pub kind: EphemeralKind,
    /// SHA-256 of the secret by which whoever comes back names it.
    pub hash: EphemeralHash,
}

/// How far one has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EphemeralStep {
    /// Nobody has signed in to it.
    LogIn,
    /// The user of a login session must decide.
    Consent,
    /// It was decided, or used. It stays until its end, so that a second use is told from one of something unknown.
    Ended,
}

/// Something that lives for minutes: all of it is here; whoever began it holds only secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ephemeral {
    /// How it is found.
    pub key: EphemeralKey,
    /// SHA-256 of the cookie of the browser that began it, if one did.
    pub browser: Option<Digest<TransactionCookie>>,
    /// The client that it is about, with which it goes.
    pub client: Option<ClientId>,
    /// What it is about, as its kind writes it.
    pub body: Option<String>,
    /// How far it has come.
    pub step: EphemeralStep,
    /// The login session it is bound to, from `Consent` on.
    pub session: Option<SessionHash>,
    /// From where it was begun.
    pub source: Source,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A step of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// How far it must have come.
    pub from: EphemeralStep,
    /// How far it has come then.
    pub to: EphemeralStep,
    /// The login session that it is bound to from then on; `None` leaves it bound as it is.
    pub session: Option<SessionHash>,
    /// What it is about from then on; `None` leaves it as it is.
    pub body: Option<String>,
}

impl Advance {
    /// What its user has decided ends.
    pub(super) const DECIDED: Self =
        Self { from: EphemeralStep::Consent, to: EphemeralStep::Ended, session: None, body: None };
}

impl Ephemeral {
    /// Returns it one step on.
    pub(super) fn advanced(&self, by: &Advance) -> Self {
        let (session, body) = (by.session.or(self.session), by.body.clone().or_else(|| self.body.clone()));
        Self { step: by.to, session, body, ..self.clone() }
    }
}

/// What a store does about what lives for minutes.
#[async_trait]
pub trait EphemeralStore {
    /// Keeps one; `Insertion::Exists` when one has its key, ended or not. Where `limits` leave no room for it, others of its
    /// kind go: of its host; else of the host that holds the most at its site; else of the host that holds the most at the
    /// site that holds the most. Of a host the oldest that has ended goes first, then the oldest.
    async fn put_ephemeral(&self, new: Ephemeral, limits: EphemeralLimits) -> Result<Insertion>;
    /// Finds one that has not expired, ended or not.
    async fn find_ephemeral(&self, key: &EphemeralKey, now: Timestamp) -> Result<Option<Ephemeral>>;
    /// Moves one to its next step (compare and set): of several who do, one gets `Update::Done`, so what may be used once is
    /// used by whoever ends it. One that comes to wait for the consent of a session's user takes its room from that session;
    /// others of the session go where `limits` leave none.
    async fn advance_ephemeral(
        &self,
        key: &EphemeralKey,
        advance: Advance,
        limits: EphemeralLimits,
        now: Timestamp,
    ) -> Result<Update>;
}

/// How much room those of one kind may take. The unit is one whose body is shorter than 1 KiB; each further KiB
/// counts as one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EphemeralLimits {
    /// Of one host, while nobody has signed in to them.
    pub of_host: u64,
    /// Of one site, while nobody has signed in to them.
    pub of_site: u64,
    /// Of one login session, while they wait for the consent of its user.
    pub of_session: u64,
    /// Of all hosts together, and as much again of all login sessions together.
    pub in_all: u64,
}

/// Who holds one, of which kind. Strangers and sessions do not compete with each other: nobody without an account can
/// push out what somebody has signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// Anybody, from there.
    Stranger(EphemeralKind, Source),
    /// The user of a login session.
    Session(EphemeralKind, SessionHash),
}

/// Whose room one takes, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) holder: Holder,
    /// In the unit of `EphemeralLimits`.
    pub(super) weight: u64,
}

impl Place {
    /// Returns the place of one as it stands.
    pub(super) fn of(one: &Ephemeral) -> Self {
        let length = one.body.as_ref().map_or(0, String::len);
        let weight = u64::try_from(length / 1024).unwrap_or(u64::MAX).saturating_add(1);
        let kind = one.key.kind;
        let session = one.session.filter(|_| one.step == EphemeralStep::Consent);
        Self {
            holder: session.map_or(Holder::Stranger(kind, one.source), |session| Holder::Session(kind, session)),
            weight,
        }
    }
}

impl Holder {
    /// Returns whether both compete for room.
    pub(super) fn competes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stranger(one, _), Self::Stranger(other, _)) | (Self::Session(one, _), Self::Session(other, _)) => {
                one == other
            }
            (Self::Stranger(..), Self::Session(..)) | (Self::Session(..), Self::Stranger(..)) => false,
        }
    }

    /// Returns whether both are of the same site; each session is a site of its own.
    pub(super) fn is_at_site_of(&self, other: &Self) -> bool {
        self.site() == other.site()
    }

    /// Returns what stands for all of its site.
    pub(super) fn site(self) -> Self {
        match self {
            Self::Stranger(kind, source) => Self::Stranger(kind, Source { host: source.site, ..source }),
            Self::Session(..) => self,
        }
    }

    /// Returns what it may hold.
    pub(super) const fn limit(&self, limits: &EphemeralLimits) -> u64 {
        match self {
            Self::Stranger(..) => limits.of_host,
            Self::Session(..) => limits.of_session,
        }
    }

    /// Returns what its site may hold.
    pub(super) const fn limit_of_site(&self, limits: &EphemeralLimits) -> u64 {
        match self {
            Self::Stranger(..) => limits.of_site,
            Self::Session(..) => limits.of_session,
        }
    }
}
