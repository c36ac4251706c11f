//! What a caller wants the writer to do, and how the caller is told.

use std::panic::AssertUnwindSafe;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::oauth::AccountId;
use crate::store::{AuditRow, Result, StoreError};

/// What is said of an operation that panicked; where is in the log.
pub(super) const DEFECT: &str = "a defect of the program";

/// Who ends access: no kind of requester may take all the room for changes that are in force and not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// An operator.
    Operator,
    /// Anybody else, who ended access of this account, if of one.
    Account(Option<AccountId>),
}

impl EndedBy {
    /// Reads it from the row of the action.
    pub(crate) fn of(row: &AuditRow) -> Self {
        if row.actor.as_deref() == Some(AuditRow::OPERATOR) {
            return Self::Operator;
        }
        Self::Account(row.subject.clone())
    }
}

/// What one caller wants done.
pub(super) trait Operation: Send {
    /// Does it inside a savepoint; whether its changes are to stay.
    fn perform(&mut self, db: &Connection) -> bool;
    /// Returns why it failed by itself, if it did.
    fn failure(&self) -> Option<&StoreError>;
    /// Returns by whom access is ended, if it ends access: then it can be performed again, and what room is left on the
    /// disk is for it.
    fn ends_access(&self) -> Option<&EndedBy>;
    /// Returns whether it ends access.
    fn is_urgent(&self) -> bool {
        self.ends_access().is_some()
    }
    /// Tells the caller, after the commit or after its failure; the first time that it is called.
    fn answer(&mut self, failure: Option<&StoreError>);
}

/// What is to be done.
pub(super) enum Work<F, G> {
    /// At most once.
    Once(Option<F>),
    /// As often as it takes, for it ends access.
    Urgent(EndedBy, G),
}

/// The type of the kind of work that an operation is not.
pub(super) type Plain<T> = fn(&Connection) -> Result<T>;

/// An operation and whom to tell.
pub(super) struct PendingOperation<T, F, G> {
    work: Work<F, G>,
    outcome: Option<Result<T>>,
    /// `None` once it was told.
    caller: Option<oneshot::Sender<Result<T>>>,
}

impl<T, F, G> PendingOperation<T, F, G> {
    pub(super) fn new(work: Work<F, G>, caller: oneshot::Sender<Result<T>>) -> Self {
        Self { work, outcome: None, caller: Some(caller) }
    }
}

impl<T, F, G> Operation for PendingOperation<T, F, G>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T> + Send,
    G: Fn(&Connection) -> Result<T> + Send,
{
    fn perform(&mut self, db: &Connection) -> bool {
        // A defect of one operation is that operation's failure: the writer and the others go on.
        let done = match &mut self.work {
            Work::Once(work) => work.take().map(|work| std::panic::catch_unwind(AssertUnwindSafe(|| work(db)))),
            Work::Urgent(_, work) => Some(std::panic::catch_unwind(AssertUnwindSafe(|| work(db)))),
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
        match &self.work {
            Work::Once(_) => None,
            Work::Urgent(by, _) => Some(by),
        }
    }

    fn answer(&mut self, failure: Option<&StoreError>) {
        let Some(caller) = self.caller.take() else { return };
        let outcome = match (self.outcome.take(), failure) {
            // What the operation itself found wrong is nearer to the cause than the failure of its group.
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
