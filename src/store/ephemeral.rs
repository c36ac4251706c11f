//! Ephemeral records, which live for minutes: pending authorizations, and other things that a browser or client comes
//! back to. One table and one set of methods; each kind has limits per host, per site and in total.
//!
//! When there is no room for one more, a record of the holder with the most is removed, so that nobody with one record
//! loses it to somebody who creates many.

use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;

use super::{Insertion, Result, SessionHash, Update};
use crate::oauth::{BrowserSecret, ClientId, Digest, TenantId, Timestamp};

/// Where a request came from, by which storage is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// The host: an IPv4 address, or the first address of an IPv6 /64.
    pub host: IpAddr,
    /// The first address of its site: a /24, or an IPv6 /48.
    pub site: IpAddr,
}

impl Source {
    /// Stands for all requests with an unknown address.
    pub const UNKNOWN: Self = Self { host: IpAddr::V4(Ipv4Addr::UNSPECIFIED), site: IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
}

/// The secret that names an ephemeral record.
pub type EphemeralSecret = BrowserSecret<Ephemeral>;
/// The hash that an ephemeral record is found by.
pub type EphemeralHash = Digest<Ephemeral>;

/// The type of the cookie that binds a record to the browser that created it; only its digest is stored.
#[derive(Debug)]
pub enum TransactionCookie {}

/// The value of that cookie.
pub type TransactionSecret = BrowserSecret<TransactionCookie>;

/// The kind of an ephemeral record. Each kind has its own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EphemeralKind {
    /// A pending authorization, or a visit to the account page.
    Interaction,
    /// A pushed authorization request (RFC 9126). Not used yet.
    PushedRequest,
    /// A client's assertion that was used (RFC 7523 3). It must stay until the assertion has expired.
    ClientAssertion,
    /// That somebody wants a client about which an operator has not decided.
    ClientRequest,
}

impl EphemeralKind {
    /// Returns the stored word for the kind.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Interaction => "interaction",
            Self::PushedRequest => "pushed_request",
            Self::ClientAssertion => "client_assertion",
            Self::ClientRequest => "client_request",
        }
    }

    /// Returns whether a record of this kind may be removed to make room. Otherwise a new one is refused.
    pub(super) const fn gives_way(self) -> bool {
        match self {
            Self::Interaction | Self::PushedRequest | Self::ClientRequest => true,
            Self::ClientAssertion => false,
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Interaction, Self::PushedRequest, Self::ClientAssertion, Self::ClientRequest]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// The key of an ephemeral record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EphemeralKey {
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The kind of record.
    pub kind: EphemeralKind,
    /// SHA-256 of the secret that identifies it.
    pub hash: EphemeralHash,
}

/// The step that a record has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EphemeralStep {
    /// Nobody has signed in yet.
    LogIn,
    /// The user of a login session must decide.
    Consent,
    /// It was decided or used. It is kept until it expires, so that a second use can be distinguished from an unknown
    /// secret.
    Ended,
}

/// An ephemeral record. The server has all of it; its creator only holds secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ephemeral {
    /// The key that it is found by.
    pub key: EphemeralKey,
    /// SHA-256 of the cookie of the browser that created it, if one did.
    pub browser: Option<Digest<TransactionCookie>>,
    /// The client that it is about; it is deleted with the client.
    pub client: Option<ClientId>,
    /// The content, in the form of its kind.
    pub body: Option<String>,
    /// The step that it has reached.
    pub step: EphemeralStep,
    /// The login session that it is bound to, from `Consent` on.
    pub session: Option<SessionHash>,
    /// Where it was created from.
    pub source: Source,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// A transition of a record to its next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The step that it must be at.
    pub from: EphemeralStep,
    /// The step that it moves to.
    pub to: EphemeralStep,
    /// The login session that it gets bound to; `None` for no change.
    pub session: Option<SessionHash>,
    /// The new content; `None` for no change.
    pub body: Option<String>,
}

impl Advance {
    /// The transition when the user has decided.
    pub(super) const DECIDED: Self =
        Self { from: EphemeralStep::Consent, to: EphemeralStep::Ended, session: None, body: None };
}

