//! TLS of the public listener: rustls with ring, the choice of the cipher, and the alert for names that are not ours.

use std::sync::Arc;
use std::time::Duration;

use ring::hkdf::Prk;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::Certificate;
use super::session_tickets::SessionTickets;
use crate::cipher_suites::{self, PreferredCipher};
use crate::clock::Clock;
use crate::config::MinimumKeyBits;
use crate::entropy::Entropy;
use crate::server::host::Hosts;
use crate::telemetry::ServerEvent;

/// A fatal `unrecognized_name` alert (RFC 6066 3) in its own record. rustls would send `access_denied`.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What stays the same across reloads: the provider for loading keys, and the session tickets, whose secrets only a
/// reload of the keys changes.
pub(in crate::server) struct TlsBase {
    pub(in crate::server) provider: CryptoProvider,
    pub(in crate::server) tickets: Arc<SessionTickets>,
}

impl TlsBase {
    /// Takes what session tickets need: clock, nonces, and the secrets from the key files.
    pub(in crate::server) fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, secrets: Vec<Prk>) -> Self {
        let tickets = Arc::new(SessionTickets::new(clock, entropy, secrets));
        Self { provider: rustls::crypto::ring::default_provider(), tickets }
    }

    /// Makes the configuration for a certificate, and optionally another one for clients that send a server name.
    ///
    /// # Errors
    /// The provider does not know TLS 1.2 and 1.3.
    pub(in crate::server) fn listener(
        &self,
        certificate: &Certificate,
        by_name: Option<&Certificate>,
        minimum: MinimumKeyBits,
    ) -> Result<ListenerTls, rustls::Error> {
        let by_name = by_name.unwrap_or(certificate);
        let resolver = Resolver { by_name: Arc::clone(&by_name.key), otherwise: Arc::clone(&certificate.key) };
        let resolver = Arc::new(resolver);
        let config = |preferred| self.config(cipher_suites::provider(minimum, preferred), Arc::clone(&resolver));
        Ok(ListenerTls { aes: config(PreferredCipher::Aes)?, chacha20: config(PreferredCipher::ChaCha20)? })
    }

    fn config(&self, provider: CryptoProvider, resolver: Arc<Resolver>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ignore_client_order = true;
        // RFC 8446 4.6.1: a ticket contains the session, so the server stores none. One is enough, because a resumed
        // connection brings the next. rustls resumes only under the same server name, and only with a new key exchange
        // (`psk_dhe_ke`). Early data stays off, because it can be replayed (RFC 8446 8).
        config.ticketer = Arc::<SessionTickets>::clone(&self.tickets);
        config.send_tls13_tickets = 1;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }
}

/// The configurations of the public listener. They differ in the order of cipher suites only.
#[derive(Debug, Clone)]
pub(in crate::server) struct ListenerTls {
    aes: Arc<ServerConfig>,
    chacha20: Arc<ServerConfig>,
}

impl ListenerTls {
    fn for_client(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        Arc::clone(match PreferredCipher::of_client(hello.cipher_suites()) {
            PreferredCipher::Aes => &self.aes,
            PreferredCipher::ChaCha20 => &self.chacha20,
        })
    }
}

/// Chooses the certificate by whether the client sent a server name (RFC 6066 3). The name itself was checked before,
/// in `shake_hands`.
#[derive(Debug)]
struct Resolver {
    by_name: Arc<CertifiedKey>,
    otherwise: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = if hello.server_name().is_some() { &self.by_name } else { &self.otherwise };
        Some(Arc::clone(chosen))
    }
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum HandshakeError {
    /// The handshake took too long.
    #[error("the handshake took too long")]
    Slow,
    /// The client asked for a host name that is not ours.
    #[error("the client asked for an unknown server name")]
    UnknownName,
    /// The client speaks plain HTTP.
    #[error("the client speaks plain HTTP")]
    Plain,
    /// A TLS error ended it.
    #[error("{0}")]
    Failed(#[from] std::io::Error),
}

impl HandshakeError {
    /// Returns the event that it is counted as.
    pub(in crate::server) const fn event(&self) -> ServerEvent {
        match self {
            Self::UnknownName => ServerEvent::UnknownServerName,
            Self::Slow | Self::Plain | Self::Failed(_) => ServerEvent::HandshakeFailed,
        }
    }
}

/// Performs the handshake, within `limit` in total.
pub(in crate::server) async fn accept(
    stream: TcpStream,
    tls: &ListenerTls,
    hosts: &Hosts,
    limit: Duration,
) -> Result<Box<TlsStream<TcpStream>>, HandshakeError> {
    tokio::time::timeout(limit, shake_hands(stream, tls, hosts)).await.map_err(|_| HandshakeError::Slow)?
}

async fn shake_hands(
    stream: TcpStream,
    tls: &ListenerTls,
    hosts: &Hosts,
) -> Result<Box<TlsStream<TcpStream>>, HandshakeError> {
    // A handshake record begins with 22; a letter means that somebody used http:// instead of https://.
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
        return Err(refuse_plain(stream).await);
    }
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    // Without a name, or with an address as one (which RFC 6066 3 forbids and rustls ignores), the client gets the
    // certificate for addresses.
    if start.client_hello().server_name().is_some_and(|name| !hosts.has_name(name)) {
        start.io.write_all(&UNRECOGNIZED_NAME).await?;
        start.io.shutdown().await?;
        return Err(HandshakeError::UnknownName);
    }
    let config = tls.for_client(&start.client_hello());
    Ok(Box::new(start.into_stream(config).await?))
}

async fn refuse_plain(mut stream: TcpStream) -> HandshakeError {
    const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\
        Content-Length: 51\r\n\r\nThis port speaks HTTPS: write https:// in the URL.\n";
    // The request is read first: closing with unread bytes would reset the connection and lose the answer.
    let mut head = vec![0; 8192];
    match stream.read(&mut head).await {
        Ok(_) => match stream.write_all(ANSWER).await {
            Ok(()) => HandshakeError::Plain,
            Err(error) => error.into(),
        },
        Err(error) => error.into(),
    }
}
