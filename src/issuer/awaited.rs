//! `Arrivals`: tokens that were given out for a code and have not come back.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;

use crate::oauth::{ClientId, ResourceIndicator, Subject, Timestamp, TokenHash};

/// One that was given out.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) hash: TokenHash,
    pub(super) since: Timestamp,
    pub(super) client: ClientId,
    pub(super) client_name: Option<String>,
    pub(super) subject: Subject,
    pub(super) resource: ResourceIndicator,
    pub(super) address: Option<IpAddr>,
}

/// Those that were given out of late, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Arrivals(pub(super) Mutex<VecDeque<Awaited>>);
