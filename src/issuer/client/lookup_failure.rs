//! `LookupFailure`: why no client was found for an authorization request.

use crate::issuer::rejection::StoreFailed;
use crate::oauth::{Lifetime, Rule};

/// Why no client was found for an authorization request; the detail is for log and audit trail alone (CI-18).
#[derive(Debug)]
pub(in crate::issuer) enum LookupFailure {
    /// It does not exist, its document is invalid, or it is disabled.
    NotAClient(Rule, Option<String>),
    /// Its id names a document that may not be fetched.
    NotAdmitted(NotAdmitted),
    /// Its document cannot be fetched at the moment.
    TryLater(String),
    /// Too many requests: how long to wait, and the configuration key of the limit, if it has one.
    Throttled(Lifetime, Option<&'static str>),
    /// There is no room for another client, which has already been recorded.
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
    /// The id is not the URL of a document under any configuration.
    NoUrl,
    /// Its host is not a public DNS name.
    Internal,
    /// Metadata documents are disabled.
    Off,
    /// Neither the URL nor its host is listed.
    NotListed,
    /// Nobody becomes a client without the operator.
    Closed,
    /// Its host is not one of those that may register.
    HostNotListed,
}

impl NotAdmitted {
    /// Returns the configuration key that excludes it.
    pub(in crate::issuer) const fn key(self) -> Option<&'static str> {
        match self {
            Self::NoUrl => None,
            Self::Internal => Some("outbound.allow_addresses"),
            Self::Off => Some("client_id_metadata_documents.mode"),
            Self::NotListed => Some("client_id_metadata_documents.allow"),
            Self::Closed => Some("registration.mode"),
            Self::HostNotListed => Some("registration.hosts"),
        }
    }

    /// Returns what would have been accepted, for the log.
    pub(in crate::issuer) const fn expected(self) -> &'static str {
        match self {
            Self::NoUrl => {
                "an https URL with a path, in the form that a URL parser writes, without user name, query and \
                 fragment"
            }
            Self::Internal => "a host in the public DNS, or with an address in outbound.allow_addresses",
            Self::Off => "a client that is registered: client_id_metadata_documents.mode is off",
            Self::NotListed => "a URL or host among client_id_metadata_documents.allow",
            Self::Closed => "a client that the operator added: registration.mode is closed",
            Self::HostNotListed => "a URL whose host is in registration.hosts: to admit this one, add its host there",
        }
    }
}
