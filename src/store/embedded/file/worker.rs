//! The thread of the writer: groups of operations, one transaction each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::disk::{self, Disk};
use super::fault::{self, is_failed_sync};
use super::figures::Figures;
use super::operation::Operation;
use super::readers::Job;
use super::unstored::{Unstored, UnstoredListener};
use crate::store::embedded::rows::row::execute;
use crate::store::{Result, StoreError};

/// The most operations per transaction: beyond this the flush no longer dominates the cost.
const GROUP: usize = 256;

/// How long a transaction keeps accepting new operations after the waiting ones are done: about as long as a flush
/// takes.
const GROUP_TIME: Duration = Duration::from_millis(2);

type CommitGroup = Vec<Box<dyn Operation>>;

/// A request to the thread.
pub(super) enum Request {
    /// An operation to perform in a transaction.
    Operation(Box<dyn Operation>),
    /// A read, while some changes are in force but not stored.
    Read(Job),
}

/// The state of the writer's thread.
pub(super) struct WriterThread {
    pub(super) db: Connection,
    pub(super) disk: Disk,
    pub(super) figures: Arc<Figures>,
    pub(super) unstored: Unstored,
    /// Reads that arrived while a transaction was open.
    later: Vec<Job>,
    /// Why nothing more is written until a restart.
    pub(super) broken: Option<StoreError>,
}

impl WriterThread {
    pub(super) fn new(db: Connection, disk: Disk, figures: Arc<Figures>, listener: Arc<UnstoredListener>) -> Self {
        Self { db, disk, figures, unstored: Unstored::new(listener), later: Vec::new(), broken: None }
    }

    /// Serves requests until all handles are gone.
    pub(super) fn run(&mut self, waiting: &Receiver<Request>) {
        while let Ok(next) = self.next(waiting) {
            self.disk.look();
            self.figures.scarce.store(self.disk.is_scarce(), Ordering::Relaxed);
            self.store_unstored_when_due();
            match next {
                None => {}
                Some(Request::Read(job)) => self.read(job),
                Some(Request::Operation(first)) => self.serve(first, waiting),
            }
            self.hold_unstored();
        }
        self.end_unstored();
    }

