//! Readers: threads with a connection each. WAL lets them read concurrently with the writer, each from one consistent
//! state.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::operation::{DEFECT, Work};
use crate::store::{Result, StoreError};
use crate::sync::lock;

/// The most waiting reads; beyond that the caller gets an error at once.
const QUEUE: usize = 1024;

/// A read and its caller.
pub(super) type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The handle for submitting reads.
#[derive(Debug)]
pub(crate) struct Readers {
    queue: Option<SyncSender<Job>>,
    /// Each returns its connection at the end.
    threads: Vec<JoinHandle<Connection>>,
    dead: Arc<AtomicBool>,
}

impl Readers {
    /// Starts one thread for each connection.
    pub(crate) fn start(connections: Vec<Connection>) -> Result<Self> {
        let (queue, waiting) = sync_channel::<Job>(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        let dead = Arc::new(AtomicBool::new(false));
        let start = |db: Connection| {
            let (waiting, alarm) = (Arc::clone(&waiting), ReaderAlarm(Arc::clone(&dead)));
            std::thread::Builder::new().name("store-reader".to_owned()).spawn(move || {
                run(&db, &waiting);
                drop(alarm);
                db
            })
        };
        let threads = connections.into_iter().map(start).collect::<Result<_, _>>();
        let threads = threads.map_err(|e| StoreError::Unavailable(format!("cannot start a reader: {e}")))?;
        Ok(Self { queue: Some(queue), threads, dead })
    }

    /// Returns whether one of the threads has ended by a panic.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Runs a read on one consistent state of the store.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let (job, answer) = job(work);
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(job).is_err()) {
            return Err(StoreError::Unavailable("too many reads are waiting for the disk".to_owned()));
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the readers have stopped".to_owned())))
    }
}

/// Makes the job of a read, and the receiver of its result. On a connection with an open transaction it reads inside
/// that.
pub(super) fn job<T: Send + 'static>(work: impl Work<T>) -> (Job, oneshot::Receiver<Result<T>>) {
    let (caller, answer) = oneshot::channel();
    let job: Job = Box::new(move |db| {
        if caller.is_closed() {
            return;
        }
        let read = || {
            // The transaction makes several statements see the same state; dropping it ends it.
            let _state = db.is_autocommit().then(|| db.unchecked_transaction()).transpose()?;
            work(db)
        };
        // A panic of one read is only that read's failure: the thread continues.
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(read));
        let outcome = outcome.unwrap_or_else(|_| Err(StoreError::Unavailable(DEFECT.to_owned())));
        if caller.send(outcome).is_err() {
            tracing::trace!("the caller was cancelled before its read completed");
        }
    });
    (job, answer)
}

/// Reports a thread that ended by a panic: otherwise reads would become slower or stop without explanation.
struct ReaderAlarm(Arc<AtomicBool>);

impl Drop for ReaderAlarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
            tracing::error!("a reader of the store panicked");
        }
    }
}

fn run(db: &Connection, waiting: &Mutex<Receiver<Job>>) {
    loop {
        // The thread with the lock waits for the next job; the others wait for the lock.
        let next = lock(waiting).recv();
        let Ok(job) = next else { return };
        job(db);
    }
}

impl Drop for Readers {
    /// Closes the connections one after the other: of two that close at once, each may find the other still there, and
    /// then neither ends the write-ahead log as the last one does.
    fn drop(&mut self) {
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(connection) => drop(connection),
                Err(_) => tracing::error!("a reader of the store panicked and stopped"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn a_read_that_panics_fails_alone_and_a_reader_that_dies_is_told() {
        let readers = Readers::start(vec![Connection::open_in_memory().unwrap()]).unwrap();
        let defect = readers.run(|_| -> Result<(), _> { panic!("a defect") }).await;
        assert!(defect.unwrap_err().to_string().contains("a bug in the program"));
        assert_eq!((readers.run(|_| Ok(1)).await.unwrap(), readers.is_dead()), (1, false));
        readers.queue.as_ref().unwrap().send(Box::new(|_| panic!("outside of any read"))).unwrap();
        let began = Instant::now();
        while !readers.is_dead() {
            assert!(began.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
