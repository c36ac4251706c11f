//! What is recorded, and what must never be: logs and metrics. No type here ever holds a secret.

mod logging;
mod metrics;

pub use logging::init;
pub use metrics::{ControlEvent, Metrics, Outcome, WorkerMetrics};
