//! tracing-subscriber, text or JSON lines on standard error.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use super::sink::Sink;
use crate::config::LogConfig;

static SINK: OnceLock<Sink> = OnceLock::new();

/// Starts logging; a second call does nothing.
pub fn init(config: &LogConfig) {
    if SINK.get().is_some() {
        return;
    }
    let colours = !config.json && std::io::stderr().is_terminal();
    let Ok(sink) = Sink::start(std::io::stderr(), colours) else { return };
    if SINK.set(sink.clone()).is_err() {
        return;
    }
    // `config` has checked the filter; a wrong one here must not silence the log.
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(sink).with_ansi(colours);
    // An error means that somebody else (a test) has set a subscriber: then it has the say.
    drop(if config.json { builder.json().flatten_event(true).try_init() } else { builder.try_init() });
    report_panics();
}

/// Writes out what is still in memory; called before the process ends.
pub fn flush() {
    if let Some(sink) = SINK.get() {
        sink.flush();
    }
}

/// Logs where a panic happened and nothing else: its message may hold a value that must not be logged.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a defect: the code panicked");
    }));
}
