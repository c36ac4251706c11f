//! The one place where all is wired: sockets, TLS, dispatch, drain.

mod activity;
mod admission;
mod certificate;
mod connection;
mod dispatch;
mod host;
mod listener;
mod proxy_header;
mod stream;
mod tls;
mod watch;
mod worker;
