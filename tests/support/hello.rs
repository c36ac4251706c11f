//! What a TLS client offers in its first message.

use rustls::CipherSuite;
use rustls::server::Acceptor;
use tokio::net::TcpListener;
use tokio_rustls::LazyConfigAcceptor;

/// Accepts one connection, and returns the cipher suites that the client names; then the connection is closed.
pub(crate) async fn suites_named(listener: &TcpListener) -> Vec<CipherSuite> {
    let (tcp, _) = listener.accept().await.expect("a connection");
    let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await.expect("a ClientHello");
    start.client_hello().cipher_suites().to_vec()
}

/// Whether AES-128 comes first, if keys may have 128 bits, or does not come at all.
pub(crate) fn are_in_our_order(named: &[CipherSuite], may_have_128_bits: bool) -> bool {
    let first =
        if may_have_128_bits { CipherSuite::TLS13_AES_128_GCM_SHA256 } else { CipherSuite::TLS13_AES_256_GCM_SHA384 };
    let has_128_bits = |suite: &CipherSuite| format!("{suite:?}").contains("AES_128");
    named.first() == Some(&first) && named.iter().any(has_128_bits) == may_have_128_bits
}
