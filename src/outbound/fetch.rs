//! `Fetch`: the interface of this module, the result of a fetch, and why one may fail.

use std::time::Duration;

use async_trait::async_trait;

/// Time limit for a whole fetch (CI-08): a user is waiting for it.
pub(super) const TOTAL_TIME: Duration = Duration::from_secs(5);

/// The result of a fetch.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The complete body, within the size limit.
    pub body: bytes::Bytes,
    /// Freshness from Cache-Control or Expires, in seconds; `None` when neither is present.
    pub max_age: Option<u64>,
    /// Whether `no-store` or `no-cache` was present.
    pub no_store: bool,
}

/// Why a fetch failed. The variants go to log and audit trail; the browser only learns whether to try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The URL or an address behind it is not public.
    #[error("the address is not a public one")]
    Refused,
    /// The name does not resolve.
    #[error("the host name cannot be resolved")]
    Dns,
    /// No connection could be made.
    #[error("no connection")]
    Connect,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls,
    /// The status was not 200; redirects are not followed.
    #[error("the answer has status {code}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The server's own text in one short line for the log: the Server field, and the title or beginning of the
        /// content.
        said: String,
    },
    /// The Content-Type is not JSON, or the content is encoded.
    #[error("the answer is not unencoded JSON")]
    ContentType,
    /// The document is larger than the limit.
    #[error("the answer is too large")]
    TooLarge,
    /// The fetch took longer than the limit.
    #[error("the answer took too long")]
    Slow,
    /// Too many fetches from this host, or in total, are in progress.
    #[error("too many fetches")]
    Busy,
    /// The peer broke the protocol.
    #[error("the peer violated the protocol")]
    Protocol,
}

impl FetchError {
    /// Returns whether trying again later may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            // `ContentType`: a maintenance page is HTML, and temporary.
            Self::Dns | Self::Connect | Self::ContentType | Self::Slow | Self::Busy | Self::Protocol => true,
            Self::Status { code, .. } => *code >= 500 || *code == 429 || *code == 403,
            // An attacker who can break TLS must not be able to keep an old document in use.
            Self::Tls | Self::Refused | Self::TooLarge => false,
        }
    }
}

/// Fetches JSON documents that others name.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Fetches one document of at most `max_bytes`.
    async fn fetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError>;

    /// Refetches a known document, counted separately from those that strangers name, so that they cannot block it.
    async fn refetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError>;

    /// Fetches one document that the operator names, with what the operator allows for this URL alone.
    async fn fetch_own(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError> {
        self.refetch_json(url, max_bytes).await
    }
}
