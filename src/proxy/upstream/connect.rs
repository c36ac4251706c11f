//! Connects to a configured upstream: name resolution, TCP, and TLS if its URL is https.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::interim::Interim;
use super::observed::Observed;
use super::origin::UpstreamOrigin;
use crate::config::MinimumKeyBits;
use crate::proxy::fault;
use crate::proxy::fault::{Cause, Fault};
use crate::trust;

/// TCP keep-alive: idle time before the first probe, interval, number of unanswered probes.
const QUIET: Duration = Duration::from_secs(60);
const PROBE: Duration = Duration::from_secs(20);
const PROBES: u32 = 3;

/// An established connection, before HTTP.
pub(in crate::proxy) enum Dialled {
    Plain(Interim<TcpStream>),
    Tls(Interim<TlsStream<TcpStream>>),
    /// ALPN chose HTTP/2.
    Http2(Observed<TlsStream<TcpStream>>),
}

/// Connects within `connect_timeout`.
pub(in crate::proxy) async fn dial(origin: &UpstreamOrigin) -> Result<Dialled, Fault> {
    match tokio::time::timeout(origin.connect_timeout, dial_unbounded(origin)).await {
        Ok(dialled) => dialled,
        Err(_) => {
            let time = origin.connect_timeout;
            let detail = format!("no connection to {} within {time:?}", origin.authority);
            Err(Fault::new(Cause::TooSlow, detail).by("upstream.connect_timeout"))
        }
    }
}

async fn dial_unbounded(origin: &UpstreamOrigin) -> Result<Dialled, Fault> {
    let tcp = connect(origin).await?;
    prepare(&tcp).map_err(|error| Fault::of_connect(&origin.authority, &error))?;
    let Some(tls) = &origin.tls else { return Ok(Dialled::Plain(Interim::new(tcp))) };
    let tls_fault = |error: &dyn std::error::Error| {
        Fault::new(Cause::Tls, format!("TLS with {}: {}", origin.authority, fault::whole(error)))
    };
    let name = match &origin.host {
        url::Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| tls_fault(&error))?,
        url::Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(*address)),
        url::Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(*address)),
    };
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await.map_err(|error| tls_fault(&error))?;
    let chosen = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(if chosen { Dialled::Http2(Observed::new(stream)) } else { Dialled::Tls(Interim::new(stream)) })
}

async fn connect(origin: &UpstreamOrigin) -> Result<TcpStream, Fault> {
    let connected = match &origin.host {
        url::Host::Domain(name) => {
            // Resolved separately, because the system's errors do not distinguish this step from the next.
            let found = tokio::net::lookup_host((name.as_str(), origin.port)).await;
            let unknown = |error: std::io::Error| Fault::new(Cause::UnknownHost, format!("{name}: {error}"));
            let addresses: Vec<_> = found.map_err(unknown)?.collect();
            TcpStream::connect(&*addresses).await
        }
        url::Host::Ipv4(address) => TcpStream::connect((*address, origin.port)).await,
        url::Host::Ipv6(address) => TcpStream::connect((*address, origin.port)).await,
    };
    connected.map_err(|error| Fault::of_connect(&origin.authority, &error))
}

fn prepare(tcp: &TcpStream) -> std::io::Result<()> {
    // Small requests and events must not be delayed by Nagle's algorithm.
    tcp.set_nodelay(true)?;
    // A connection that waits for events sends nothing and would not notice that the other side is gone (RFC 1122
    // 4.2.3.6).
    sockopt::set_tcp_keepidle(tcp, QUIET)?;
    sockopt::set_tcp_keepintvl(tcp, PROBE)?;
    sockopt::set_tcp_keepcnt(tcp, PROBES)?;
    Ok(sockopt::set_socket_keepalive(tcp, true)?)
}

/// TLS configurations while a route table is built: the system's roots are read once, and only if needed.
pub(in crate::proxy) struct Roots {
    minimum: MinimumKeyBits,
    system: Option<RootCertStore>,
    clients: Vec<(Option<PathBuf>, Arc<ClientConfig>)>,
}

impl Roots {
    /// Makes a table whose configurations use no cipher with a shorter key.
    pub(in crate::proxy) fn new(minimum: MinimumKeyBits) -> Self {
        Self { minimum, system: None, clients: Vec::new() }
    }

    /// Returns a configuration that trusts the system's roots and those in `extra`.
    pub(in crate::proxy) fn client(&mut self, extra: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
        if let Some((_, known)) = self.clients.iter().find(|(path, _)| path.as_deref() == extra) {
            return Ok(Arc::clone(known));
        }
        let roots = match &self.system {
            Some(roots) => roots.clone(),
            None => self.system.insert(trust::system_roots()?).clone(),
        };
        let client = trust::client_config(roots, extra, self.minimum, &[b"h2", b"http/1.1"])?;
        self.clients.push((extra.map(Path::to_owned), Arc::clone(&client)));
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::{socket_keepalive, tcp_keepcnt, tcp_keepidle, tcp_keepintvl};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn up_01_an_upstream_that_vanished_is_given_up_in_two_minutes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        super::prepare(&stream).unwrap();
        assert!(socket_keepalive(&stream).unwrap());
        let probed = tcp_keepintvl(&stream).unwrap() * tcp_keepcnt(&stream).unwrap();
        assert_eq!((tcp_keepidle(&stream).unwrap() + probed).as_secs(), 120);
    }
}
