//! The one outbound dialer for URLs that others name: https only, public addresses only, no redirects, bounded.

use async_trait::async_trait;

mod guard;

/// What a fetch brought.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The body, complete, within the limit.
    pub body: bytes::Bytes,
    /// Freshness from Cache-Control or Expires, in seconds; `None` when nothing was said.
    pub max_age: Option<u64>,
    /// `no-store` or `no-cache` was said.
    pub no_store: bool,
    /// Entity tag.
    pub etag: Option<String>,
}

/// Why a fetch brought nothing. The variants go to log and audit; the browser learns only whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL or an address behind it is not public.
    #[error("the address is not a public one")]
    Refused,
    /// The name does not resolve.
    #[error("the host name cannot be resolved")]
    Dns,
    /// No connection.
    #[error("no connection")]
    Connect,
    /// TLS failed.
    #[error("the TLS handshake failed")]
    Tls,
    /// Another status than 200 (redirects included).
    #[error("the answer has status {0}")]
    Status(u16),
    /// Not JSON by its Content-Type, or encoded.
    #[error("the answer is not plain JSON")]
    ContentType,
    /// Larger than the limit.
    #[error("the answer is too large")]
    TooLarge,
    /// Took longer than the limit.
    #[error("the answer took too long")]
    Slow,
    /// Too many fetches of this host, or in all, under way.
    #[error("too many fetches")]
    Busy,
    /// The peer broke the protocol.
    #[error("the peer broke the protocol")]
    Protocol,
}

impl FetchError {
    /// Returns whether trying again later may help.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        match self {
            Self::Dns | Self::Connect | Self::Slow | Self::Busy | Self::Protocol => true,
            Self::Status(code) => code >= 500 || code == 429 || code == 403,
            Self::Refused | Self::Tls | Self::ContentType | Self::TooLarge => false,
        }
    }
}

/// Fetches JSON documents that others name.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Fetches one document of at most `max_bytes`.
    async fn fetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError>;
}

/// The implementation over hyper and rustls.
#[derive(Debug)]
pub struct Dialer {}

impl Dialer {
    /// Makes the dialer.
    ///
    /// # Errors
    /// Says why the CA file or the system's roots could not be read.
    pub fn new(_config: &crate::config::OutboundConfig, _rates: &crate::config::Rates) -> Result<Self, String> {
        todo!()
    }
}

#[async_trait]
impl Fetch for Dialer {
    async fn fetch_json(&self, _url: &str, _max_bytes: usize) -> Result<Fetched, FetchError> {
        todo!()
    }
}