    /// Waits for a request; with a time limit while the disk is nearly full, so that new space is noticed.
    fn next(&self, waiting: &Receiver<Request>) -> Result<Option<Request>, RecvError> {
        if !self.disk.is_scarce() && !self.disk.is_given_up() && self.unstored.is_empty() {
            return waiting.recv().map(Some);
        }
        match waiting.recv_timeout(disk::LOOK) {
            Ok(request) => Ok(Some(request)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(RecvError),
        }
    }

    /// Collects waiting operations into a group; reads among them are done later.
    fn gather(&mut self, group: &mut CommitGroup, waiting: &Receiver<Request>, most: usize) {
        for request in waiting.try_iter().take(most) {
            match request {
                Request::Operation(operation) => group.push(operation),
                Request::Read(job) => self.later.push(job),
            }
        }
    }

    /// Performs one operation together with those waiting behind it.
    fn serve(&mut self, first: Box<dyn Operation>, waiting: &Receiver<Request>) {
        let mut group = vec![first];
        self.gather(&mut group, waiting, GROUP - 1);
        if self.disk.is_given_up() {
            group = self.refuse_others(group, &fault::no_room());
        }
        if !group.is_empty() {
            self.write(group, waiting);
        }
        for job in std::mem::take(&mut self.later) {
            self.read(job);
        }
    }

    fn write(&mut self, mut group: CommitGroup, waiting: &Receiver<Request>) {
        let changed = self.db.total_changes();
        let mut outcome = match &self.broken {
            Some(broken) => Err(broken.clone()),
            // It was tried within the last second; changes in force are not written again for each new request.
            None if !self.unstored.is_empty() => Err(fault::failed_lately()),
            None => self.commit_group(&mut group, Some(waiting)),
        };
        if let Err(failure) = &outcome
            && fault::is_no_room(failure)
            && group.iter().any(|operation| operation.is_urgent())
        {
            group = self.refuse_others(group, failure);
            self.disk.give_up();
            outcome = self.commit_with_less_room(&mut group);
        }
        self.note(outcome.as_ref().err(), changed);
        if let Err(failure) = &outcome {
            tracing::error!(%failure, operations = group.len(), "a group of store operations was not committed");
            // Those behind have waited as long and would get the same error, each after its own timeout.
            self.gather(&mut group, waiting, usize::MAX);
            group = self.put_in_force(group);
            self.figures.failures.fetch_add(u64::try_from(group.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        group.iter_mut().for_each(|operation| operation.answer(outcome.as_ref().err()));
    }

    /// Records whether writing works, if there was anything to write since `changed`.
    pub(super) fn note(&self, failure: Option<&StoreError>, changed: u64) {
        // A transaction without changes does not show whether writing works again.
        if failure.is_some() || self.db.total_changes() != changed {
            self.figures.failing.store(failure.is_some(), Ordering::Relaxed);
        }
    }

    /// Answers the operations that do not end access with the error; returns the others.
    fn refuse_others(&self, group: CommitGroup, failure: &StoreError) -> CommitGroup {
        let (urgent, mut others): (CommitGroup, CommitGroup) =
            group.into_iter().partition(|operation| operation.is_urgent());
        self.figures.failures.fetch_add(u64::try_from(others.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        others.iter_mut().for_each(|operation| operation.answer(Some(failure)));
        urgent
    }

    /// Commits operations that end access on a full disk: in the remaining space, and then in the space of the
    /// write-ahead log.
    pub(super) fn commit_with_less_room(&mut self, group: &mut CommitGroup) -> Result<()> {
        let outcome = self.commit_group(group, None);
        if !outcome.as_ref().is_err_and(fault::is_no_room) {
            return outcome;
        }
        // Once the log is fully merged into the store, it is written from the beginning again.
        if let Err(error) = self.db.execute_batch("PRAGMA wal_checkpoint(RESTART)") {
            // For what is already in force this is tried every second.
            if self.unstored.is_empty() {
                tracing::warn!(%error, "the write-ahead log could not be moved into the store");
            }
        }
        self.commit_group(group, None)
    }

    /// Commits one transaction: what is in force but not stored, the group, and what arrives meanwhile.
    fn commit_group(&mut self, group: &mut CommitGroup, waiting: Option<&Receiver<Request>>) -> Result<()> {
        self.begin_with_unstored()?;
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
            let Some(waiting) = waiting else { break };
            if done >= GROUP || began.elapsed() >= GROUP_TIME || self.disk.is_given_up() {
                break;
            }
            self.gather(group, waiting, 1);
            if group.len() == done {
                break;
            }
        }
        self.commit(done.saturating_add(self.unstored.len()))?;
        self.forget_stored();
        Ok(())
    }

    /// Performs an operation in its own savepoint, so that a failure does not affect the others. An error concerns the
    /// whole transaction.
    pub(super) fn perform(&self, operation: &mut dyn Operation) -> Result<()> {
        execute(&self.db, "SAVEPOINT operation", [])?;
        if !operation.perform(&self.db) {
            self.figures.failures.fetch_add(1, Ordering::Relaxed);
            // On a full disk SQLite rolls back the whole transaction itself, including earlier operations.
            if self.db.is_autocommit() {
                let rolled_back = || StoreError::Unavailable("the transaction was rolled back".to_owned());
                return Err(operation.failure().cloned().unwrap_or_else(rolled_back));
            }
            execute(&self.db, "ROLLBACK TO operation", [])?;
        }
        execute(&self.db, "RELEASE operation", [])?;
        Ok(())
    }

    fn commit(&mut self, operations: usize) -> Result<()> {
        let began = Instant::now();
        let committed = self.db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = committed {
            if is_failed_sync(&error) {
                self.figures.halted.store(true, Ordering::Relaxed);
                self.broken = Some(StoreError::Unavailable(format!(
                    "the disk could not make data durable ({error}); nothing is written until a restart"
                )));
            }
            self.roll_back();
            return Err(error.into());
        }
        self.figures.committed(operations, began.elapsed());
        Ok(())
    }

    pub(super) fn roll_back(&self) {
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a rollback failed");
        }
    }
}
