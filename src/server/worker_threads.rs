//! The workers' threads: each has its own runtime, and serves the connections that are handed to its worker.

use std::sync::Arc;

use tokio::sync::mpsc::Receiver;

use super::connection::hand_over::{Accepted, WorkerHandle};
use super::connection::serve;
use super::error::RunError;
use super::service_manager::Watchdog;
use super::supervise::{Alarm, Supervisor};
use super::worker::{Process, Snapshot, Worker};
use crate::entropy::Entropy;
use crate::telemetry;

/// Starts a thread for each worker; returns a handle to each worker, and the threads.
///
/// # Errors
/// `RunError::System` when the system refuses a thread or what its runtime needs.
pub(super) fn start(
    process: &Arc<Process>,
    snapshot: &Snapshot,
    entropy: &dyn Entropy,
    alarm: &Alarm,
    supervisor: &Supervisor,
) -> Result<(Vec<WorkerHandle>, Vec<std::thread::JoinHandle<()>>), RunError> {
    let watchdog = Watchdog::asked_for(snapshot.config.workers);
    if let Some(watchdog) = watchdog.clone() {
        drop(supervisor.spawn("watchdog", move || watchdog.clone().run()));
    }
    let mut handles = Vec::new();
    let mut threads = Vec::new();
    for number in 0..snapshot.config.workers {
        let worker = Arc::new(Worker::new(Arc::clone(process), snapshot.clone(), entropy));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::system)?;
        let (handle, accepted) = WorkerHandle::new(worker, runtime.handle().clone());
        let name = format!("worker-{number}");
        let (alarm, beat) = (alarm.of_thread(name.clone()), watchdog.clone().map(|watchdog| watchdog.beat(number)));
        let body = move || {
            let _alarm = alarm;
            telemetry::own_buffer();
            runtime.block_on(serve_connections(accepted, beat));
            runtime.shutdown_background();
        };
        threads.push(std::thread::Builder::new().name(name).spawn(body).map_err(RunError::system)?);
        handles.push(handle);
    }
    Ok((handles, threads))
}

/// Serves the connections that are handed over, until the channel closes; those still open are then cut. A single
/// worker accepts its connections itself, and the channel only says how long. `beat` reports to the watchdog that the
/// worker is running.
async fn serve_connections(mut accepted: Receiver<Accepted>, beat: Option<impl Future<Output = ()> + Send + 'static>) {
    if let Some(beat) = beat {
        drop(tokio::spawn(beat));
    }
    while let Some(accepted) = accepted.recv().await {
        drop(tokio::spawn(serve::serve(accepted)));
    }
}
