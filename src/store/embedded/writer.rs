//! The one writer: a thread that gathers what waits into one transaction, commits it, and only then answers.
//!
//! A commit costs one flush of the disk however many operations it carries, so under load the cost is shared; a lone
//! operation never waits for company.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::{StoreError, StoreStats};
use super::disk::{self, Disk};
use super::fault::{self, is_failed_sync};
use super::operation::{Operation, Pending, Plain, Work};
use super::row::execute;

/// Operations in one transaction at most: beyond this the flush is no longer what costs.
const GROUP: usize = 256;

/// How long a transaction that has done all that waited goes on taking in what arrives: about as long as a flush takes.
const GROUP_TIME: Duration = Duration::from_millis(2);

/// Operations that may wait: some seconds' worth on a slow disk. Beyond that the caller is told at once.
const QUEUE: usize = 4096;

/// Counts for the metrics.
#[derive(Debug, Default)]
struct Figures {
    commits: AtomicU64,
    operations: AtomicU64,
    commit_micros: AtomicU64,
    commit_buckets: [AtomicU64; 6],
    failures: AtomicU64,
    failing: AtomicBool,
    halted: AtomicBool,
    dead: AtomicBool,
    scarce: AtomicBool,
}

impl Figures {
    /// Upper bounds of the first five buckets; the sixth has none.
    const BOUNDS: [Duration; 5] = [
        Duration::from_millis(1),
        Duration::from_millis(5),
        Duration::from_millis(25),
        Duration::from_millis(100),
        Duration::from_millis(500),
    ];

    fn committed(&self, operations: usize, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(u64::try_from(operations).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.commit_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let bucket = Self::BOUNDS.iter().take_while(|bound| took > **bound).count();
        self.commit_buckets.get(bucket).into_iter().for_each(|b| {
            b.fetch_add(1, Ordering::Relaxed);
        });
    }
}

/// The handle by which operations are handed in.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Operation>>>,
    thread: Option<JoinHandle<()>>,
    figures: Arc<Figures>,
}

impl Writer {
    /// Starts the thread, which owns the connection from now on.
    pub(super) fn start(db: Connection, mut disk: Disk) -> Result<Self, StoreError> {
        disk.look();
        let (queue, waiting) = sync_channel(QUEUE);
        let figures = Arc::new(Figures::default());
        let mut worker = Worker { db, disk, figures: Arc::clone(&figures), broken: None };
        let alarm = Alarm(Arc::clone(&figures));
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            worker.run(&waiting);
            drop(alarm);
        });
        let thread = thread.map_err(|e| StoreError::Unavailable(format!("cannot start the writer: {e}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), figures })
    }

    /// Does `work` in a transaction. The answer comes after the commit; an error means that nothing was changed.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let work: Work<F, Plain<T>> = Work::Once(Some(work));
        self.hand_in(work).await
    }

    /// The same for `work` that ends access. What is kept free on a full disk is given up for it.
    pub(super) async fn run_urgent<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let work: Work<Plain<T>, F> = Work::Urgent(work);
        self.hand_in(work).await
    }

    async fn hand_in<T, F, G>(&self, work: Work<F, G>) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        G: Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let operation = Box::new(Pending::new(work, caller));
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(operation).is_err()) {
            self.figures.failures.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Unavailable("too many operations wait for the disk".to_owned()));
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the writer has stopped".to_owned())))
    }

    pub(super) fn stats(&self) -> StoreStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            commits: read(&self.figures.commits),
            operations: read(&self.figures.operations),
            commit_micros: read(&self.figures.commit_micros),
            commit_buckets: self.figures.commit_buckets.each_ref().map(read),
            failures: read(&self.figures.failures),
            failing: self.figures.failing.load(Ordering::Relaxed),
            halted: self.figures.halted.load(Ordering::Relaxed),
            dead: self.figures.dead.load(Ordering::Relaxed),
            scarce: self.figures.scarce.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Writer {
    /// Lets what waits be done, and the file be closed, before the process goes on.
    fn drop(&mut self) {
        drop(self.queue.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer ended by a panic");
        }
    }
}

/// Tells when the thread ends by a panic: reads go on, so nothing else would.
struct Alarm(Arc<Figures>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halted.store(true, Ordering::Relaxed);
            self.0.dead.store(true, Ordering::Relaxed);
            tracing::error!("the store's writer panicked; nothing more is written until a restart");
        }
    }
}

/// The thread's own side.
struct Worker {
    db: Connection,
    disk: Disk,
    figures: Arc<Figures>,
    /// Why nothing more is written in this process's life.
    broken: Option<StoreError>,
}

