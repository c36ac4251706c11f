//! Maximum lengths of texts in the store. The layers above refuse over-long input earlier; these limits keep a
//! forgotten check from filling the disk.

use crate::oauth::{Client, Grant, ScopeToken};

use super::{Account, AuditEvent, AuditRow, Quota, Result, StoreError};

/// Maximum length of a password hash; an argon2id PHC string needs about 100 bytes.
const PASSWORD_HASH: usize = 512;
/// Maximum length of a resource, which is the URL of an upstream.
const RESOURCE: usize = 2048;
/// Maximum length of client metadata or a pending request: as large as a form body (64 KiB).
const DOCUMENT: usize = 64 * 1024;
/// Maximum length of a name from the configuration; its own check allows fewer.
const NAME: usize = 256;
/// Maximum length of the name of an API key, in bytes.
const KEY_NAME: usize = 400;
/// Maximum length of a field in the audit trail; longer ones are truncated, because a refusal must be recorded even if
/// its input was huge.
const AUDIT_FIELD: usize = 256;
/// Maximum length of the reason in an audit row that has more to tell than a reason: how a tool changed, or what was
/// refused by which rule.
const AUDIT_DETAILS: usize = 4096;
/// Maximum length of the scopes in an audit row: more than any upstream has.
const AUDIT_SCOPES: usize = 4096;

/// The most grants whose last use is recorded in one operation, so that other operations do not wait long for the
/// writer.
pub const ACTIVITY_AT_ONCE: usize = 500;

pub(super) fn activity(grants: usize) -> Result<()> {
    if grants > ACTIVITY_AT_ONCE {
        return Err(StoreError::Conflict(format!("{grants} last uses at once, {ACTIVITY_AT_ONCE} are allowed")));
    }
    Ok(())
}

/// The most counts of uses to which one operation adds, for the same reason.
pub const QUOTA_USES_AT_ONCE: usize = 500;

pub(super) fn quota_uses(counts: usize) -> Result<()> {
    if counts > QUOTA_USES_AT_ONCE {
        return Err(StoreError::Conflict(format!("{counts} counts of uses at once, {QUOTA_USES_AT_ONCE} are allowed")));
    }
    Ok(())
}

pub(super) fn quota(quota: &Quota) -> Result<()> {
    within("the upstream's name", &quota.upstream, NAME)?;
    within("the limit's name", &quota.limit, NAME)
}

fn within(what: &str, text: &str, limit: usize) -> Result<()> {
    if text.len() > limit {
        return Err(StoreError::Conflict(format!("{what} has {} bytes, {limit} are allowed", text.len())));
    }
    // SQL functions and shells stop at a NUL while SQLite's comparison does not, so two different names could look
    // equal.
    if text.contains('\0') {
        return Err(StoreError::Conflict(format!("{what} has a NUL character")));
    }
    Ok(())
}

pub(super) fn account(account: &Account) -> Result<()> {
    if account.password.is_some() && !account.subject.is_person() {
        return Err(StoreError::Conflict("a service account has no password".to_owned()));
    }
    account.password.as_deref().map_or(Ok(()), password_hash)
}

/// Checks a client and returns its metadata in stored form.
pub(super) fn client(client: &Client) -> Result<String> {
    let metadata = serde_json::Value::Object(client.metadata.to_json()).to_string();
    within("the client's metadata", &metadata, DOCUMENT)?;
    client.resource.as_ref().map_or(Ok(()), |r| resource(r.as_str()))?;
    Ok(metadata)
}

pub(super) fn password_hash(phc: &str) -> Result<()> {
    within("the password hash", phc, PASSWORD_HASH)
}

pub(super) fn resource(resource: &str) -> Result<()> {
    within("the resource", resource, RESOURCE)
}

/// Checks what is kept of an API key. Its name has at most 100 characters, which need at most 400 bytes.
pub(super) fn key(grant: &Grant) -> Result<()> {
    let missing = || StoreError::Conflict("the grant is not that of an API key".to_owned());
    let key = grant.key.as_ref().ok_or_else(missing)?;
    resource(grant.resource.as_str())?;
    within("the name of the key", &key.name, KEY_NAME)
}

pub(super) fn body(body: Option<&str>) -> Result<()> {
    body.map_or(Ok(()), |body| within("the body", body, DOCUMENT))
}

/// Truncates the free texts of an audit row, and the list of scopes at a scope boundary.
pub(super) fn audit(row: AuditRow) -> AuditRow {
    let within = |text: Option<String>, most| text.map(|t| t.chars().filter(|c| *c != '\0').take(most).collect());
    let cut = |text| within(text, AUDIT_FIELD);
    let has_details = matches!(row.event, AuditEvent::ToolChanged | AuditEvent::OperationRefused);
    let reason = if has_details { AUDIT_DETAILS } else { AUDIT_FIELD };
    let mut room = AUDIT_SCOPES;
    let fits = |scope: &&ScopeToken| {
        room = room.saturating_sub(scope.as_str().len() + 1);
        room > 0
    };
    AuditRow {
        actor: cut(row.actor),
        resource: row.resource.filter(|resource| resource.as_str().len() <= RESOURCE),
        scopes: row.scopes.map(|scopes| scopes.iter().take_while(fits).cloned().collect()),
        target: cut(row.target),
        reason: within(row.reason, reason),
        request_id: cut(row.request_id),
        ..row
    }
}
