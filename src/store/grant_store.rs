//! The part of a store for codes, grants and tokens.

use async_trait::async_trait;

use super::{
    AuditRow, Consent, EndedActing, EphemeralHash, IssueToClient, Issued, Recorded, RedeemCode, Redemption, Result,
    RotateRefresh, Rotation, Update, UseReport,
};
use crate::oauth::{
    AccessTokenRecord, AccountId, ClientId, CodeHash, CodeRecord, Grant, GrantId, ResourceIndicator, TenantId,
    Timestamp, TokenHash,
};

/// Selects grants: those of a tenant, or of one account, client or resource of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFilter {
    /// Grants of this tenant.
    pub tenant: TenantId,
    /// Grants of this account; `None` for any.
    pub subject: Option<AccountId>,
    /// Grants to this client; `None` for any.
    pub client: Option<ClientId>,
    /// Grants for this resource; `None` for any.
    pub resource: Option<ResourceIndicator>,
}

impl GrantFilter {
    /// Selects everything that was granted in a tenant.
    #[must_use]
    pub fn of_tenant(tenant: &TenantId) -> Self {
        Self { tenant: tenant.clone(), subject: None, client: None, resource: None }
    }

    /// Selects everything that a client was granted.
    #[must_use]
    pub fn of_client(tenant: &TenantId, client: &ClientId) -> Self {
        Self { client: Some(client.clone()), ..Self::of_tenant(tenant) }
    }

    /// Selects everything that an account has granted.
    #[must_use]
    pub fn of_account(tenant: &TenantId, subject: &AccountId) -> Self {
        Self { subject: Some(subject.clone()), ..Self::of_tenant(tenant) }
    }

    /// Returns whether browsers are signed out when everything that is selected is revoked: they could approve the same
    /// again. Not if that is about one client or one resource.
    pub(super) fn ends_browser_sessions(&self) -> bool {
        self.client.is_none() && self.resource.is_none()
    }

    /// Returns whether the grants of an account to a client for a resource are selected.
    pub(super) fn wants(
        &self,
        tenant: &TenantId,
        subject: &AccountId,
        client: &ClientId,
        resource: &ResourceIndicator,
    ) -> bool {
        self.wants_parties(tenant, subject, client) && self.resource.as_ref().is_none_or(|wanted| wanted == resource)
    }

    /// Returns whether an account and a client are selected, whatever the resource.
    pub(super) fn wants_parties(&self, tenant: &TenantId, subject: &AccountId, client: &ClientId) -> bool {
        self.tenant == *tenant
            && self.subject.as_ref().is_none_or(|wanted| wanted == subject)
            && self.client.as_ref().is_none_or(|wanted| wanted == client)
    }
}