impl Worker {
    fn run(&mut self, waiting: &Receiver<Box<dyn Operation>>) {
        while let Ok(first) = self.next(waiting) {
            self.disk.look();
            self.figures.scarce.store(self.disk.is_scarce(), Ordering::Relaxed);
            let Some(first) = first else { continue };
            let mut group = vec![first];
            group.extend(waiting.try_iter().take(GROUP - 1));
            if self.disk.is_given_up() {
                group = self.refuse_others(group, &fault::no_room());
            }
            let changed = self.db.total_changes();
            let mut outcome = match &self.broken {
                Some(broken) => Err(broken.clone()),
                None => self.commit_group(&mut group, waiting),
            };
            if let Err(failure) = &outcome
                && fault::is_no_room(failure)
                && group.iter().any(|operation| operation.is_urgent())
            {
                group = self.refuse_others(group, failure);
                outcome = self.force(&mut group, waiting);
            }
            // What had nothing to write says nothing of whether writing works again.
            if outcome.is_err() || self.db.total_changes() != changed {
                self.figures.failing.store(outcome.is_err(), Ordering::Relaxed);
            }
            if let Err(failure) = &outcome {
                tracing::error!(%failure, operations = group.len(), "a group of store operations was not committed");
                // Those behind have waited as long and would meet the same fault, each after its own timeout.
                group.extend(waiting.try_iter());
                self.figures.failures.fetch_add(u64::try_from(group.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            group.into_iter().for_each(|operation| operation.answer(outcome.as_ref().err()));
        }
    }

    /// Waits for an operation; not for ever while there is little room, so that it is seen when there is more.
    fn next(&self, waiting: &Receiver<Box<dyn Operation>>) -> Result<Option<Box<dyn Operation>>, RecvError> {
        if !self.disk.is_scarce() && !self.disk.is_given_up() {
            return waiting.recv().map(Some);
        }
        match waiting.recv_timeout(disk::LOOK) {
            Ok(operation) => Ok(Some(operation)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(RecvError),
        }
    }

    /// Tells those who do not end access that there is no room; returns the others.
    fn refuse_others(&self, group: Vec<Box<dyn Operation>>, failure: &StoreError) -> Vec<Box<dyn Operation>> {
        let (urgent, others): (Vec<_>, Vec<_>) = group.into_iter().partition(|operation| operation.is_urgent());
        self.figures.failures.fetch_add(u64::try_from(others.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        others.into_iter().for_each(|operation| operation.answer(Some(failure)));
        urgent
    }

    /// Commits what ends access on a full disk: with the room that was kept for it, and then in the room that the log has.
    fn force(
        &mut self,
        group: &mut Vec<Box<dyn Operation>>,
        waiting: &Receiver<Box<dyn Operation>>,
    ) -> Result<(), StoreError> {
        self.disk.give_up();
        let outcome = self.commit_group(group, waiting);
        if !outcome.as_ref().is_err_and(fault::is_no_room) {
            return outcome;
        }
        // When all that is in the log is in the store as well, the log is written from its beginning again.
        if let Err(error) = self.db.execute_batch("PRAGMA wal_checkpoint(RESTART)") {
            tracing::warn!(%error, "the log could not be brought into the store");
        }
        self.commit_group(group, waiting)
    }

    /// One transaction: the group, and what arrives meanwhile.
    fn commit_group(
        &mut self,
        group: &mut Vec<Box<dyn Operation>>,
        waiting: &Receiver<Box<dyn Operation>>,
    ) -> Result<(), StoreError> {
        execute(&self.db, "BEGIN IMMEDIATE", [])?;
        let began = Instant::now();
        let mut done = 0;
        loop {
            while let Some(operation) = group.get_mut(done) {
                if let Err(error) = self.perform(operation.as_mut()) {
                    self.roll_back();
                    return Err(error);
                }
                done += 1;
            }
            if done >= GROUP || began.elapsed() >= GROUP_TIME || self.disk.is_given_up() {
                break;
            }
            let Ok(next) = waiting.try_recv() else { break };
            group.push(next);
        }
        self.commit(done)
    }

    /// Each operation has its own savepoint, so that one which fails leaves the others unharmed. An error is one of the
    /// transaction as a whole.
    fn perform(&self, operation: &mut dyn Operation) -> Result<(), StoreError> {
        execute(&self.db, "SAVEPOINT operation", [])?;
        if !operation.perform(&self.db) {
            self.figures.failures.fetch_add(1, Ordering::Relaxed);
            // A full disk makes SQLite roll the whole transaction back by itself; what was done before is lost too.
            if self.db.is_autocommit() {
                let rolled_back = || StoreError::Unavailable("the transaction was rolled back".to_owned());
                return Err(operation.failure().cloned().unwrap_or_else(rolled_back));
            }
            execute(&self.db, "ROLLBACK TO operation", [])?;
        }
        execute(&self.db, "RELEASE operation", [])?;
        Ok(())
    }

    fn commit(&mut self, operations: usize) -> Result<(), StoreError> {
        let began = Instant::now();
        let committed = self.db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = committed {
            if is_failed_sync(&error) {
                self.figures.halted.store(true, Ordering::Relaxed);
                self.broken = Some(StoreError::Unavailable(format!(
                    "the disk could not make data durable ({error}); nothing more is written until a restart"
                )));
            }
            self.roll_back();
            return Err(error.into());
        }
        self.figures.committed(operations, began.elapsed());
        Ok(())
    }

    fn roll_back(&self) {
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a rollback failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use rusqlite::Connection;

    use super::{Alarm, Disk, Figures, StoreError, Writer};

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
        assert!(defect.unwrap_err().to_string().contains("a defect of the program"));
        let count = writer.run(|db| Ok(db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u32>(0))?)).await;
        assert_eq!((count.unwrap(), writer.stats().halted), (2, false));
    }

    #[test]
    fn a_writer_that_dies_is_told() {
        let figures = Arc::new(Figures::default());
        let alarm = Alarm(Arc::clone(&figures));
        let body = move || {
            let _alarm = alarm;
            panic!("a defect");
        };
        assert!(std::thread::spawn(body).join().is_err());
        assert!(figures.dead.load(Ordering::Relaxed) && figures.halted.load(Ordering::Relaxed));
    }
}
