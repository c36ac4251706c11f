//! TLS of the public listener: handshakes (`acceptor.rs`), session tickets, our certificate, and the development CA.
//!
//! Not for: TLS towards others (`trust`). Which names are ours is in `host.rs`.

pub(super) mod acceptor;
pub(super) mod certificate;
pub mod dev_certs;
mod session_tickets;
