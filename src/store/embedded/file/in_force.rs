//! Operations that end access and could not be written: in force at once, and written when that is possible.
//!
//! They are performed in a transaction that stays open on the writer's connection, and all reads of this process happen
//! inside it, so that readers need not know what is not stored. The change log is read from the disk only, since its
//! numbers must not be given twice; its followers are informed here.
//!
//! Other processes must not write meanwhile, because older changes stored later would undo theirs. SQLite releases its
//! lock whenever a commit fails, so the folder of the store is locked as well, and commands check that.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::disk;
use super::fault;
use super::folder_lock::FolderLock;
use super::operation::Operation;
use super::readers::Job;
use super::worker::WriterThread;
use crate::store::embedded::rows::audit;
use crate::store::embedded::rows::row::execute;
use crate::store::{Result, StoreError};

impl WriterThread {
    /// Begins a transaction, replacing an open one, with everything that is in force but not stored.
    pub(super) fn begin_with_unstored(&mut self) -> Result<()> {
        self.roll_back();
        self.expect_no_lock()?;
        execute(&self.db, "BEGIN IMMEDIATE", [])?;
        if let Err(locked) = self.expect_no_lock() {
            self.roll_back();
            return Err(locked);
        }
        let mut operations = std::mem::take(&mut self.unstored.operations);
        let outcome = operations.iter_mut().try_for_each(|operation| self.perform(operation.as_mut()));
        self.unstored.operations = operations;
        if outcome.is_err() {
            self.roll_back();
        }
        outcome
    }

    /// Refuses to write while a server has something in force that is not stored.
    fn expect_no_lock(&self) -> Result<()> {
        if !self.disk.is_of_server() && FolderLock::is_taken(self.disk.folder()) {
            return Err(fault::held_by_server());
        }
        Ok(())
    }

    /// Keeps the transaction open, and others from writing, while something is in force but not stored: a failed commit
    /// ends the transaction.
    pub(super) fn hold_unstored(&mut self) {
        if self.unstored.is_empty() {
            return;
        }
        if self.unstored.lock.is_none() {
            self.unstored.lock = FolderLock::take(self.disk.folder());
        }
        if self.db.is_autocommit()
            && let Err(error) = self.begin_with_unstored()
        {
            tracing::debug!(%error, "the transaction with the unstored revocations could not be begun again");
        }
    }

    /// Reads inside the open transaction, or fails.
    pub(super) fn read(&mut self, job: Job) {
        if !self.unstored.is_empty()
            && self.db.is_autocommit()
            && let Err(error) = self.begin_with_unstored()
        {
            // The caller gets an error, and never a revoked grant as active.
            tracing::warn!(%error, "the unstored revocations could not be read");
            return;
        }
        job(&self.db);
    }

    /// Puts the operations of a group in force that end access, after the group's transaction has failed, and answers
    /// them. Returns the others.
    pub(super) fn put_in_force(&mut self, group: Vec<Box<dyn Operation>>) -> Vec<Box<dyn Operation>> {
        // A command ends a moment later, and its unstored changes with it.
        if !self.disk.is_of_server() || !group.iter().any(|operation| operation.is_urgent()) {
            return group;
        }
        if self.db.is_autocommit()
            && let Err(error) = self.begin_with_unstored()
        {
            tracing::error!(%error, "a revocation can neither be stored nor put in force");
            return group;
        }
        let (urgent, mut others): (Vec<_>, Vec<_>) = group.into_iter().partition(|operation| operation.is_urgent());
        for operation in urgent {
            others.extend(self.put_one_in_force(operation));
        }
        others
    }

    /// Puts one operation in force; returns it if that failed.
    fn put_one_in_force(&mut self, mut operation: Box<dyn Operation>) -> Option<Box<dyn Operation>> {
        if !self.unstored.has_place(operation.ends_access())
            || (self.db.is_autocommit() && self.begin_with_unstored().is_err())
        {
            return Some(operation);
        }
        let changed = self.db.total_changes();
        let newest = audit::newest_change(&self.db);
        let performed = self.perform(operation.as_mut());
        if let Err(error) = newest.and_then(|newest| performed.map(|()| newest)).and_then(|newest| self.tell(newest)) {
            tracing::error!(%error, "a revocation could not be put in force");
            self.roll_back();
            return Some(operation);
        }
        if operation.failure().is_some() {
            operation.answer(None);
            return None;
        }
        let is_change = self.db.total_changes() != changed;
        if !is_change && self.unstored.is_empty() {
            operation.answer(None);
            return None;
        }
        if !is_change {
            // The end that it found may itself be in force but not stored.
            operation.answer(Some(&StoreError::NotStored));
            return None;
        }
        if self.unstored.is_empty() {
            tracing::error!(
                "a revocation is in force but cannot be stored: a restart loses it; it is stored once writing works \
                 again"
            );
            self.unstored.tried = Instant::now();
        }
        self.unstored.operations.push(operation);
        // Done before the caller is told that the operation is in force.
        self.hold_unstored();
        self.figures.unstored.store(self.unstored.len(), Ordering::Release);
        if let Some(operation) = self.unstored.operations.last_mut() {
            operation.answer(Some(&StoreError::NotStored));
        }
        None
    }

    /// Reports the changes after a position to the followers.
    fn tell(&self, after: u64) -> Result<()> {
        let Some(tell) = self.unstored.listener.get() else { return Ok(()) };
        audit::changes_since(&self.db, after)?.iter().for_each(tell);
        Ok(())
    }

    /// Tries to store what is in force, once a second.
    pub(super) fn store_unstored_when_due(&mut self) {
        if !self.unstored.is_empty() && self.unstored.tried.elapsed() >= disk::LOOK {
            self.store_unstored();
            self.unstored.tried = Instant::now();
        }
    }

    fn store_unstored(&mut self) {
        if self.broken.is_some() {
            return;
        }
        let changed = self.db.total_changes();
        let outcome = self.commit_with_less_room(&mut Vec::new());
        self.note(outcome.as_ref().err(), changed);
        if let Err(failure) = outcome {
            tracing::debug!(%failure, "the revocations that are in force cannot be stored yet");
        }
    }

    /// Drops the operations that were committed.
    pub(super) fn forget_stored(&mut self) {
        if self.unstored.is_empty() {
            return;
        }
        for failure in self.unstored.operations.iter().filter_map(|operation| operation.failure()) {
            tracing::error!(%failure, "a revocation that was in force could not be stored and is no longer in force");
        }
        tracing::info!(operations = self.unstored.len(), "the revocations that were in force are stored");
        self.unstored.operations.clear();
        self.unstored.lock = None;
        self.figures.unstored.store(0, Ordering::Release);
    }

    /// Tries a last time, and logs what is lost.
    pub(super) fn end_unstored(&mut self) {
        if self.unstored.is_empty() {
            return;
        }
        self.store_unstored();
        self.roll_back();
        if !self.unstored.is_empty() {
            let operations = self.unstored.len();
            tracing::error!(operations, "revocations that could not be stored are lost; repeat them");
        }
    }
}
