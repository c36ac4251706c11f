//! `LookupFailure`: why no client was found for an authorization request.

use crate::issuer::rejection::StoreFailed;
use crate::oauth::{Lifetime, Rule};

/// Why no client was found for an authorization request; the detail is for log and audit trail alone (CI-18).
#[derive(Debug)]
pub(in crate::issuer) enum LookupFailure {
    /// It does not exist, its document is invalid, or it is disabled.
    NotAClient(Rule, Option<String>),
    /// It names a document that is not fetched.
    NotAdmitted(NotAdmitted),
    /// Its document cannot be had just now.
    TryLater(String),
    /// Too many are asked for, by the key of the configuration, if it is one's limit.
    Throttled(Lifetime, Option<&'static str>),
    /// There is no room for another client, which has been recorded.
    Full(Lifetime),
    /// The store failed.
    Unavailable(StoreFailed),
}

impl From<StoreFailed> for LookupFailure {
    fn from(failed: StoreFailed) -> Self {
        Self::Unavailable(failed)
    }
}

/// Why a document is not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::issuer) enum NotAdmitted {
    /// The id is no URL of a document, whatever the configuration says.
    NoUrl,
    /// Its host is not one of the public DNS.
    Internal,
    /// No documents are fetched.
    Off,
    /// Neither the URL nor its host is listed.
    NotListed,
}

impl NotAdmitted {
    /// Returns the key of the configuration that keeps it out.
    pub(in crate::issuer) const fn key(self) -> Option<&'static str> {
        match self {
            Self::NoUrl => None,
            Self::Internal => Some("outbound.allow_addresses"),
            Self::Off => Some("client_id_metadata_documents.mode"),
            Self::NotListed => Some("client_id_metadata_documents.allow"),
        }
    }

    /// Returns what would have been right.
    pub(in crate::issuer) const fn expected(self) -> &'static str {
        match self {
            Self::NoUrl => {
                "an https URL with a path, spelled as a URL parser writes it, without user name, query and fragment"
            }
            Self::Internal => "a host of the public DNS, or an address of it in outbound.allow_addresses",
            Self::Off => "a client that is registered: client_id_metadata_documents.mode is off",
            Self::NotListed => "a URL or host among client_id_metadata_documents.allow",
        }
    }
}
