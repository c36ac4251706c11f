//! The life of the process: start, serve, reload, drain.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::error::RunError;
use super::options::RunOptions;
use super::reload::FileWatch;
use super::service_manager;
use super::signals::{SignalAction, Signals};
use super::start::{Gateway, start};
use super::supervise::Failures;
use crate::config::Config;
use crate::store::{ServerLock, StoreError};
use crate::telemetry;

/// How long the process waits to write its last audit rows when the store does not answer.
const LAST_ROWS: Duration = Duration::from_secs(2);

/// How long a start may still take after the process was told to end.
const REST_OF_START: Duration = Duration::from_secs(5);

/// How long clients have to read the ends of answers that were cut short.
const FAREWELLS: Duration = Duration::from_millis(1500);

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// `RunError` when it cannot start.
pub fn run(config: Config, options: RunOptions) -> Result<(), RunError> {
    // First, because threads inherit it from the thread that starts them.
    let troubles = super::harden::harden();
    telemetry::init(&config.log);
    for (trouble, error) in troubles {
        tracing::warn!(%error, "{trouble}");
    }
    // The control path of the process itself: signals, the change log, the operator listener, and with more than one
    // worker, accepting. Requests are served by the workers' own runtimes.
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::system)?;
    let lock = control.block_on(live(config, options));
    // The tasks hold the store, which is closed with the last of them, so that another process may open it. A hanging
    // resolver is not waited for.
    control.shutdown_background();
    telemetry::flush();
    lock.map(drop)
}

/// Runs to the end of the process. Returns the lock, to be held while the store may still be open, unless the process
/// ended before it had started.
async fn live(config: Config, options: RunOptions) -> Result<Option<ServerLock>, RunError> {
    // First of all: a signal during the start must not kill the process halfway.
    let mut signals = Signals::new().map_err(RunError::system)?;
    let Some((started, is_to_end)) = begin(config, options, &mut signals).await else { return Ok(None) };
    let (gateway, mut failures) = started?;
    let failure = if is_to_end { None } else { gateway.serve(&mut signals, &mut failures).await };
    let lock = gateway.drain(&mut signals).await;
    failure.map_or(Ok(Some(lock)), |cause| Err(RunError::Failed(cause)))
}

type StartResult = Result<(Gateway, Failures), RunError>;

/// Starts, and handles signals meanwhile, since a file may be on a disk that does not answer. Also returns whether the
/// process was told to end; `None` if it was and the start did not finish in time.
async fn begin(config: Config, options: RunOptions, signals: &mut Signals) -> Option<(StartResult, bool)> {
    let control = tokio::runtime::Handle::current();
    let mut starting = tokio::task::spawn_blocking(move || control.block_on(start(config, options)));
    let mut is_to_end = false;
    let started = tokio::select! {
        started = &mut starting => Some(started),
        () = signals.end() => {
            is_to_end = true;
            // A start in progress may finish, so that what it writes is complete; then it is drained.
            tokio::select! {
                started = &mut starting => Some(started),
                () = tokio::time::sleep(REST_OF_START) => None,
                () = signals.end() => None,
            }
        }
    };
    if started.is_none() {
        tracing::warn!("told to stop during the start: the process exits");
    }
    started.map(|joined| (joined.unwrap_or_else(|panic| Err(RunError::system(panic))), is_to_end))
}

impl Gateway {
    /// Serves, and reloads on a signal or when files have changed, until the process is told to end. Returns the cause
    /// if something failed.
    async fn serve(&self, signals: &mut Signals, failures: &mut Failures) -> Option<String> {
        tokio::select! {
            Some(cause) = failures.recv() => {
                tracing::error!(cause, "the gateway cannot continue: it drains and exits");
                Some(cause)
            }
            () = self.serve_until_told(signals) => None,
        }
    }

    async fn serve_until_told(&self, signals: &mut Signals) {
        let mut digest = Some(self.loaded);
        let mut watch = self.watch();
        loop {
            let asked = tokio::select! {
                wish = signals.next() => match wish {
                    SignalAction::End => return,
                    SignalAction::Reload => true,
                },
                () = settled(&mut watch) => false,
            };
            // Files may be on a disk that does not answer: a signal to end must still be handled.
            let reloaded = tokio::select! {
                reloaded = self.reload(asked, &mut digest) => reloaded,
                () = signals.end() => return,
            };
            if reloaded {
                watch = self.watch();
            }
        }
    }

