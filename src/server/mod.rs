//! The assembly: sockets, TLS, dispatch, drain, reload, and the one place where all is wired (`start.rs`).
//!
//! It decides nothing about permission or protocol: a request that is for us goes to `proxy` or `endpoints`. It may
//! name everything but `cli`. Start with `run.rs`, then `start.rs`; a connection's way is `listener.rs`, `connection.rs`, `watch.rs`,
//! `dispatch.rs`; a changed configuration's is `reload.rs` and `build.rs`.

mod activity;
mod admission;
mod build;
mod certificate;
pub mod command_socket;
mod connection;
mod connection_table;
mod continuing;
pub mod data_folder;
pub mod dev_certs;
mod dispatch;
mod error;
mod fetch;
mod harden;
mod health;
mod host;
mod idle;
pub mod keys;
mod listener;
mod operator;
mod process_metrics;
mod proxy_header;
mod refused;
mod reload;
mod run;
mod service_manager;
mod signals;
mod start;
mod stream;
mod supervise;
mod tls;
mod upstreams;
mod watch;
mod worker;

pub use certificate::{CertificateError, look_over};
pub use error::RunError;
pub use harden::survive_file_size_limit;
pub use run::{OnReady, Ready, RunOptions, run};
