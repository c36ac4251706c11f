//! The audit row of an action or refusal, and how failures of the store are reported.

use super::caller::Caller;
use super::diagnosis::Diagnosis;
use super::face::Face;
use super::limits::refusals::{Counted, RefusalSource};
use super::limits::throttle::source_of;
use super::rejection::StoreFailed;
use super::{Issuer, IssuerRequest};
use crate::oauth::{AccountId, ReceivedValue, Rule};
use crate::store::{AuditEvent, AuditRow, StoreError};

impl IssuerRequest<'_> {
    /// Starts the audit row of an event with its time, tenant and address. The use case adds actor and target.
    pub(super) fn audit(&self, event: AuditEvent) -> AuditRow {
        AuditRow {
            address: self.caller.address,
            request_id: self.caller.request_id.clone(),
            ..AuditRow::new(self.now(), self.tenant.clone(), event)
        }
    }

    /// Starts the audit row of something that a signed-in person does.
    pub(super) fn audit_by(&self, subject: &AccountId, event: AuditEvent) -> AuditRow {
        let actor = Some(subject.as_str().to_owned());
        AuditRow { actor, subject: Some(subject.clone()), ..self.audit(event) }
    }

    /// Returns whether an action of a client for a user gets its own row; if not, counts it.
    pub(super) fn admit_row_of(&self, event: AuditEvent, user: &AccountId) -> bool {
        self.refusals.admit_of(event, user, self.now())
    }

    /// Records that a face refused the request without calling a use case; `came` is the value that broke the rule, if
    /// there is one.
    pub async fn record_refused_by(&self, face: Face, rule: Rule, came: Option<&ReceivedValue>) {
        self.record_refused(face, Diagnosis::from(rule).came(came)).await;
    }

    /// Like `record_refused_by`, with further details of the refusal.
    pub(super) async fn record_refused(&self, face: Face, why: Diagnosis<'_>) {
        let event = match face {
            Face::Page => AuditEvent::PageRefused,
            Face::Registration => AuditEvent::ClientRegistrationRefused,
            Face::Introspection | Face::Token => AuditEvent::TokenRefused,
        };
        self.refuse(self.audit(event), why).await;
    }
}

impl Issuer {
    /// Records a refusal in the audit trail only. The request is refused even if the row cannot be written.
    pub(super) async fn record_refusal(&self, row: AuditRow) {
        if let Some(row) = self.admit_row(row) {
            self.append(row).await;
        }
    }

    /// Refuses what strangers would add to the store while little disk space is left: that is kept for existing users.
    pub(super) fn expect_room(&self) -> Result<(), StoreFailed> {
        if self.services.store.stats().scarce { Err(StoreFailed::Unavailable) } else { Ok(()) }
    }

    /// Returns the row of an event that anybody can cause, or `None` if there are so many, or so little disk space,
    /// that it is only counted.
    pub(super) fn admit_row(&self, row: AuditRow) -> Option<AuditRow> {
        let source = source_of(&Caller::new(row.address, None));
        if self.services.store.stats().scarce {
            self.refusals.count(row.event, source, row.at);
            return None;
        }
        self.refusals.admit(row.event, source, row.at).then_some(row)
    }

    /// Writes how many refusals got no row of their own in the minutes that are over. Never call this as part of a
    /// request: if the client hung up, the counts not yet written would be lost.
    pub async fn record_counted_refusals(&self) {
        // On a nearly full disk, one row is written later for all of them.
        if self.services.store.stats().scarce {
            return;
        }
        self.record_counts(self.refusals.take_finished(self.services.clock.now())).await;
    }

    /// Writes the counts of the current minute as well, when the process ends.
    pub async fn record_last_refusals(&self) {
        self.record_counts(self.refusals.take_all()).await;
    }

    async fn record_counts(&self, refusals: Vec<Counted>) {
        for Counted { event, cause, count } in refusals {
            let row = AuditRow::new(self.services.clock.now(), self.tenant.clone(), event).counting(count);
            self.append(match cause {
                RefusalSource::Site(site) => {
                    AuditRow { address: Some(site).filter(|site| !site.is_unspecified()), ..row }
                }
                RefusalSource::User(subject) => AuditRow { subject: Some(subject), ..row },
                RefusalSource::Several => row,
            })
            .await;
            tracing::warn!(event = event.as_str(), count, "some events were only counted in the audit trail");
        }
    }

    pub(super) async fn append(&self, row: AuditRow) {
        if let Err(error) = self.services.store.append_audit(row).await {
            tracing::error!(%error, "a refusal could not be recorded in the audit trail");
        }
    }
}

/// Turns a store error into a refusal, and logs its cause.
pub(super) trait OrUnavailable<T> {
    /// Logs the error with the request that met it; damage to the store is recorded in the audit trail as well.
    fn or_unavailable(self, request: &IssuerRequest<'_>) -> impl Future<Output = Result<T, StoreFailed>> + Send;
}

impl<T: Send> OrUnavailable<T> for Result<T, StoreError> {
    async fn or_unavailable(self, request: &IssuerRequest<'_>) -> Result<T, StoreFailed> {
        let error = match self {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let request_id = request.caller.request_id.as_deref().unwrap_or_default();
        if matches!(error, StoreError::NotStored) {
            tracing::warn!(request_id, "a revocation is in force and not yet stored");
            return Err(StoreFailed::NotStored);
        }
        tracing::error!(%error, request_id, "the store failed");
        if let StoreError::Corrupt(what) = error {
            let row = request.audit(AuditEvent::StoreInvariant);
            request.record_refusal(AuditRow { reason: Some(what), ..row }).await;
        }
        Err(StoreFailed::Unavailable)
    }
}
