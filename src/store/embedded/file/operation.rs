//! Operations for the writer, and how their callers get the result.

use std::panic::AssertUnwindSafe;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::oauth::AccountId;
use crate::store::{AuditRow, Result, StoreError};

/// The error of an operation that panicked; the log says where.
pub(super) const DEFECT: &str = "a bug in the program";

/// Who ends access: no kind of requester may use all the room for changes that are in force but not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// Ended by an operator.
    Operator,
    /// Ended by anybody else, for this account if it is about one.
    Account(Option<AccountId>),
}

impl EndedBy {
    /// Reads it from the action's audit row.
    pub(crate) fn of(row: &AuditRow) -> Self {
        if row.actor.as_deref() == Some(AuditRow::OPERATOR) {
            return Self::Operator;
        }
        Self::Account(row.subject.clone())
    }
}

/// An operation of one caller.
pub(super) trait Operation: Send {
    /// Performs the operation inside a savepoint; returns whether to keep its changes.
    fn perform(&mut self, db: &Connection) -> bool;
    /// Returns the operation's own error, if it failed.
    fn failure(&self) -> Option<&StoreError>;
    /// Returns who ends access, if the operation does: then it can be performed again, and may use the space reserved
    /// on the disk.
    fn ends_access(&self) -> Option<&EndedBy>;
    /// Returns whether the operation ends access.
    fn is_urgent(&self) -> bool {
        self.ends_access().is_some()
    }
    /// Sends the result to the caller, after the commit or its failure; only the first call has an effect.
    fn answer(&mut self, failure: Option<&StoreError>);
}

/// Work on the connection of another thread.
pub(crate) trait Work<T>: FnOnce(&Connection) -> Result<T> + Send + 'static {}
impl<T, F: FnOnce(&Connection) -> Result<T> + Send + 'static> Work<T> for F {}

/// Work that can be done more than once.
pub(crate) trait RepeatableWork<T>: Fn(&Connection) -> Result<T> + Send + 'static {}
impl<T, F: Fn(&Connection) -> Result<T> + Send + 'static> RepeatableWork<T> for F {}

/// The work of an operation.
pub(super) enum Task<T> {
    /// Performed at most once.
    Once(Option<Box<dyn Work<T>>>),
    /// Performed as often as necessary, because it ends access.
    Urgent(EndedBy, Box<dyn RepeatableWork<T>>),
}

/// An operation and its caller.
pub(super) struct PendingOperation<T> {
    task: Task<T>,
    outcome: Option<Result<T>>,
    /// The caller; `None` once it was answered.
    caller: Option<oneshot::Sender<Result<T>>>,
}

impl<T> PendingOperation<T> {
    pub(super) fn new(task: Task<T>, caller: oneshot::Sender<Result<T>>) -> Self {
        Self { task, outcome: None, caller: Some(caller) }
    }
}

impl<T: Send> Operation for PendingOperation<T> {
    fn perform(&mut self, db: &Connection) -> bool {
        // A panic of one operation is only that operation's failure: the writer and the others continue.
        let done = match &mut self.task {
            Task::Once(work) => work.take().map(|work| std::panic::catch_unwind(AssertUnwindSafe(|| work(db)))),
            Task::Urgent(_, work) => Some(std::panic::catch_unwind(AssertUnwindSafe(|| work(db)))),
        };
        let outcome = done.map(|done| done.unwrap_or_else(|_| Err(StoreError::Unavailable(DEFECT.to_owned()))));
        let stays = outcome.as_ref().is_some_and(Result::is_ok);
        self.outcome = outcome;
        stays
    }

    fn failure(&self) -> Option<&StoreError> {
        self.outcome.as_ref().and_then(|outcome| outcome.as_ref().err())
    }

    fn ends_access(&self) -> Option<&EndedBy> {
        match &self.task {
            Task::Once(_) => None,
            Task::Urgent(by, _) => Some(by),
        }
    }

    fn answer(&mut self, failure: Option<&StoreError>) {
        let Some(caller) = self.caller.take() else { return };
        let outcome = match (self.outcome.take(), failure) {
            // The operation's own error is closer to the cause than the failure of its group.
            (Some(Err(own)), _) => Err(own),
            (_, Some(failure)) => Err(failure.clone()),
            (Some(done), None) => done,
            (None, None) => Err(StoreError::Unavailable("the operation was not reached".to_owned())),
        };
        if caller.send(outcome).is_err() {
            tracing::trace!("the caller left before its operation was done");
        }
    }
}

impl std::fmt::Debug for dyn Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Operation(..)")
    }
}
