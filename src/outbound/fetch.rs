//! `Fetch`: what others ask of this module, what it brings, and why it brings nothing.

use std::time::Duration;

use async_trait::async_trait;

/// Time for the whole fetch (CI-08): somebody waits in front of a browser.
pub(super) const TOTAL_TIME: Duration = Duration::from_secs(5);

/// What a fetch brought.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The body, complete, within the limit.
    pub body: bytes::Bytes,
    /// Freshness from Cache-Control or Expires, in seconds; `None` when nothing was said.
    pub max_age: Option<u64>,
    /// `no-store` or `no-cache` was said.
    pub no_store: bool,
}

/// Why a fetch brought nothing. The variants go to log and audit; the browser learns only whether to try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    #[error("the answer has status {code}")]
    Status {
        /// The status.
        code: u16,
        /// Who says so, in one short line for the log: the Server field, and the title or beginning of the content.
        said: String,
    },
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
    pub const fn is_transient(&self) -> bool {
        match self {
            // A maintenance page passes, too.
            Self::Dns | Self::Connect | Self::ContentType | Self::Slow | Self::Busy | Self::Protocol => true,
            Self::Status { code, .. } => *code >= 500 || *code == 429 || *code == 403,
            // An attacker who can break TLS must not be able to freeze a document in the state that suits them.
            Self::Tls | Self::Refused | Self::TooLarge => false,
        }
    }
}

/// Fetches JSON documents that others name.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Fetches one document of at most `max_bytes`.
    async fn fetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError>;

    /// Refetches a known document: counted apart from what strangers name, so that they cannot block it.
    async fn refetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError>;
}
