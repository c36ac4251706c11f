//! What is stored when a client gets a token for itself (RFC 6749 4.4) or for a person who is absent (RFC 7523 2.1),
//! the same in every store.

use super::issuance::settled;
use super::{Account, AuditRow, Issued, NewAccessToken};
use crate::oauth::{AccountId, ClientId, Grant, Lifetime, TenantId, Timestamp};

/// How many of the newest access tokens a client keeps at one resource, so that asking for ever more cannot fill
/// everybody's cache. All processes of the client share one grant, and each usually holds one token.
pub(super) const TOKENS_PER_CLIENT: u16 = 1024;

/// That a client may no longer act for a person, because they or an operator ended it, and since when. It holds until
/// it is lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedActing {
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The person for whom it may not act.
    pub subject: AccountId,
    /// The client that acted for them.
    pub client: ClientId,
    /// When it was ended.
    pub at: Timestamp,
}

/// On whose behalf a client asks for a token without anybody who signs in.
#[derive(Debug, Clone)]
pub enum IssueFor {
    /// Its own: a service account, which is added with the first token.
    Service(Account),
    /// That of the person of the grant, who is absent.
    Person,
}

/// A token that a client asks for on its own behalf, or for a person who is absent.
#[derive(Debug, Clone)]
pub struct IssueToClient {
    /// On whose behalf.
    pub subject: IssueFor,
    /// The grant to add if the client has none for the resource with the same scopes. It cannot be refreshed, and
    /// `expires_at` is also the end to which a grant that the client has already is prolonged.
    pub grant: Grant,
    /// The token to issue; its lifetime is cut at the end of the grant.
    pub access: NewAccessToken,
    /// The current time.
    pub now: Timestamp,
    /// Whether to write an audit row if the client had the grant already; a new grant always gets one.
    pub record_success: bool,
    /// The audit row; the token's resource, scopes and grant are added to it.
    pub audit: AuditRow,
}

impl IssueToClient {
    /// Returns whether a token can be issued under an unrevoked grant that the client has for the resource: it has the
    /// same scopes and leaves out the same, so that no token issued under it earlier gains or loses any, and the client
    /// proved itself alike.
    pub(super) fn fits(&self, grant: &Grant) -> bool {
        let of = |grant: &Grant| (grant.acting, grant.by_assertion, grant.exclusions.clone(), grant.workload.clone());
        let is_alike = grant.scopes == self.grant.scopes && of(grant) == of(&self.grant);
        grant.is_active(self.now) && !grant.may_refresh && is_alike
    }

    /// Returns a grant that fits with its later end; `None` if less than half of its life has passed and it outlives
    /// the token. A grant is not prolonged with each token, which would be a second write.
    pub(super) fn prolonged(&self, grant: &Grant) -> Option<Grant> {
        let end = self.grant.expires_at;
        let half = Lifetime::from_millis(end.since(self.now).as_millis() / 2);
        let enough = self.now.plus(self.access.lifetime.max(half)).min(end);
        (grant.expires_at < enough).then(|| settled(Grant { expires_at: end, ..grant.clone() }))
    }

    /// Returns the grant to add when none fits.
    pub(super) fn new_grant(&self) -> Grant {
        settled(self.grant.clone())
    }

    /// Issues the token under a grant, which was added for it or not.
    pub(super) fn issue(&self, grant: Grant, is_new: bool) -> Issued {
        self.access.issue(grant, self.now, Some(&self.audit).filter(|_| is_new || self.record_success))
    }
}
