//! The audit row of an action or refusal, and how failures of the store are reported.

use super::caller::Caller;
use super::diagnosis::Why;
use super::face::Face;
use super::limits::refusals::{Cause, Counted};
use super::limits::throttle::source_of;
use super::rejection::StoreFailed;
use super::{Issuer, IssuerRequest};
use crate::oauth::{AccountId, ReceivedValue, Rule};
use crate::store::{AuditEvent, AuditRow, StoreError};

/// How the reason of a row begins that stands for several.
const COUNTED: &str = "counted:";

impl IssuerRequest<'_> {
    /// Begins the audit row of an event: when, whose, from where. The use case adds who and what.
    pub(super) fn audit(&self, event: AuditEvent) -> AuditRow {
        AuditRow {
            address: self.caller.address,
            request_id: self.caller.request_id.clone(),
            ..AuditRow::new(self.now(), self.tenant.clone(), event)
        }
    }

    /// Begins the audit row of what a person does who is signed in.
    pub(super) fn audit_by(&self, subject: &AccountId, event: AuditEvent) -> AuditRow {
        let actor = Some(subject.as_str().to_owned());
        AuditRow { actor, subject: Some(subject.clone()), ..self.audit(event) }
    }

    /// Returns whether what a client did for a user gets a row of its own; if not, it is counted.
    pub(super) fn is_worth_a_row(&self, event: AuditEvent, user: &AccountId) -> bool {
        self.refusals.admit_of(event, user, self.now())
    }

    /// Records that a face refused the request, before or beside any use case; `came` is what broke the rule, if one value
    /// did.
    pub async fn record_refused_by(&self, face: Face, rule: Rule, came: Option<&ReceivedValue>) {
        self.record_refused(face, Why::from(rule).came(came)).await;
    }

    /// The same, with more to say.
    pub(super) async fn record_refused(&self, face: Face, why: Why<'_>) {
        let event = match face {
            Face::Page => AuditEvent::PageRefused,
            Face::Registration => AuditEvent::ClientRegistrationRefused,
            Face::Token => AuditEvent::TokenRefused,
        };
        self.refuse(self.audit(event), why).await;
    }
}

impl Issuer {
    /// Records a refusal in the audit trail alone. It stays one when its row cannot be written.
    pub(super) async fn record_refusal(&self, row: AuditRow) {
        if let Some(row) = self.within_limits(row) {
            self.append(row).await;
        }
    }

    /// Refuses what strangers would add to the store while the disk has little room left, which is for those who use it.
    pub(super) fn expect_room(&self) -> Result<(), StoreFailed> {
        if self.services.store.stats().scarce { Err(StoreFailed::Unavailable) } else { Ok(()) }
    }

    /// Returns the row of what anybody can cause, unless there are so many that it is only counted, or so little room.
    pub(super) fn within_limits(&self, row: AuditRow) -> Option<AuditRow> {
        let source = source_of(&Caller::new(row.address, None));
        if self.services.store.stats().scarce {
            self.refusals.count(row.event, source, row.at);
            return None;
        }
        self.refusals.admit(row.event, source, row.at).then_some(row)
    }

    /// Writes how many refusals got no row of their own in the minutes that are over. Never as part of a request: whoever
    /// hangs up would take the counts along that are not written yet.
    pub async fn record_counted_refusals(&self) {
        // On a disk that is nearly full one row later does for all.
        if self.services.store.stats().scarce {
            return;
        }
        self.record_counts(self.refusals.take_finished(self.services.clock.now())).await;
    }

    /// Writes those of the present minute as well: the process ends.
    pub async fn record_last_refusals(&self) {
        self.record_counts(self.refusals.take_all()).await;
    }

    async fn record_counts(&self, refusals: Vec<Counted>) {
        for Counted { event, cause, count } in refusals {
            let row = AuditRow {
                reason: Some(format!("{COUNTED} {count} more, of a minute or two")),
                ..AuditRow::new(self.services.clock.now(), self.tenant.clone(), event)
            };
            self.append(match cause {
                Cause::Site(site) => AuditRow { address: Some(site).filter(|site| !site.is_unspecified()), ..row },
                Cause::User(subject) => AuditRow { subject: Some(subject), ..row },
                Cause::Several => row,
            })
            .await;
            tracing::warn!(
                event = event.as_str(),
                count,
                "some events were counted, without a row of the audit trail each"
            );
        }
    }

    pub(super) async fn append(&self, row: AuditRow) {
        if let Err(error) = self.services.store.append_audit(row).await {
            tracing::error!(%error, "a refusal could not be recorded in the audit trail");
        }
    }
}

/// Turns a failure of the store into a refusal, its cause into a log line.
pub(super) trait OrUnavailable<T> {
    /// Logs a failure with the request it struck; damage goes into the audit trail as well.
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
