//! `ClientChange`: how an operator changes a client, and what ends by it.

use super::AuditRow;
use crate::oauth::{AuthMethod, Client, Grant, GroupSet};

/// A change of a client's metadata, of the resource that it is bound to, and of its lifetimes.
#[derive(Debug, Clone)]
pub struct ClientChange {
    /// The client as the operator saw it.
    pub before: Client,
    /// The client as it is to be; of it, only metadata, resource and lifetimes count.
    pub after: Client,
}

impl ClientChange {
    /// Returns whether the stored client is still the one that the operator saw.
    pub(super) fn is_of(&self, stored: &Client) -> bool {
        let of = |client: &Client| (client.metadata.clone(), client.resource.clone(), client.lifetimes);
        of(stored) == of(&self.before)
    }

    /// Returns the changed client, for the stored one.
    pub(super) fn applied_to(&self, stored: Client) -> Client {
        let Client { metadata, resource, lifetimes, .. } = self.after.clone();
        Client { metadata, resource, lifetimes, ..stored }
    }

    /// Returns whether what is pending ends: remembered consent, codes, and sign-ins that have begun. They were for
    /// what the client was before.
    pub(super) fn voids_pending(&self) -> bool {
        self.before.resource != self.after.resource
            || self.replaces_keys()
            || self.before.metadata.security_relevant_change(&self.after.metadata)
    }

    /// Returns whether none of the keys of before is left, so that they may have been in wrong hands.
    fn replaces_keys(&self) -> bool {
        match (&self.before.metadata.keys, &self.after.metadata.keys) {
            (Some(old), Some(new)) => old.are_replaced_by(new),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Returns whether the client proved who it is and no longer does.
    fn becomes_public(&self) -> bool {
        let is_public = |client: &Client| client.metadata.token_endpoint_auth_method == AuthMethod::None;
        !is_public(&self.before) && is_public(&self.after)
    }

    /// Returns whether a grant of the client ends: it is for another resource than the client is bound to now, or has a
    /// scope that the client may no longer be granted, or the client acts by it and may no longer act for some group,
    /// or it was opened with keys of which none is left, or with a proof that is no longer asked for. Others stay,
    /// whatever else is changed.
    #[must_use]
    pub fn ends(&self, grant: &Grant) -> bool {
        let (before, after) = (&self.before, &self.after);
        let bound = after.resource.as_ref().filter(|_| before.resource != after.resource);
        let limit = after.scope_limit().filter(|limit| before.scope_limit() != Some(*limit));
        let left = |groups: &GroupSet| groups.iter().any(|group| !after.metadata.may_act_for.contains(group));
        if grant.acting && left(&before.metadata.may_act_for) {
            return true;
        }
        if self.becomes_public() || (grant.by_assertion && self.replaces_keys()) {
            return true;
        }
        bound.is_some_and(|resource| *resource != grant.resource)
            || limit.is_some_and(|limit| grant.scopes.intersection(limit) != grant.scopes)
    }

    /// Completes the audit row, whose reason says what was changed, with the number of grants that have ended.
    pub(super) fn row(audit: &AuditRow, ended: u64) -> AuditRow {
        let ended = (ended > 0).then(|| format!("{ended} grants ended"));
        let reason: Vec<_> = audit.reason.iter().cloned().chain(ended).collect();
        AuditRow { reason: Some(reason.join("; ")).filter(|reason| !reason.is_empty()), ..audit.clone() }
    }
}
