//! Logs and metrics: what is recorded, and what must never be.
//!
//! No type here ever contains a secret, and no label contains text chosen by a stranger: the configuration determines
//! the set of series. Callers decide what is recorded. Start with `metrics.rs`; `exposition.rs` is the text format,
//! `logging.rs` and `sink.rs` are the log, `access_line.rs` is the line for each request.

mod access_line;
mod counters;
mod event;
mod exposition;
mod line_writer;
mod logging;
mod metrics;
mod sink;
mod upstream_connection;
mod upstream_counters;

pub use access_line::AccessLine;
pub use event::{ControlEvent, Outcome, ServerEvent};
pub use exposition::{Exposition, Histogram, Kind};
pub use logging::{flush, init, own_buffer};
pub use metrics::{Metrics, WorkerMetrics};
pub use upstream_connection::UpstreamConnection;
