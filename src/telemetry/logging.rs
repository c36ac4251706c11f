//! Sets up tracing-subscriber: text or JSON lines on standard error.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::sink::Sink;
use crate::config::LogConfig;

static SINK: OnceLock<Sink> = OnceLock::new();
/// The target of access lines.
pub(super) const ACCESS: &str = "mcpgate::access";
/// Set if `init` has set the process's subscriber, and that writes no colours.
static DIRECT: OnceLock<Direct> = OnceLock::new();

/// What is needed to write lines into the sink without tracing.
pub(super) struct Direct {
    pub(super) sink: Sink,
    pub(super) json: bool,
    /// Whether the filter lets access lines through.
    pub(super) has_access_lines: bool,
}

/// Returns what is needed to write lines without tracing, unless only tracing can write them.
pub(super) fn direct() -> Option<&'static Direct> {
    DIRECT.get()
}

/// Libraries whose log lines strangers can cause at will, with their own bytes in them: silent unless the operator's
/// filter names them.
const SILENT: &str = "h2=off,hyper=off,rustls=off";

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
    let filter = filter(&config.filter).unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    let has_access_lines = filter.would_enable(ACCESS, &tracing::Level::INFO);
    let subscriber = subscriber(sink.clone(), filter, config.json, colours);
    // An error means that a subscriber is already set, by a test, and stays in use.
    if subscriber.try_init().is_ok() && !colours {
        DIRECT.get_or_init(|| Direct { sink, json: config.json, has_access_lines });
    }
    report_panics();
}

/// Creates the subscriber that formats events as lines.
pub(super) fn subscriber(
    sink: Sink,
    filter: Targets,
    json: bool,
    colours: bool,
) -> impl tracing::Subscriber + Send + Sync {
    let lines = fmt::layer().with_writer(sink).with_ansi(colours);
    let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(filter).with(lines)
}

/// Parses an operator's filter, which takes precedence over `SILENT` because it comes later.
fn filter(written: &str) -> Result<Targets, ParseError> {
    format!("{SILENT},{written}").parse()
}

/// Gives the current thread a log buffer of its own. For threads that run as long as the process.
pub fn own_buffer() {
    if let Some(sink) = SINK.get() {
        sink.own_buffer();
    }
}

/// Writes out what is still buffered; called before the process ends.
pub fn flush() {
    if let Some(sink) = SINK.get() {
        sink.flush();
    }
}

/// Logs where a panic happened and nothing else, because its message may contain a secret.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a bug: the code panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn a_stranger_cannot_write_into_the_log_through_a_library() {
        for (written, silent) in
            [("info", true), ("debug", true), ("trace,mcpgate=info", true), ("info,h2=warn", false)]
        {
            let read = filter(written).unwrap().to_string();
            assert_eq!(read.contains("h2=off"), silent, "{written}: {read}");
            assert!(read.contains("rustls=off"), "{read}");
        }
    }
}
