//! `Arrivals`: tokens that were issued for a code and not used yet.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::oauth::{AccountId, ClientId, ResourceIndicator, Timestamp, TokenHash};

/// A token that was issued and is watched for its first use.
#[derive(Debug)]
pub(in crate::issuer) struct Awaited {
    pub(in crate::issuer) hash: TokenHash,
    pub(in crate::issuer) since: Timestamp,
    pub(in crate::issuer) client: ClientId,
    pub(in crate::issuer) client_name: Option<String>,
    pub(in crate::issuer) subject: AccountId,
    pub(in crate::issuer) resource: ResourceIndicator,
    pub(in crate::issuer) address: Option<IpAddr>,
}

/// Recently issued tokens, oldest first.
#[derive(Debug, Default)]
pub(in crate::issuer) struct Arrivals {
    pub(in crate::issuer) awaited: Mutex<VecDeque<Awaited>>,
    /// Told when there is one.
    pub(in crate::issuer) begun: Notify,
}
