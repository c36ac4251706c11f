//! `GrantStore`: codes, grants and tokens.

use async_trait::async_trait;

use crate::oauth::{
    AccessTokenRecord, AccountId, ClientId, CodeHash, CodeRecord, Grant, GrantId, TenantId, Timestamp, TokenHash,
};
use crate::store::embedded::EmbeddedStore;
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{accounts, audit, clients, codes, grants, tokens, uses};
use crate::store::issuance::settled;
use crate::store::{
    AuditRow, Change, Consent, EphemeralHash, GrantStore, Recorded, RedeemCode, Redemption, Result, RotateRefresh,
    Rotation, Update, UseReport, limits,
};

#[async_trait]
impl GrantStore for EmbeddedStore {
    async fn insert_code(
        &self,
        code: CodeRecord,
        interaction: EphemeralHash,
        remember: Option<Consent>,
        audit: AuditRow,
    ) -> Result<Update> {
        limits::resource(code.resource.as_str())?;
        self.write(move |db| codes::insert(db, &code, &interaction, remember.as_ref(), &audit)).await
    }

    async fn find_code(&self, tenant: &TenantId, hash: &CodeHash) -> Result<Option<CodeRecord>> {
        let (tenant, hash) = (tenant.clone(), *hash);
        self.read(move |db| Ok(codes::find(db, &tenant, &hash)?.map(|found| found.found.code))).await
    }

    async fn redeem_code(&self, request: RedeemCode) -> Result<Redemption> {
        self.redeem(request).await
    }

    async fn find_grant(&self, tenant: &TenantId, id: GrantId) -> Result<Option<Grant>> {
        let tenant = tenant.clone();
        self.read(move |db| Ok(grants::find(db, &tenant, id)?.map(|found| found.grant))).await
    }

    async fn list_grants(
        &self,
        tenant: &TenantId,
        subject: Option<&AccountId>,
        client: Option<&ClientId>,
        now: Timestamp,
    ) -> Result<Vec<Grant>> {
        let (tenant, subject, client) = (tenant.clone(), subject.cloned(), client.cloned());
        self.read(move |db| grants::list(db, &tenant, subject.as_ref(), client.as_ref(), now)).await
    }

    async fn rotate_refresh_token(&self, request: RotateRefresh) -> Result<Rotation> {
        self.rotate(request).await
    }

    async fn record_uses(&self, report: UseReport) -> Result<Recorded> {
        self.record(report).await
    }

    async fn insert_operator_token(&self, grant: Grant, token: AccessTokenRecord, audit: AuditRow) -> Result<()> {
        limits::resource(grant.resource.as_str())?;
        let grant = settled(grant);
        self.write(move |db| {
            let client_no = clients::number(db, &grant.tenant, &grant.client)?;
            let account_no = accounts::number(db, &grant.tenant, &grant.subject)?;
            let grant_no = grants::insert(db, &grant, client_no, account_no)?;
            tokens::insert(db, grant_no, &grant, &token)?;
            clients::used(db, client_no, grant.created_at)?;
            audit::append(db, &audit)
        })
        .await
    }

    async fn find_access_token(
        &self,
        tenant: &TenantId,
        hash: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<AccessTokenRecord>> {
        let wanted = [(tenant.clone(), *hash)];
        Ok(self.read(move |db| tokens::find_live(db, &wanted, now)).await?.pop().flatten())
    }

    async fn find_access_tokens(
        &self,
        wanted: &[(TenantId, TokenHash)],
        now: Timestamp,
    ) -> Result<Vec<Option<AccessTokenRecord>>> {
        let wanted = wanted.to_vec();
        self.read(move |db| tokens::find_live(db, &wanted, now)).await
    }

    async fn find_void_tokens(&self, wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Result<Vec<bool>> {
        let wanted = wanted.to_vec();
        self.read(move |db| uses::find_void(db, &wanted, now)).await
    }

    async fn live_access_tokens(
        &self,
        after: u64,
        limit: u32,
        now: Timestamp,
    ) -> Result<(Vec<AccessTokenRecord>, Option<u64>)> {
        self.read(move |db| tokens::live(db, after, limit, now)).await
    }

    async fn revoke_grant(&self, tenant: &TenantId, id: GrantId, audit: AuditRow) -> Result<Update> {
        let tenant = tenant.clone();
        self.write_urgently(EndedBy::of(&audit), move |db| {
            if !grants::end(db, &tenant, id, audit.at)? {
                return Ok(Update::NotFound);
            }
            audit::append(db, &audit)?;
            Ok(Update::Done)
        })
        .await
    }

    async fn revoke_access_token(&self, tenant: &TenantId, hash: &TokenHash, audit: AuditRow) -> Result<Update> {
        let (tenant, hash) = (tenant.clone(), *hash);
        self.write_urgently(EndedBy::of(&audit), move |db| {
            // A client that revokes a token has received it.
            uses::mark_used(db, &tenant, &hash)?;
            if !tokens::remove(db, &tenant, &hash)? {
                return Ok(Update::NotFound);
            }
            audit::announce(db, audit.at, &Change::AccessTokenRevoked(tenant.clone(), hash))?;
            audit::append(db, &audit)?;
            Ok(Update::Done)
        })
        .await
    }

    async fn revoke_grants(
        &self,
        tenant: &TenantId,
        subject: Option<&AccountId>,
        client: Option<&ClientId>,
        audit: AuditRow,
    ) -> Result<u64> {
        let (tenant, subject, client) = (tenant.clone(), subject.cloned(), client.cloned());
        self.write_urgently(EndedBy::of(&audit), move |db| {
            let ended = grants::end_all(db, &tenant, subject.as_ref(), client.as_ref(), audit.at)?;
            ended.row(audit.clone()).map_or(Ok(()), |row| audit::append(db, &row))?;
            Ok(ended.grants)
        })
        .await
    }
}
