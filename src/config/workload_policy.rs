//! `WorkloadConfig`: workloads whose tokens are exchanged, as the rest of the program sees them.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use url::Url;

use crate::oauth::jose::JwkSet;
use crate::oauth::{LoginName, ResourceIndicator, ScopeSet, TenantId};
use crate::policy::ClaimPatterns;

/// A workload whose tokens are exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadConfig {
    /// The issuer of its tokens.
    pub issuer: String,
    /// The issuer's keys.
    pub keys: IssuerKeys,
    /// The only audience of its tokens.
    pub audience: String,
    /// What its tokens must say.
    pub claims: ClaimPatterns,
    /// The name of the service account as which it acts.
    pub account: LoginName,
    /// The tenant of its upstream.
    pub tenant: TenantId,
    /// The resource that it gets tokens for.
    pub resource: ResourceIndicator,
    /// The scopes that it gets.
    pub scopes: ScopeSet,
}

/// Where the keys of an issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerKeys {
    /// In a file, which was read.
    File(PathBuf, Arc<JwkSet>),
    /// At a URL.
    At(KeyPlace),
}

/// A URL with keys, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// The https URL, without user name and fragment.
    pub url: Url,
    /// A CA file in addition to the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Addresses allowed although they are not globally routable.
    pub allow_addresses: Vec<IpNet>,
}

impl IssuerKeys {
    /// Returns the files that it was made from.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::File(file, _) => vec![file.clone()],
            Self::At(place) => place.ca_file.iter().cloned().collect(),
        }
    }

    /// Returns the place, if it is a URL.
    #[must_use]
    pub const fn place(&self) -> Option<&KeyPlace> {
        match self {
            Self::File(..) => None,
            Self::At(place) => Some(place),
        }
    }
}