/// Issues and revokes codes, grants and tokens.
#[async_trait]
pub trait GrantStore {
    /// Adds a code, ends its interaction, and stores the consent and what the code leaves out. That is also taken out
    /// of what the same user granted the same client for the resource before: of grants with their tokens, which emits
    /// `Change::AccountGroupsChanged`, and of codes. One that cannot leave out more ends. `Update::NotFound` if the
    /// interaction is no longer at `consent` (a double click makes one code), its login session has ended or is another
    /// user's, or client or account is disabled.
    async fn insert_code(
        &self,
        code: CodeRecord,
        interaction: EphemeralHash,
        remember: Option<Consent>,
        audit: AuditRow,
    ) -> Result<Update>;
    /// Reads a code without using it, for the policy check before redemption.
    async fn find_code(&self, tenant: &TenantId, hash: &CodeHash) -> Result<Option<CodeRecord>>;
    /// Checks and redeems a code in one transaction. An audit row is written when it is redeemed, and when a replay
    /// ends its grant; the caller records every other refusal. A code whose client or account is disabled is refused as
    /// dead. A replay ends the grant even if nothing can be written: then that is in force, stored later, and answered
    /// in the same way.
    async fn redeem_code(&self, request: RedeemCode) -> Result<Redemption>;
    /// Reads a grant.
    async fn find_grant(&self, tenant: &TenantId, id: GrantId) -> Result<Option<Grant>>;
    /// Lists grants that are neither revoked nor past their idle end, newest first.
    async fn list_grants(&self, of: &GrantFilter, now: Timestamp) -> Result<Vec<Grant>>;
    /// Counts the grants that `list_grants` would list of a tenant, by client, in no order; clients
    /// without one are left out.
    async fn count_grants(&self, tenant: &TenantId, now: Timestamp) -> Result<Vec<(ClientId, u64)>>;
    /// Checks and rotates a refresh token in one transaction. An audit row is written when reuse ends its grant and, if
    /// the request has one, for a success; the caller records every other refusal. A family whose client or account is
    /// disabled is refused as dead. Reuse ends the family even if nothing can be written, as a replay does.
    async fn rotate_refresh_token(&self, request: RotateRefresh) -> Result<Rotation>;
    /// Marks current generations as used if one of their tokens was presented, and as unused if they were issued and
    /// not presented. Ends the families of void tokens that were presented, each with an audit row; returns them. They
    /// end even if nothing can be written. Damaged rows are skipped.
    async fn record_uses(&self, report: UseReport) -> Result<Recorded>;
    /// Records when grants, and with them their clients, were last used, at most [`super::ACTIVITY_AT_ONCE`] of them
    /// (`StoreError::Conflict` for more), in one transaction. A time only moves forward, that of a client by a minute
    /// at least; a grant that is unknown or revoked is skipped. It writes no audit row, because the log has a line for
    /// each request, and no change, because no other process decides anything by it.
    async fn note_activity(&self, uses: &[(TenantId, GrantId, Timestamp)]) -> Result<()>;
    /// Stores a grant and an access token that an operator issued, without code or refresh token.
    /// `StoreError::Conflict` if client or account is not in the store.
    async fn insert_operator_token(&self, grant: Grant, token: AccessTokenRecord, audit: AuditRow) -> Result<()>;
    /// Issues an access token that a client asked for on its own behalf or for an absent person, under its grant for
    /// the resource. Adds its service account and the grant if they are missing, prolongs a grant whose end is near,
    /// and removes the oldest tokens beyond 1024. `None` if client or account is disabled or not in the store, and if
    /// it was ended that the client acts for the person.
    async fn issue_to_client(&self, request: IssueToClient) -> Result<Option<Issued>>;
    /// Finds an access token whose grant is active and whose client and account are enabled. For the cache only.
    async fn find_access_token(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<AccessTokenRecord>> {
        Ok(self.find_access_tokens(&[(tenant.clone(), *hash)], now).await?.pop().flatten())
    }
    /// Finds several access tokens like `find_access_token`, from one state of the store; the results are in the order
    /// of `wanted`.
    async fn find_access_tokens(
        &self,
        wanted: &[(TenantId, TokenHash)],
        now: Timestamp,
    ) -> Result<Vec<Option<AccessTokenRecord>>>;
    /// Returns for each of `wanted` whether it is an unexpired access token that was issued with a lost answer. For the
    /// cache only.
    async fn find_void_tokens(&self, wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Result<Vec<bool>>;
    /// Reads up to `limit` valid access tokens after `after` (in row order), to fill the cache at the start: the
    /// records and the position to continue from; `None` at the end.
    async fn live_access_tokens(
        &self,
        after: u64,
        limit: u32,
        now: Timestamp,
    ) -> Result<(Vec<AccessTokenRecord>, Option<u64>)>;
    /// Revokes a grant with all its tokens and the consent remembered for its client and resource, so that the next
    /// request asks again; emits `Change::GrantRevoked`. If the client acted for the person of the grant, it may no
    /// longer (`EndedActing`).
    async fn revoke_grant(&self, id: GrantId, audit: AuditRow) -> Result<Update>;
    /// Revokes one access token; emits `Change::AccessTokenRevoked`.
    async fn revoke_access_token(&self, hash: &TokenHash, audit: AuditRow) -> Result<Update>;
    /// Revokes all selected grants, with their remembered consents; returns how many. Emits a change for each. Codes
    /// not yet redeemed are removed too, and if the filter names neither client nor resource, browser sessions end. If
    /// it names an account, clients that acted for its person may no longer (`EndedActing`), as with everything else
    /// that ends the access of one account.
    async fn revoke_grants(&self, of: &GrantFilter, audit: AuditRow) -> Result<u64>;
    /// Lists which clients may no longer act for whom, among the selected accounts and clients, the newest first.
    async fn list_ended_acting(&self, of: &GrantFilter) -> Result<Vec<EndedActing>>;
    /// Lifts that; returns for how many. An audit row is written if there was anything to lift.
    async fn resume_acting(&self, of: &GrantFilter, audit: AuditRow) -> Result<u64>;
}
