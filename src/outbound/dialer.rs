//! `Dialer`: fetches documents, each over a new connection, through the operator's proxy if there is one.

use std::collections::HashMap;
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

use super::budget::{FetchBudget, FetchPermit};
use super::fetch::{Fetch, FetchError, Fetched, TOTAL_TIME};
use super::guard::Guard;
use super::lookup::BoundedResolver;
use super::target::Target;
use super::transport::Transport;
use super::{exchange, tunnel};
use crate::config::{Config, MinimumKeyBits, OutboundConfig, Rates};
use crate::network;
use crate::trust;

/// Time for each attempt to connect, so that a dead address leaves time for the next.
const CONNECT_TIME: Duration = Duration::from_millis(1500);

/// How long a fetch waits for its turn: about as long as the previous one commonly takes.
const SLOT_TIME: Duration = Duration::from_secs(3);

/// The most concurrent fetches of documents that strangers name, and as many of known ones; each may last `TOTAL_TIME`.
const IN_FLIGHT: usize = 50;
const KNOWN_IN_FLIGHT: usize = 25;

/// The budget of one network for documents that strangers name, as a multiple of a host's: names cost nothing and may
/// all lead to one victim, but many honest hosts share a provider's addresses (CI-15).
const HOSTS_PER_NETWORK: usize = 6;

/// The implementation over hyper and rustls. It uses the configured proxy and ignores proxy environment variables
/// (CI-19).
pub struct Dialer {
    guard: Guard,
    proxy: Option<Url>,
    by_host: FetchBudget,
    by_network: FetchBudget,
    known: FetchBudget,
    transport: Box<dyn Transport>,
    tls: TlsConnector,
    /// Dialers for single URLs that the operator names, each with what is allowed for it.
    own: HashMap<String, Dialer>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Makes the dialer. Its TLS uses no cipher with a key shorter than `minimum`.
    ///
    /// # Errors
    /// The operator's CA file could not be read.
    pub fn new(config: &OutboundConfig, rates: &Rates, minimum: MinimumKeyBits) -> Result<Self, String> {
        let per_minute = rates.fetches_per_host_per_minute;
        let of_network = per_minute.saturating_mul(u32::try_from(HOSTS_PER_NETWORK).unwrap_or(u32::MAX));
        Ok(Self {
            guard: Guard::new(config.allow_addresses.clone()),
            proxy: config.proxy.clone(),
            by_host: FetchBudget::new(per_minute, 1, IN_FLIGHT),
            by_network: FetchBudget::new(of_network, HOSTS_PER_NETWORK, IN_FLIGHT),
            known: FetchBudget::new(per_minute, 1, KNOWN_IN_FLIGHT),
            transport: Box::new(BoundedResolver::new()),
            tls: TlsConnector::from(client_config(config.extra_ca_file.as_deref(), minimum)?),
            own: HashMap::new(),
        })
    }

    /// Makes the dialer of a configuration. Each place where a workload's issuer publishes its keys is reached with
    /// what is allowed for it, and for nothing else (CI-17).
    ///
    /// # Errors
    /// A CA file could not be read.
    pub fn of(config: &Config) -> Result<Self, String> {
        let (outbound, minimum) = (&config.outbound, config.minimum_key_bits);
        let mut dialer = Self::new(outbound, &config.rates, minimum)?;
        for place in config.workloads.iter().filter_map(|workload| workload.keys.place()) {
            let of_place = OutboundConfig {
                allow_addresses: place.allow_addresses.clone(),
                extra_ca_file: place.ca_file.clone().or_else(|| outbound.extra_ca_file.clone()),
                // What is in the operator's own network is not behind the proxy to the outside.
                proxy: outbound.proxy.clone().filter(|_| place.allow_addresses.is_empty()),
            };
            dialer.own.insert(place.url.to_string(), Self::new(&of_place, &config.rates, minimum)?);
        }
        Ok(dialer)
    }

    /// Resolves once, checks every address, and connects to exactly one of the checked ones: the name is not resolved a
    /// second time, which could give a different answer (CI-04).
    async fn connect<'a>(
        &self,
        target: &Target,
        by_network: Option<&'a FetchBudget>,
    ) -> Result<(TcpStream, Option<FetchPermit<'a>>), FetchError> {
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
                // An edge server that drops packets from some networks looks like a slow one.
                Err(_) => fault = FetchError::Slow,
            }
        }
        Err(fault)
    }

    /// Connects to the operator's proxy, and through it to the target. The proxy resolves and checks the target's name;
    /// an address instead of a name is still checked here.
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
        by_network: Option<&FetchBudget>,
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

/// Waits for the turn of `key`, for at most `SLOT_TIME`.
async fn turn<'a>(budget: &'a FetchBudget, key: &str) -> Result<FetchPermit<'a>, FetchError> {
    timeout(SLOT_TIME, budget.wait(key)).await.unwrap_or(Err(FetchError::Busy))
}

