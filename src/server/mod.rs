//! The assembly: sockets, TLS, dispatch, drain, reload, and the one place where all is wired (`start.rs`).
//!
//! It decides nothing about permission or protocol: a request that is for us goes to `proxy` or `endpoints`. It may
//! name everything but `cli`. Start with `run.rs`, then `start.rs`; a connection's way is `listener.rs`, `serve.rs`, `deadline.rs`,
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
mod deadline;
pub mod dev_certs;
mod dispatch;
mod error;
mod fetch;
mod hand_over;
mod harden;
mod health;
mod host;
mod idle;
mod in_flight;
pub mod keys;
mod listener;
mod observed;
mod operator;
mod options;
mod process_metrics;
mod proxy_header;
mod refused;
mod reload;
mod reload_status;
mod request_check;
mod resources;
mod run;
mod serve;
mod service_manager;
mod signals;
mod start;
mod stream;
mod supervise;
mod tls;
mod upkeep;
mod upstreams;
mod worker;
mod worker_threads;

pub use certificate::{CertificateError, look_over};
pub use error::RunError;
pub use harden::survive_file_size_limit;
pub use options::{OnReady, Ready, RunOptions};
pub use run::run;
