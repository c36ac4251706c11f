//! `Caller`: who made a request, for audit, throttling and logs.

use std::net::IpAddr;
use std::sync::OnceLock;

use crate::oauth::Rule;

/// Who made a request, for audit, throttling and logs.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The client's address: the peer's, or what trusted proxies say of it.
    pub address: Option<IpAddr>,
    /// What its program says of itself (`User-Agent`), as sent.
    pub user_agent: Option<String>,
    /// The request id.
    pub request_id: Option<String>,
    /// The rule that the request broke, once known; for the access log.
    pub broken: OnceLock<Rule>,
}

impl Caller {
    /// Makes the caller of a request that comes from `address`.
    #[must_use]
    pub const fn new(address: Option<IpAddr>, request_id: Option<String>) -> Self {
        Self { address, user_agent: None, request_id, broken: OnceLock::new() }
    }

    /// Returns the caller with the value of its `User-Agent` field; what is not UTF-8 in it is replaced.
    #[must_use]
    pub fn with_user_agent(self, value: Option<&[u8]>) -> Self {
        Self { user_agent: value.map(|value| String::from_utf8_lossy(value).into_owned()), ..self }
    }
}
