//! The audit row of a deed or refusal, and what becomes of a store that fails.

use std::sync::PoisonError;

use super::rejection::StoreFailed;
use super::{Caller, Issuer};
use crate::oauth::{Lifetime, Timestamp};
use crate::store::{AuditEvent, AuditRow, StoreError};

/// How often the log tells of refusals that got no audit row.
const TELL_EVERY: Lifetime = Lifetime::from_secs(10);

/// Refusals that got no audit row since the log last told.
#[derive(Debug, Default)]
pub(super) struct Unrecorded(std::sync::Mutex<(u64, Timestamp)>);

impl Issuer {
    /// Begins the audit row of an event: when, whose, from where. The caller adds who and what.
    pub(super) fn audit(&self, event: AuditEvent, caller: &Caller) -> AuditRow {
        AuditRow {
            at: self.clock.now(),
            tenant: self.tenant.clone(),
            event,
            actor: None,
            client: None,
            address: caller.address,
            target: None,
            reason: None,
            request_id: caller.request_id.clone(),
        }
    }

    /// Records a refusal. A refusal stays one when its row cannot be written, and a stranger who causes them by the
    /// thousand fills the log line below, not the disk.
    pub(super) async fn record_refusal(&self, row: AuditRow) {
        if self.throttle.refusal().is_err() {
            return self.unrecorded.count(row.at);
        }
        if let Err(error) = self.store.append_audit(row).await {
            tracing::error!(%error, "a refusal could not be recorded in the audit trail");
        }
    }
}

impl Unrecorded {
    fn count(&self, now: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = state.0.saturating_add(1);
        if now.since(state.1) >= TELL_EVERY {
            tracing::warn!(refusals = state.0, "too many refusals: these were counted, not written to the audit trail");
            *state = (0, now);
        }
    }
}

/// Turns a failure of the store into a refusal, its cause into a log line.
pub(super) trait OrUnavailable<T> {
    /// Logs a failure with the request it struck; damage goes into the audit trail as well.
    fn or_unavailable(self, issuer: &Issuer, caller: &Caller) -> impl Future<Output = Result<T, StoreFailed>> + Send;
}

impl<T: Send> OrUnavailable<T> for Result<T, StoreError> {
    async fn or_unavailable(self, issuer: &Issuer, caller: &Caller) -> Result<T, StoreFailed> {
        let error = match self {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let request_id = caller.request_id.as_deref().unwrap_or_default();
        tracing::error!(%error, request_id, "the store failed");
        if let StoreError::Corrupt(what) = error {
            let row = issuer.audit(AuditEvent::StoreInvariant, caller);
            issuer.record_refusal(AuditRow { reason: Some(what), ..row }).await;
        }
        Err(StoreFailed)
    }
}
