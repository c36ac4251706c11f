//! An address that refuses connections.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A local port that refuses connections while this value lives: it is bound, but not listening. A released port could
/// be taken by another process before the test connects.
pub(crate) struct Refusing(TcpSocket);

impl Refusing {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket has an address")
    }
}