/// Makes the TLS configuration for fetches. Missing system roots are no error: a small image can still serve everybody
/// who needs no fetch.
fn client_config(extra_ca_file: Option<&Path>, minimum: MinimumKeyBits) -> Result<Arc<ClientConfig>, String> {
    let roots = trust::system_roots().unwrap_or_else(|error| {
        tracing::warn!(error, "client metadata documents of public sites cannot be fetched");
        RootCertStore::empty()
    });
    trust::client_config(roots, extra_ca_file, minimum, &[b"http/1.1"])
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
        // Counted per known document: each is fetched once in minutes, and its host is in use.
        let _leave = turn(&self.known, url).await?;
        timeout(TOTAL_TIME, self.fetch(&target, None, max_bytes)).await.unwrap_or(Err(FetchError::Slow))
    }

    async fn fetch_own(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError> {
        self.own.get(url).unwrap_or(self).refetch_json(url, max_bytes).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::sync::Mutex;

    use super::*;
    use crate::config::{IssuerKeys, KeyPlace, Overrides, WorkloadConfig};
    use crate::oauth::{LoginName, ResourceIndicator, ScopeSet, TenantId};
    use crate::policy::ClaimPatterns;

    /// Answers each look-up with the next of these lists, and never connects.
    struct Hostile {
        answers: Mutex<VecDeque<Vec<SocketAddr>>>,
        attempts: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Transport for Arc<Hostile> {
        async fn resolve(&self, _: &str, _: u16) -> Option<Vec<SocketAddr>> {
            self.answers.lock().unwrap().pop_front()
        }

        async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
            self.attempts.lock().unwrap().push(address.ip().to_string());
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }

    /// Returns how a fetch ends with a resolver that gives these answers, and which addresses it tried to reach.
    async fn dial(answers: &[&[&str]], is_known: bool) -> (FetchError, Vec<String>) {
        let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), 443);
        let answers = answers.iter().map(|answer| answer.iter().map(address).collect()).collect();
        let hostile = Arc::new(Hostile { answers: Mutex::new(answers), attempts: Mutex::default() });
        let dialer = Dialer {
            guard: Guard::new(Vec::new()),
            proxy: None,
            by_host: FetchBudget::new(10, 1, 1),
            by_network: FetchBudget::new(10, 1, 1),
            known: FetchBudget::new(10, 1, 1),
            transport: Box::new(Arc::clone(&hostile)),
            tls: client_config(None, MinimumKeyBits::Bits128).unwrap().into(),
            own: HashMap::new(),
        };
        let url = "https://c.example/client.json";
        let fetched = if is_known { dialer.refetch_json(url, 9).await } else { dialer.fetch_json(url, 9).await };
        let attempts = std::mem::take(&mut *hostile.attempts.lock().unwrap());
        (fetched.unwrap_err(), attempts)
    }

    #[tokio::test]
    async fn ci_02_a_name_that_leads_inside_gets_no_connection() {
        for inside in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2001::1",
            "2002:a00:1::",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            for is_known in [false, true] {
                assert_eq!(dial(&[&[inside]], is_known).await, (FetchError::Refused, vec![]), "{inside}");
            }
        }
        let outside = (FetchError::Connect, vec!["1.1.1.1".to_owned()]);
        assert_eq!(dial(&[&["1.1.1.1"]], false).await, outside, "an attempt would have been seen");
    }

    #[tokio::test]
    async fn ci_17_what_is_allowed_for_one_url_is_allowed_for_no_other() {
        let place = |url: &str, allowed: &str| KeyPlace {
            url: url.parse().unwrap(),
            ca_file: None,
            allow_addresses: vec![allowed.parse().unwrap()],
        };
        let workload = |place: KeyPlace| WorkloadConfig {
            issuer: "https://issuer.example".to_owned(),
            keys: IssuerKeys::At(place),
            audience: "https://gw.example".to_owned(),
            claims: ClaimPatterns::default(),
            account: LoginName::parse("deploy").unwrap(),
            tenant: TenantId::default(),
            resource: ResourceIndicator::parse("https://gw.example/mcp").unwrap(),
            scopes: ScopeSet::default(),
        };
        let folder = tempfile::tempdir().unwrap();
        let upstream = Some("http://127.0.0.1:1/mcp".to_owned());
        let overrides =
            Overrides { data_dir: Some(folder.path().to_owned()), upstream, up: true, ..Overrides::default() };
        // Nothing listens there, so an address that is allowed cannot be reached, and another is refused.
        let (own, inside) = ("https://127.0.0.2:9/jwks", "https://127.0.0.3:9/jwks");
        let mut config = Config::load(None, &overrides).unwrap();
        config.workloads = vec![workload(place(own, "127.0.0.2/32")), workload(place(inside, "127.0.0.2/32"))];
        let dialer = Dialer::of(&config).unwrap();
        assert_eq!(dialer.fetch_own(own, 9).await.unwrap_err(), FetchError::Connect);
        for refused in [inside, "https://127.0.0.2:9/other"] {
            assert_eq!(dialer.fetch_own(refused, 9).await.unwrap_err(), FetchError::Refused, "{refused}");
        }
        // The documents and key sets of strangers have none of it.
        assert_eq!(dialer.fetch_json(own, 9).await.unwrap_err(), FetchError::Refused);
        assert_eq!(dialer.refetch_json(own, 9).await.unwrap_err(), FetchError::Refused);
    }

    #[tokio::test]
    async fn ci_04_a_name_is_asked_for_once_and_its_second_answer_never_heard() {
        for is_known in [false, true] {
            let (ended, tried) = dial(&[&["1.1.1.1"], &["127.0.0.1"], &["10.0.0.1"]], is_known).await;
            assert_eq!((ended, tried), (FetchError::Connect, vec!["1.1.1.1".to_owned()]));
        }
    }

    #[tokio::test]
    async fn ci_05_a_mixed_answer_gets_no_connection_to_any_of_its_addresses() {
        for mixed in [["1.1.1.1", "10.0.0.1"], ["10.0.0.1", "1.1.1.1"], ["2606:4700::1111", "::1"]] {
            for is_known in [false, true] {
                assert_eq!(dial(&[&mixed], is_known).await, (FetchError::Refused, vec![]), "{mixed:?}");
            }
        }
    }
}
