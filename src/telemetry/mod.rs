//! What is recorded, and what must never be: logs and metrics.
//!
//! No type here ever holds a secret, and no label is made of text that a stranger chose: the set of series is fixed by
//! the configuration. It does not decide what is worth recording; the callers do. Start with `metrics.rs`;
//! `exposition.rs` is the text format, `logging.rs` and `sink.rs` are the log.

mod counters;
mod event;
mod exposition;
mod logging;
mod metrics;
mod sink;
mod upstream_connection;
mod upstream_counters;

pub use event::{ControlEvent, Outcome, ServerEvent};
pub use exposition::{Exposition, Histogram, Kind};
pub use logging::{flush, init};
pub use metrics::{Metrics, WorkerMetrics};
pub use upstream_connection::UpstreamConnection;
