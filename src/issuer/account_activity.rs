//! What people see of their account's recent activity: rows of the audit trail, in words.

use std::collections::HashMap;
use std::net::IpAddr;

use super::IssuerRequest;
use super::audit::OrUnavailable;
use super::rejection::StoreFailed;
use crate::oauth::{AccountId, ClientId, Timestamp};
use crate::store::{AuditEvent, AuditFilter, AuditRow};

/// How many rows are read, at most, of the newest of the whole trail that a store looks at in one call; of equal ones
/// in a row only one is shown.
const READ: u32 = 200;
/// How many lines are shown.
const SHOWN: usize = 20;

/// Something that happened to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountActivity {
    /// When, or when last.
    pub at: Timestamp,
    /// What, as a sentence without full stop.
    pub what: String,
    /// From which address, if that is known.
    pub address: Option<IpAddr>,
    /// How often in a row.
    pub times: usize,
}

impl IssuerRequest<'_> {
    /// Returns the recent activity of an account, newest first.
    pub(super) async fn activity(&self, subject: &AccountId) -> Result<Vec<AccountActivity>, StoreFailed> {
        let filter = AuditFilter {
            tenant: Some(self.tenant.clone()),
            subject: Some(subject.clone()),
            events: WORDS.iter().map(|(event, _)| *event).collect(),
            ..AuditFilter::default()
        };
        let page = self.services.store.audit_before(&filter, None, READ).await.or_unavailable(self).await?;
        let mut shown: Vec<AccountActivity> = Vec::new();
        let mut names: HashMap<ClientId, String> = HashMap::new();
        for (_, row) in page.rows {
            let client = match &row.client {
                Some(id) if names.contains_key(id) => names.get(id).cloned().unwrap_or_default(),
                Some(id) => {
                    let name = self.client_name(id).await?;
                    names.insert(id.clone(), name.clone());
                    name
                }
                None => String::new(),
            };
            let resource = row.resource.as_ref().and_then(|resource| self.policy.upstream(resource));
            let place = match (&row.resource, resource) {
                (_, Some(upstream)) => upstream.display_name.as_str(),
                (Some(resource), None) => resource.as_str(),
                (None, None) => "",
            };
            let named = RowNames { client: &client, resource: place };
            let Some(what) = in_words(&row, subject, &named) else { continue };
            let is_full = shown.len() == SHOWN;
            match shown.last_mut().filter(|last| last.what == what && last.address == row.address) {
                Some(last) => last.times += 1,
                None if is_full => break,
                None => shown.push(AccountActivity { at: row.at, what, address: row.address, times: 1 }),
            }
        }
        Ok(shown)
    }
}

/// What a row is about, as pages call it.
struct RowNames<'a> {
    client: &'a str,
    resource: &'a str,
}

/// What is said of each event. `{who}` is the owner or an operator; the others are what the row names.
const WORDS: &[(AuditEvent, &str)] = &[
    (AuditEvent::ActingResumed, "{who} allowed {client} to act for you again"),
    (AuditEvent::AccountAdded, "An operator added your account"),
    (AuditEvent::AccountAdopted, "An operator now describes your account in a file"),
    (AuditEvent::AccountDisabled, "An operator disabled your account"),
    (AuditEvent::AccountEnabled, "An operator enabled your account again"),
    (AuditEvent::AccountRenamed, "An operator changed your user name"),
    (AuditEvent::AuthorizationDenied, "You denied {client} the use of {resource}"),
    (AuditEvent::CodeIssued, "{client} connected to {resource} again, as you had approved before"),
    (AuditEvent::CodeReplayed, "A session of {client} was ended, because somebody else may have had a part of it"),
    (AuditEvent::ConsentGiven, "You approved that {client} uses {resource}"),
    (AuditEvent::GrantRevoked, "{who} disconnected {client} from {resource}"),
    (AuditEvent::GroupMemberAdded, "An operator added you to the group {reason}"),
    (AuditEvent::GroupMemberRemoved, "An operator removed you from the group {reason}"),
    (AuditEvent::KeyCreated, "{who} made the API key {reason} for {resource}"),
    (AuditEvent::KeyRevoked, "{who} revoked the API key {reason} for {resource}"),
    (AuditEvent::KeyRotated, "{who} renewed the API key {reason} for {resource}"),
    (AuditEvent::LoggedOut, "You signed out"),
    (AuditEvent::LoginFailed, "A sign-in with a wrong password failed"),
    (AuditEvent::LoginSucceeded, "You signed in"),
    (AuditEvent::OperatorTokenIssued, "An operator made a token in your name for {resource}"),
    (AuditEvent::PasswordChanged, "You changed your password"),
    (AuditEvent::PasswordSet, "{who} set a new password"),
    (AuditEvent::RefreshReused, "A session of {client} was ended, because somebody else may have had a part of it"),
    (AuditEvent::SetupLinkMade, "An operator made a link to set your password"),
    (AuditEvent::SignedOutEverywhere, "You signed out everywhere"),
    (AuditEvent::TokenRevoked, "{client} ended its session at {resource}"),
];

/// Returns what a row says to the account's owner; `None` if it says nothing new to them.
fn in_words(row: &AuditRow, owner: &AccountId, named: &RowNames<'_>) -> Option<String> {
    let reason = row.reason.as_deref().unwrap_or_default();
    let usual = WORDS.iter().find(|(event, _)| *event == row.event).map(|(_, words)| *words)?;
    let words = match (row.event == AuditEvent::GrantRevoked, named.client, named.resource) {
        (true, "", _) => "{who} disconnected applications",
        (true, _, "") => "{who} disconnected {client}",
        _ if row.event == AuditEvent::PasswordChanged && reason == "with_grants" => {
            "You changed your password and disconnected all applications"
        }
        // One token of several that a client had.
        _ if row.event == AuditEvent::TokenRevoked && reason != "refresh_token" => return None,
        _ => usual,
    };
    let who = if row.actor.as_deref() == Some(owner.as_str()) { "You" } else { "An operator" };
    let of = |name: &str| match name {
        "who" => who,
        "client" => named.client,
        "resource" => named.resource,
        _ => reason,
    };
    // In one pass, because names may contain braces too.
    let mut parts = words.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    Some(parts.filter_map(|part| part.split_once('}')).fold(first, |said, (name, rest)| said + of(name) + rest))
}

#[cfg(test)]
mod tests {
    use super::WORDS;
    use crate::store::{AuditClass, AuditEvent, AuditField};

    /// Events about an account that its owner is not told of: those of a deleted account, and those that others tell.
    const UNTOLD: &[AuditEvent] = &[AuditEvent::AccountDeleted, AuditEvent::CodeRedeemed];

    #[test]
    fn no_deed_about_an_account_is_forgotten() {
        let told = |event: &AuditEvent| WORDS.iter().any(|(known, _)| known == event);
        let is_about = |event: &&AuditEvent| {
            let description = event.description();
            let is_told = description.class == AuditClass::Deed || **event == AuditEvent::LoginFailed;
            is_told && [description.always, description.sometimes].concat().contains(&AuditField::Subject)
        };
        let forgotten: Vec<_> =
            AuditEvent::ALL.iter().filter(is_about).filter(|event| !told(event) && !UNTOLD.contains(event)).collect();
        assert!(forgotten.is_empty(), "say what the account page tells of them: {forgotten:?}");
    }
}
