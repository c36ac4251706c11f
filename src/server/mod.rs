//! The one place where all is wired: sockets, TLS, dispatch, drain.

mod activity;
mod admission;
mod certificate;
mod connection;
pub mod dev_certs;
mod dispatch;
mod host;
pub mod keys;
mod listener;
mod private_file;
mod proxy_header;
mod stream;
mod tls;
mod watch;
mod worker;
