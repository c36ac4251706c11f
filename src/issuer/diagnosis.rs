//! The log line of a refusal: the rule, the client, what came and what would have been right, so that a failing client
//! can be diagnosed from the log. There is one line per refusal that has an audit row; refusals that are only counted
//! there are only counted in the log.

use super::IssuerRequest;
use super::caller::Caller;
use crate::oauth::{AccountId, Client, ClientId, ErrorCode, OAuthError, ReceivedValue, Rule, show};
use crate::store::{AuditEvent, AuditRow};

/// Why a request was refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Diagnosis<'a> {
    rule: Rule,
    error: Option<&'a OAuthError>,
    code: Option<ErrorCode>,
    came: Option<&'a ReceivedValue>,
    client: Option<&'a ClientId>,
    client_name: Option<&'a str>,
    detail: Option<&'a str>,
    key: Option<&'static str>,
}

impl From<Rule> for Diagnosis<'_> {
    fn from(rule: Rule) -> Self {
        Self {
            rule,
            error: None,
            code: None,
            came: None,
            client: None,
            client_name: None,
            detail: None,
            key: key_of(rule),
        }
    }
}

impl<'a> From<&'a OAuthError> for Diagnosis<'a> {
    fn from(error: &'a OAuthError) -> Self {
        Self { error: Some(error), code: Some(error.code()), came: error.what_came(), ..Self::from(error.rule()) }
    }
}

impl<'a> Diagnosis<'a> {
    /// Describes a refusal with status 429, for which OAuth has no error code.
    pub(super) fn throttled(error: &'a OAuthError) -> Self {
        Self { code: None, ..Self::from(error) }
    }

    /// Adds the value that was received.
    pub(super) fn came(self, came: Option<&'a ReceivedValue>) -> Self {
        Self { came, ..self }
    }

    /// Adds the client that was refused.
    pub(super) fn of(self, client: &'a Client) -> Self {
        self.of_id(&client.id).named(client.metadata.client_name.as_deref())
    }

    /// Adds the refused client's name.
    pub(super) fn named(self, client_name: Option<&'a str>) -> Self {
        Self { client_name, ..self }
    }

    /// Adds the refused client where only its id is known.
    pub(super) fn of_id(self, id: &'a ClientId) -> Self {
        Self { client: Some(id), ..self }
    }

    /// Adds a cause that is not in the request.
    pub(super) fn because(self, detail: Option<&'a str>) -> Self {
        Self { detail, ..self }
    }

    /// Adds the configuration key that would have to be changed, if there is one.
    pub(super) fn by(self, key: impl Into<Option<&'static str>>) -> Self {
        Self { key: key.into(), ..self }
    }

    /// Returns the id of the refused client.
    pub(super) fn client_id(&self) -> Option<ClientId> {
        self.client.cloned()
    }

    /// Returns the reason for the audit row.
    pub(super) fn reason(&self) -> String {
        let label = self.rule.label();
        let Some(code) = self.code.map(ErrorCode::as_str) else { return label.to_owned() };
        match self.detail {
            Some(detail) => format!("{code} ({label}: {detail})"),
            None => format!("{code} ({label})"),
        }
    }
}

impl IssuerRequest<'_> {
    /// Records a refusal in the log and the audit trail, or only counts it when there are too many.
    pub(super) async fn refuse(&self, row: AuditRow, why: Diagnosis<'_>) {
        note(why.rule, self.caller);
        let reason = row.reason.clone().unwrap_or_else(|| why.reason());
        if let Some(row) = self.admit_row(AuditRow { reason: Some(reason), ..row }) {
            log(&why, &row, self.caller);
            self.append(row).await;
        }
    }

    /// Records a refusal that the store decided: `row` is event and reason, or `None` if the store has written the row
    /// itself. It does so once for each code and family, so no limit is needed.
    pub(super) async fn refuse_judged(
        &self,
        recorded: Option<(AuditEvent, &'static str)>,
        row: AuditRow,
        why: Diagnosis<'_>,
    ) {
        match recorded {
            Some((event, reason)) => {
                self.refuse(AuditRow { event, reason: Some(reason.to_owned()), ..row }, why).await;
            }
            None => {
                note(why.rule, self.caller);
                log(&why, &AuditRow { client: None, ..row }, self.caller);
            }
        }
    }
}

/// Notes which rule a request broke, for the access log.
fn note(rule: Rule, caller: &Caller) {
    // The first broken rule caused the others.
    let _first = caller.broken.set(rule);
}

/// Writes the log line of a refusal.
fn log(why: &Diagnosis<'_>, row: &AuditRow, caller: &Caller) {
    let client = why.client.or(row.client.as_ref()).map(|client| show(client.as_str()));
    let name = why.client_name.map(show);
    tracing::warn!(
        rule = why.rule.label(),
        error = why.code.map(ErrorCode::as_str),
        client = client.as_deref(),
        client_name = name.as_deref(),
        subject = row.subject.as_ref().map(AccountId::as_str),
        parameter = why.came.map(ReceivedValue::name),
        value = why.came.map(ReceivedValue::shown),
        detail = why.detail.map(show).as_deref(),
        expected = why.error.map_or_else(|| why.rule.expected(), OAuthError::what_was_expected),
        key = why.key,
        address = caller.address.map(tracing::field::display),
        request_id = caller.request_id.as_deref(),
        "a request was refused"
    );
}

/// The configuration keys behind some of the rules.
const KEYS: [(Rule, &str); 7] = [
    (Rule::BodyTooLarge, "limits.oauth_body"),
    (Rule::BodyTooSlow, "timeouts.oauth_body"),
    (Rule::TooManyClients, "registration.max_clients"),
    (Rule::SignInExpired, "login.interaction"),
    (Rule::ClientWaits, "registration.mode"),
    (Rule::ClientRejected, "registration.mode"),
    (Rule::ClientNotApproved, "registration.mode"),
];

fn key_of(rule: Rule) -> Option<&'static str> {
    KEYS.iter().find(|(of, _)| *of == rule).map(|(_, key)| *key)
}