impl Ephemeral {
    /// Returns the record after a transition.
    pub(super) fn advanced(&self, by: &Advance) -> Self {
        let (session, body) = (by.session.or(self.session), by.body.clone().or_else(|| self.body.clone()));
        Self { step: by.to, session, body, ..self.clone() }
    }
}

/// The part of a store for ephemeral records.
#[async_trait]
pub trait EphemeralStore {
    /// Adds a record; `Insertion::Exists` if its key is taken, by an ended one too. If `limits` leave no room, others
    /// of its kind are removed: of its host; or of the host with the most at its site; or of the host with the most at
    /// the site with the most. Of a host the oldest ended record is removed first, then the oldest. A used assertion is
    /// never removed: without room for another, that one is refused (`Insertion::Full`).
    async fn put_ephemeral(&self, new: Ephemeral, limits: EphemeralLimits) -> Result<Insertion>;
    /// Finds a record that has not expired, even if it has ended.
    async fn find_ephemeral(&self, key: &EphemeralKey, now: Timestamp) -> Result<Option<Ephemeral>>;
    /// Lists the records of a kind that have not expired, the oldest first.
    async fn list_ephemerals(&self, tenant: &TenantId, kind: EphemeralKind, now: Timestamp) -> Result<Vec<Ephemeral>>;
    /// Moves a record to its next step (compare-and-set). Of several concurrent callers one gets `Update::Done`, so a
    /// single-use record is used by the caller who ends it. A record that moves to `Consent` counts against the
    /// session's limit; others of the session are removed if `limits` leave no room.
    async fn advance_ephemeral(
        &self,
        key: &EphemeralKey,
        advance: Advance,
        limits: EphemeralLimits,
        now: Timestamp,
    ) -> Result<Update>;
}

/// Limits on the records of one kind. The unit is a record with less than 1 KiB of content; each further KiB counts as
/// one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EphemeralLimits {
    /// For one host, while nobody has signed in to them.
    pub of_host: u64,
    /// For one site, while nobody has signed in to them.
    pub of_site: u64,
    /// For one login session, while they wait for the user's consent.
    pub of_session: u64,
    /// For all hosts together, and as much again for all login sessions together.
    pub in_all: u64,
}

/// Who holds a record, and of which kind. Strangers and sessions do not compete: nobody without an account can displace
/// what somebody has signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// Anybody from this source.
    Stranger(EphemeralKind, Source),
    /// The user of a login session.
    Session(EphemeralKind, SessionHash),
}

/// Whose limit a record counts against, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) holder: Holder,
    /// The size in the unit of `EphemeralLimits`.
    pub(super) weight: u64,
}

impl Place {
    /// Returns the place of a record at its current step.
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
    /// Returns whether two places count against the same total.
    pub(super) fn competes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stranger(one, _), Self::Stranger(other, _)) | (Self::Session(one, _), Self::Session(other, _)) => {
                one == other
            }
            (Self::Stranger(..), Self::Session(..)) | (Self::Session(..), Self::Stranger(..)) => false,
        }
    }

    /// Returns whether two places are at the same site; each session is its own site.
    pub(super) fn is_at_site_of(&self, other: &Self) -> bool {
        self.site() == other.site()
    }

    /// Returns the holder that stands for the whole site.
    pub(super) fn site(self) -> Self {
        match self {
            Self::Stranger(kind, source) => Self::Stranger(kind, Source { host: source.site, ..source }),
            Self::Session(..) => self,
        }
    }

    /// Returns the limit of this holder.
    pub(super) const fn limit(&self, limits: &EphemeralLimits) -> u64 {
        match self {
            Self::Stranger(..) => limits.of_host,
            Self::Session(..) => limits.of_session,
        }
    }

    /// Returns the limit of its site.
    pub(super) const fn limit_of_site(&self, limits: &EphemeralLimits) -> u64 {
        match self {
            Self::Stranger(..) => limits.of_site,
            Self::Session(..) => limits.of_session,
        }
    }
}
