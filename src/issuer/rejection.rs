//! Why a use case refused, and how the refusal may be sent: as a page, a redirect, or an OAuth error response.

use std::fmt;

use crate::oauth::{ClientLocation, Lifetime, OAuthError, VerifiedRedirect};

/// A link on a page of ours to a client, which the person who reads the page may follow.
#[derive(Debug)]
pub struct ClientLink {
    /// The complete Location that it leads to.
    pub location: ClientLocation,
    /// Where that leads: a host, or the scheme of a private-use URI.
    pub target: String,
    /// Whether `target` is a scheme.
    pub is_scheme: bool,
}

impl ClientLink {
    /// Makes the link to a location at a client's redirect URI.
    pub(super) fn to(redirect: &VerifiedRedirect, location: ClientLocation) -> Self {
        let uri = redirect.uri();
        Self { location, target: uri.display_host(), is_scheme: uri.private_use_scheme().is_some() }
    }
}

/// Why an authorization step was refused.
pub enum AuthorizeRejection {
    /// Shown as a page on our own origin, status 400 (503 when `code` is `temporarily_unavailable`): never a redirect.
    Page(OAuthError),
    /// Sent to the client by a redirect to this complete Location.
    Redirect(ClientLocation),
    /// Meant for a client that the user does not know yet: shown as a page with a link to the client, never a redirect.
    Unsolicited {
        /// What is wrong with the request.
        error: OAuthError,
        /// The link to the client.
        link: ClientLink,
    },
    /// Too many requests: 429 with `Retry-After`.
    Throttled(Lifetime),
    /// This browser's own transaction, but it was not finished in time: a page with a link that starts it again.
    Expired {
        /// How long the transaction was open.
        after: Lifetime,
        /// Path and query on our own origin.
        again: String,
    },
    /// This browser's own transaction, but no operator decided about its client in time: a page with links that start
    /// it again, and back to the client.
    WaitedInVain {
        /// How long the transaction was open.
        after: Lifetime,
        /// Path and query on our own origin.
        again: String,
        /// The link to the client, with an error.
        back: ClientLink,
    },
    /// Approved, but no operator lets the client in: nothing is decided, and the page says so.
    NotApproved,
    /// The transaction is unknown, already removed, or another browser's: a page that says to start again.
    Gone,
    /// This browser's own transaction, but it was already decided: a page that says so.
    Finished,
    /// Approved with none of the requested scopes: nothing is decided, and the page is shown again.
    NothingApproved,
    /// Approved without a scope that is part of an approved one: nothing is decided, and the page is shown again.
    PartLeftOut,
    /// Approved, but more is left out than can be stored: nothing is decided, and the page is shown again.
    TooMuchLeftOut,
    /// The store cannot answer: 503 with `Retry-After`.
    Unavailable,
    /// What the user ended has ended, but that is not stored yet and would be lost by a restart: 503.
    NotStored,
}

impl fmt::Debug for AuthorizeRejection {
    /// Leaves out Location and query, which carry the client's state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(error) => f.debug_tuple("Page").field(error).finish(),
            Self::Redirect(_) => f.write_str("Redirect(..)"),
            Self::Unsolicited { error, link } => {
                f.debug_struct("Unsolicited").field("error", error).field("link", link).finish()
            }
            Self::Expired { after, .. } => f.debug_struct("Expired").field("after", after).finish_non_exhaustive(),
            Self::WaitedInVain { after, back, .. } => {
                let mut shown = f.debug_struct("WaitedInVain");
                shown.field("after", after).field("back", back).finish_non_exhaustive()
            }
            Self::NotApproved => f.write_str("NotApproved"),
            Self::Throttled(wait) => f.debug_tuple("Throttled").field(wait).finish(),
            Self::Gone => f.write_str("Gone"),
            Self::Finished => f.write_str("Finished"),
            Self::NothingApproved => f.write_str("NothingApproved"),
            Self::PartLeftOut => f.write_str("PartLeftOut"),
            Self::TooMuchLeftOut => f.write_str("TooMuchLeftOut"),
            Self::Unavailable => f.write_str("Unavailable"),
            Self::NotStored => f.write_str("NotStored"),
        }
    }
}

/// Why `/token`, `/revoke` or `/register` refused.
#[derive(Debug)]
pub enum TokenRejection {
    /// An OAuth error response.
    Refused {
        /// The error to send.
        error: OAuthError,
        /// Whether the client used HTTP Basic, so that the answer carries a Basic challenge.
        basic: bool,
    },
    /// 429 with `Retry-After`.
    Throttled(Lifetime),
    /// 503 with `Retry-After`, body `temporarily_unavailable`.
    Unavailable,
    /// The token is refused from now on, but that is not stored yet and would be lost by a restart: the same 503 with a
    /// description that says so.
    NotStored,
    /// Registration is not open: 401 with a Bearer challenge.
    NotOpen,
}

impl TokenRejection {
    /// Makes the refusal of a client that has authenticated, and so gets no challenge.
    pub(super) fn because(error: OAuthError) -> Self {
        Self::Refused { error, basic: false }
    }
}

/// How the store failed; the cause is in the log.
#[derive(Debug, Clone, Copy)]
pub(super) enum StoreFailed {
    /// It could not answer.
    Unavailable,
    /// The change is in force but not stored.
    NotStored,
}

impl From<StoreFailed> for AuthorizeRejection {
    fn from(failed: StoreFailed) -> Self {
        match failed {
            StoreFailed::Unavailable => Self::Unavailable,
            StoreFailed::NotStored => Self::NotStored,
        }
    }
}

impl From<StoreFailed> for TokenRejection {
    fn from(failed: StoreFailed) -> Self {
        match failed {
            StoreFailed::Unavailable => Self::Unavailable,
            StoreFailed::NotStored => Self::NotStored,
        }
    }
}
