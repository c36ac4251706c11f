//! `Caller`: who asks, for audit, throttling and logs.

use std::net::IpAddr;
use std::sync::OnceLock;

use crate::oauth::Rule;

/// Who asks: for audit, throttling and logs.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The peer's address, behind trusted proxies.
    pub address: Option<IpAddr>,
    /// The request id.
    pub request_id: Option<String>,
    /// The rule that the request broke, once it is known: for its access line.
    pub broken: OnceLock<Rule>,
}

impl Caller {
    /// Makes the caller of a request that comes from `address`.
    #[must_use]
    pub const fn new(address: Option<IpAddr>, request_id: Option<String>) -> Self {
        Self { address, request_id, broken: OnceLock::new() }
    }
}
