//! The server: sockets, TLS, dispatch, drain, reload, and the wiring of all parts (`start.rs`).
//!
//! It decides nothing about permission or protocol: a request that is for us goes to `proxy` or `endpoints`. It may
//! name every module but `cli`. Start with `run.rs`, then `start.rs`; for connections read `connection/listener.rs`,
//! `connection/serve.rs`, `dispatch.rs`; for changes of the configuration `reload.rs` and `build.rs`.

mod alias;
mod build;
mod catalogue_keeper;
pub mod command_socket;
mod connection;
mod dispatch;
mod error;
#[cfg(test)]
#[path = "../../tests/support/failing_store.rs"]
mod failing_store;
mod fetch;
mod harden;
mod health;
mod host;
mod in_force;
mod last_uses;
mod offered_tools;
mod operator;
mod options;
mod process_metrics;
mod quota_keeper;
mod refusal_keeper;
mod reload;
mod reload_status;
mod request_check;
mod request_refusal;
mod resources;
mod run;
mod service_manager;
mod signals;
mod start;
mod supervise;
mod switch;
mod tls;
mod unknown_server;
mod upkeep;
mod upstreams;
mod worker;
mod worker_threads;

pub use error::RunError;
pub use harden::survive_file_size_limit;
pub use options::{OnReady, Ready, RunOptions};
pub use run::run;
pub use tls::certificate::{CertificateError, look_over};
pub use tls::dev_certs;