    /// Reloads if `asked`, or if the files no longer match `digest`; returns whether it did.
    async fn reload(&self, asked: bool, digest: &mut Option<[u8; 32]>) -> bool {
        let now = self.digest().await;
        if !asked && now == *digest {
            return false;
        }
        *digest = now;
        let reloader = Arc::clone(&self.reloader);
        service_manager::reloading();
        // It reads files, so it must not run on the runtime of signals and the watchdog.
        if let Err(error) = tokio::task::spawn_blocking(move || reloader.reload()).await {
            tracing::error!(%error, "reloading failed");
        }
        service_manager::ready();
        true
    }

    /// Reads the files outside the runtime of signals and the watchdog, since they may be on a disk that does not
    /// answer.
    async fn digest(&self) -> Option<[u8; 32]> {
        let reloader = Arc::clone(&self.reloader);
        let read = tokio::task::spawn_blocking(move || reloader.digest()).await;
        read.inspect_err(|error| tracing::error!(%error, "the watched files could not be read")).ok()
    }

    fn watch(&self) -> Option<FileWatch> {
        if !self.reloader.in_force.config().watch {
            return None;
        }
        let watch = FileWatch::start(&self.reloader);
        watch.inspect_err(|error| tracing::warn!(%error, "files are not watched; send SIGHUP after a change")).ok()
    }

    /// Lets requests in progress finish, for the configured time. A second signal ends the wait at once.
    async fn drain(self, signals: &mut Signals) -> ServerLock {
        let limit = self.reloader.in_force.config().timeouts.drain;
        tracing::info!(connections = self.process.admission.open(), "shutting down");
        service_manager::stopping(limit);
        self.process.draining.store(true, SeqCst);
        self.closing.cancel();
        for handle in &self.workers {
            handle.worker.wind_down();
            handle.worker.proxy.drain();
        }
        let (listening, admission) = (self.listening, &self.process.admission);
        let ended = async {
            for task in listening {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a listener failed");
                }
            }
            admission.empty().await;
        };
        tokio::select! {
            () = ended => tracing::info!("every connection has ended"),
            () = tokio::time::sleep(limit) => {
                tracing::warn!(connections = self.process.admission.open(), "timeouts.drain has expired: the \
                                                                             remaining connections are closed");
            }
            () = signals.end() => tracing::warn!("second signal: not waiting any longer"),
        }
        // What is still in progress is answered with the reason, and clients need a moment to read that.
        for handle in &self.workers {
            handle.worker.proxy.close();
        }
        drop(tokio::time::timeout(FAREWELLS, self.process.admission.empty()).await);
        self.ended.cancel();
        // Once nobody can hand over connections, the workers' runtimes end.
        drop(self.workers);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        if tokio::time::timeout(LAST_ROWS, self.issuer.record_last_refusals()).await.is_err() {
            tracing::error!("the last counts of refusals could not be written to the audit trail in time");
        }
        record_last("the last uses of tokens", self.issuer.report_uses()).await;
        record_last("the last uses of grants", self.records.last_uses.write()).await;
        record_last("the last refused operations", self.records.refusals.write_all()).await;
        record_last("the last uses of quotas", self.reloader.operator.upstreams.quotas.write()).await;
        if !matches!(tokio::time::timeout(LAST_ROWS, self.issuer.note_time()).await, Ok(Ok(()))) {
            tracing::warn!("the time could not be recorded in the store");
        }
        self.lock
    }
}

/// Waits until the last of something is written to the store, for as long as the process stays for that.
async fn record_last(what: &str, recorded: impl Future<Output = Result<(), StoreError>>) {
    match tokio::time::timeout(LAST_ROWS, recorded).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "{what} could not be recorded"),
        Err(_) => tracing::error!("{what} could not be recorded in time"),
    }
}

async fn settled(watch: &mut Option<FileWatch>) {
    match watch {
        Some(watch) => watch.settled().await,
        None => std::future::pending().await,
    }
}
