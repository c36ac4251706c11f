//! Free addresses for listeners that start a moment later.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};

/// A free address that no other test of this process gets. The port is below the kernel's ephemeral range: a port in
/// that range could be taken by the time the gateway listens on it.
pub(crate) fn free_address() -> SocketAddr {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Consecutive processes begin at different ports, since connections of the last may still be closing.
    let first = u16::try_from(std::process::id() % 12_000).expect("it is below 12,000");
    loop {
        let port = 20_000 + first.wrapping_add(GIVEN.fetch_add(1, SeqCst)) % 12_000;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr().expect("a bound socket has an address");
        }
    }
}
