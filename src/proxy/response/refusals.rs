//! `StreamRefusals`: upstreams' refusals of streams that came too late to be the answer to their own request.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::proxy::fault::Cause;
use crate::sync::lock;

/// How long a late refusal is kept, and below how many of them per upstream.
const REFUSAL: Duration = Duration::from_secs(300);
const REFUSALS: usize = 1024;

/// An upstream's refusal of a stream.
#[derive(Debug, Clone)]
pub(in crate::proxy) enum StreamRefusal {
    Status(StatusCode, Option<HeaderValue>),
    Fault(Cause, String),
}

/// Refusals of streams that came too late, by whose stream it was.
#[derive(Debug, Default)]
pub(in crate::proxy) struct StreamRefusals(Mutex<HashMap<String, (Instant, StreamRefusal)>>);

impl StreamRefusals {
    pub(in crate::proxy) fn put(&self, stream: String, refusal: StreamRefusal) {
        let mut kept = lock(&self.0);
        if kept.len() >= REFUSALS {
            kept.retain(|_, (since, _)| since.elapsed() < REFUSAL);
        }
        if kept.len() < REFUSALS {
            kept.insert(stream, (Instant::now(), refusal));
        }
    }

    pub(in crate::proxy) fn take(&self, stream: &str) -> Option<StreamRefusal> {
        let (since, refusal) = lock(&self.0).remove(stream)?;
        (since.elapsed() < REFUSAL).then_some(refusal)
    }
}
