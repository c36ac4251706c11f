//! Addresses to listen on a moment later.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};

/// An address that nothing listens on, and that no other test of this process was given. The port is from below those that
/// the kernel hands out by itself: one of those could be somebody's by the time that the gateway listens there.
pub(crate) fn free_address() -> SocketAddr {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Processes that follow one another begin elsewhere, for connections of the last may still be closing.
    let first = u16::try_from(std::process::id() % 12_000).expect("it is small");
    loop {
        let port = 20_000 + first.wrapping_add(GIVEN.fetch_add(1, SeqCst)) % 12_000;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr().expect("a bound socket has an address");
        }
    }
}
