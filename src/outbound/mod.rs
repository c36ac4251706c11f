//! The one outbound dialer for URLs that others name: https only, public addresses only, no redirects, bounded.
//!
//! For: Client ID Metadata Documents, and later key sets and federated metadata. Not for: configured upstreams, which are
//! the operator's word. It may know `config`, `trust` and `web`. Start with `Dialer`; `guard` holds the table of addresses.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

mod budget;
mod exchange;
mod freshness;
mod guard;
mod lookup;
mod target;
mod transport;
mod tunnel;

use budget::{Budget, Leave};
use guard::Guard;
use lookup::Lookup;
use target::Target;
use transport::Transport;

use crate::network;
use crate::trust;

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
            // Whoever can break TLS must not be able to freeze a document in the state that suits him.
            Self::Tls | Self::Refused | Self::TooLarge => false,
        }
    }
}

/// Fetches JSON documents that others name.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Fetches one document of at most `max_bytes`.
    async fn fetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError>;

    /// Fetches anew a document that is known already: apart from what strangers name, so that they cannot be in its way.
    async fn refetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError>;
}

/// Time for the whole fetch (CI-08): somebody waits in front of a browser.
const TOTAL_TIME: Duration = Duration::from_secs(5);
/// Of which the resolver (CI-20), and each attempt to connect so that a dead address leaves time for the next.
const DNS_TIME: Duration = Duration::from_secs(3);
const CONNECT_TIME: Duration = Duration::from_millis(1500);

/// How long a fetch waits for its turn: about as long as the one before it commonly takes.
const SLOT_TIME: Duration = Duration::from_secs(3);

/// Fetches in flight in all of what strangers name, and of what is known already; each may last `TOTAL_TIME`.
const IN_FLIGHT: usize = 50;
const KNOWN_IN_FLIGHT: usize = 25;

/// Fetches at once and in a minute of one network, of what strangers name, as a multiple of what one host gets: names
/// are free and may all lead to one victim, but many honest hosts share the addresses of one provider (CI-15).
const HOSTS_PER_NETWORK: usize = 6;

/// The implementation over hyper and rustls. It goes through the configured proxy and reads no proxy variables (CI-19).
pub struct Dialer {
    guard: Guard,
    proxy: Option<Url>,
    by_host: Budget,
    by_network: Budget,
    known: Budget,
    transport: Box<dyn Transport>,
    tls: TlsConnector,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Makes the dialer.
    ///
    /// # Errors
    /// Says why the operator's CA file could not be read.
    pub fn new(config: &crate::config::OutboundConfig, rates: &crate::config::Rates) -> Result<Self, String> {
        let per_minute = rates.fetches_per_host_per_minute;
        let of_network = per_minute.saturating_mul(u32::try_from(HOSTS_PER_NETWORK).unwrap_or(u32::MAX));
        Ok(Self {
            guard: Guard::new(config.allow_addresses.clone()),
            proxy: config.proxy.clone(),
            by_host: Budget::new(per_minute, 1, IN_FLIGHT),
            by_network: Budget::new(of_network, HOSTS_PER_NETWORK, IN_FLIGHT),
            known: Budget::new(per_minute, 1, KNOWN_IN_FLIGHT),
            transport: Box::new(Lookup::new()),
            tls: TlsConnector::from(client_config(config.extra_ca_file.as_deref())?),
        })
    }

    /// Resolves once, checks every address, and connects to exactly a checked one: there is no second look at the
    /// name that could be answered differently (CI-04).
    async fn connect<'a>(
        &self,
        target: &Target,
        by_network: Option<&'a Budget>,
    ) -> Result<(TcpStream, Option<Leave<'a>>), FetchError> {
        let addresses = match target.literal {
            Some(address) => self.guard.admit([SocketAddr::new(address, target.port)].into_iter())?,
            None => {
                let found = self.transport.resolve(&target.host, target.port).await;
                self.guard.admit(found.ok_or(FetchError::Dns)?.into_iter())?
            }
        };
        let mut fault = FetchError::Connect;
        for address in addresses {
            let leave = match by_network {
                Some(budget) => Some(turn(budget, &network::site(address.ip()).to_string()).await?),
                None => None,
            };
            match timeout(CONNECT_TIME, self.transport.connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, leave)),
                Ok(Err(_)) => {}
                // An edge that drops what comes from some networks is not told from one that is slow.
                Err(_) => fault = FetchError::Slow,
            }
        }
        Err(fault)
    }

    /// Connects to the proxy, which the operator named, and through it: what the target's name leads to is for the
    /// proxy to find out and to judge. An address in its place is judged here all the same.
    async fn connect_through(&self, proxy: &Url, target: &Target) -> Result<TokioIo<Upgraded>, FetchError> {
        if let Some(address) = target.literal {
            self.guard.admit([SocketAddr::new(address, target.port)].into_iter())?;
        }
        let host = proxy.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let found = self.transport.resolve(host, proxy.port_or_known_default().unwrap_or_default()).await;
        for address in found.ok_or(FetchError::Connect)? {
            if let Ok(Ok(stream)) = timeout(CONNECT_TIME, self.transport.connect(address)).await {
                return tunnel::open(stream, target).await;
            }
        }
        Err(FetchError::Connect)
    }

    async fn fetch(
        &self,
        target: &Target,
        by_network: Option<&Budget>,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError> {
        match &self.proxy {
            Some(proxy) => self.secured(self.connect_through(proxy, target).await?, target, max_bytes).await,
            None => {
                let (stream, _leave) = self.connect(target, by_network).await?;
                self.secured(stream, target, max_bytes).await
            }
        }
    }

    async fn secured(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        target: &Target,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError> {
        let name = ServerName::try_from(target.host.clone()).map_err(|_| FetchError::Refused)?;
        let secured = self.tls.connect(name, stream).await.map_err(|cause| match cause.get_ref() {
            Some(inner) if inner.is::<rustls::Error>() => FetchError::Tls,
            _ => FetchError::Connect,
        })?;
        exchange::get(secured, target, max_bytes).await
    }
}

/// Waits for the turn of `key`, but not for long.
async fn turn<'a>(budget: &'a Budget, key: &str) -> Result<Leave<'a>, FetchError> {
    timeout(SLOT_TIME, budget.wait(key)).await.unwrap_or(Err(FetchError::Busy))
}

/// Makes the TLS configuration of fetches. Without system roots it is not in vain: a small image can still serve
/// everybody who needs no fetch.
fn client_config(extra_ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let roots = trust::system_roots().unwrap_or_else(|error| {
        tracing::warn!(error, "client metadata documents of public sites cannot be fetched");
        RootCertStore::empty()
    });
    trust::client_config(roots, extra_ca_file, &[b"http/1.1"])
}

#[async_trait]
impl Fetch for Dialer {
    async fn fetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError> {
        let target = Target::parse(url)?;
        let _leave = turn(&self.by_host, &target.host).await?;
        timeout(TOTAL_TIME, self.fetch(&target, Some(&self.by_network), max_bytes))
            .await
            .unwrap_or(Err(FetchError::Slow))
    }

    async fn refetch_json(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError> {
        let target = Target::parse(url)?;
        // Each known document for itself: it is fetched once in minutes, and its host is one that somebody uses.
        let _leave = turn(&self.known, url).await?;
        timeout(TOTAL_TIME, self.fetch(&target, None, max_bytes)).await.unwrap_or(Err(FetchError::Slow))
    }
}
