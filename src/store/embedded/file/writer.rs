//! The only writer: a thread that collects waiting operations into one transaction, commits it, and only then answers.
//!
//! A commit costs one disk flush however many operations it contains, so under load the cost is shared; a single
//! operation never waits for others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::disk::Disk;
use super::figures::Figures;
use super::operation::{EndedBy, PendingOperation, RepeatableWork, Task, Work};
use super::readers::job;
use super::unstored::UnstoredListener;
use super::worker::{Request, WriterThread};
use crate::store::{Result, StoreError, StoreStats, TellUnstored};

/// The most waiting operations: some seconds' worth on a slow disk. Beyond that the caller gets an error at once.
const QUEUE: usize = 4096;

/// The handle for submitting operations.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
    figures: Arc<Figures>,
    listener: Arc<UnstoredListener>,
}

impl Writer {
    /// Starts the thread, which then owns the connection.
    pub(crate) fn start(db: Connection, mut disk: Disk) -> Result<Self> {
        disk.look();
        let (queue, waiting) = sync_channel(QUEUE);
        let figures = Arc::new(Figures::default());
        let listener = Arc::new(UnstoredListener::default());
        let mut worker = WriterThread::new(db, disk, Arc::clone(&figures), Arc::clone(&listener));
        let alarm = WriterAlarm(Arc::clone(&figures));
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            worker.run(&waiting);
            drop(alarm);
        });
        let thread = thread.map_err(|e| StoreError::Unavailable(format!("cannot start the writer: {e}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), figures, listener })
    }

    /// Runs `work` in a transaction. Returns after the commit; an error means that nothing was changed.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        self.hand_in(Task::Once(Some(Box::new(work)))).await
    }

    /// Like `run`, for `work` that ends access. It may use the space reserved on a full disk; if it still cannot be
    /// written, it is in force until it can (`StoreError::NotStored`).
    pub(crate) async fn run_urgent<T: Send + 'static>(&self, by: EndedBy, work: impl RepeatableWork<T>) -> Result<T> {
        self.hand_in(Task::Urgent(by, Box::new(work))).await
    }

    async fn hand_in<T: Send + 'static>(&self, task: Task<T>) -> Result<T> {
        let (caller, answer) = oneshot::channel();
        let operation = Box::new(PendingOperation::new(task, caller));
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(Request::Operation(operation)).is_err()) {
            self.figures.failures.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Unavailable("too many operations are waiting for the disk".to_owned()));
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the writer has stopped".to_owned())))
    }

    /// Returns whether something is in force but not stored: then only `read` sees it.
    pub(crate) fn has_unstored(&self) -> bool {
        self.figures.unstored.load(Ordering::Acquire) > 0
    }

    /// Reads the store as it will be once everything in force is stored.
    pub(crate) async fn read<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let (job, answer) = job(work);
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(Request::Read(job)).is_err()) {
            return Err(StoreError::Unavailable("too many reads are waiting for the writer".to_owned()));
        }
        let lost = "the unstored revocations cannot be read at the moment";
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable(lost.to_owned())))
    }

    /// Sets who is notified of changes that are in force but not stored.
    pub(crate) fn tell_unstored(&self, tell: TellUnstored) {
        self.listener.set(tell);
    }

    pub(crate) fn stats(&self) -> StoreStats {
        self.figures.stats()
    }
}

impl Drop for Writer {
    /// Waits until pending operations are done and the file is closed.
    fn drop(&mut self) {
        drop(self.queue.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer panicked and stopped");
        }
    }
}

/// Reports a thread that ended by a panic: reads continue, so nothing else would show it.
struct WriterAlarm(Arc<Figures>);

impl Drop for WriterAlarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halted.store(true, Ordering::Relaxed);
            self.0.dead.store(true, Ordering::Relaxed);
            tracing::error!("the store's writer panicked; nothing is written until a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use rusqlite::Connection;

    use super::{Disk, Figures, StoreError, Writer, WriterAlarm};

    #[tokio::test]
    async fn an_operation_that_panics_fails_alone_and_changes_nothing() {
        let writer = Writer::start(Connection::open_in_memory().unwrap(), Disk::new(Path::new("none"), false)).unwrap();
        writer.run(|db| Ok(db.execute_batch("CREATE TABLE t (a)")?)).await.unwrap();
        let insert = |db: &Connection| db.execute("INSERT INTO t VALUES (1)", []).map_err(StoreError::from);
        let defect = writer.run(move |db| -> Result<(), _> {
            insert(db)?;
            panic!("a defect")
        });
        let (before, defect, after) = tokio::join!(writer.run(insert), defect, writer.run(insert));
        assert_eq!((before.unwrap(), after.unwrap()), (1, 1));
        assert!(defect.unwrap_err().to_string().contains("a bug in the program"));
        let count = writer.run(|db| Ok(db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u32>(0))?)).await;
        assert_eq!((count.unwrap(), writer.stats().halted), (2, false));
    }

    #[test]
    fn a_writer_that_dies_is_told() {
        let figures = Arc::new(Figures::default());
        let alarm = WriterAlarm(Arc::clone(&figures));
        let body = move || {
            let _alarm = alarm;
            panic!("a defect");
        };
        assert!(std::thread::spawn(body).join().is_err());
        assert!(figures.dead.load(Ordering::Relaxed) && figures.halted.load(Ordering::Relaxed));
    }
}
