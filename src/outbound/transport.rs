//! `Transport`: name resolution and connecting, so that tests can act as a hostile resolver and observe every attempt
//! to connect.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::lookup::BoundedResolver;

/// Time limit for the resolver (CI-20).
pub(super) const DNS_TIME: Duration = Duration::from_secs(3);

/// Resolves names and opens connections.
#[async_trait]
pub(super) trait Transport: Send + Sync + 'static {
    /// Returns the addresses of a host; `None` if it has none, or none in time.
    async fn resolve(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>>;

    /// Connects to this address and no other.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

#[async_trait]
impl Transport for BoundedResolver {
    async fn resolve(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        self.addresses(host, port, DNS_TIME).await
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}
