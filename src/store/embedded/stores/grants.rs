//! `GrantStore`: codes, grants and tokens.

use std::sync::Arc;

use crate::oauth::{AccessTokenRecord, ClientId, CodeHash, CodeRecord, Grant, GrantId, TenantId, Timestamp, TokenHash};
use crate::store::embedded::file::operation::EndedBy;
use crate::store::embedded::rows::{acting, audit, client_tokens, codes, grants, refresh, tokens, uses};
use crate::store::{
    AuditRow, Change, Consent, EndedActing, EphemeralHash, GrantFilter, IssueToClient, Issued, Recorded, RedeemCode,
    Redemption, Result, RotateRefresh, Rotation, Update, UseReport,
};

/// Access tokens, and the position of the next page.
type Page = (Vec<AccessTokenRecord>, Option<u64>);

implement! { GrantStore:
    write insert_code(code: CodeRecord, page: EphemeralHash, remember: Option<Consent>, audit: AuditRow) -> Update
        = |db| codes::insert(db, &code, &page, remember.as_ref(), &audit);
    read find_code(tenant: &TenantId, hash: &CodeHash) -> Option<CodeRecord>
        = |db| Ok(codes::find(db, &tenant, &hash)?.map(|found| found.found.code));
    read find_grant(tenant: &TenantId, id: GrantId) -> Option<Grant>
        = |db| Ok(grants::find(db, &tenant, id)?.map(|found| found.grant));
    read list_grants(of: &GrantFilter, now: Timestamp) -> Vec<Grant> = |db| grants::list(db, &of, now);
    read count_grants(tenant: &TenantId, now: Timestamp) -> Vec<(ClientId, u64)> = |db| grants::count(db, &tenant, now);
    write note_activity(uses: &[(TenantId, GrantId, Timestamp)]) -> () = |db| grants::note_uses(db, &uses);
    write insert_operator_token(grant: Grant, token: AccessTokenRecord, audit: AuditRow) -> ()
        = |db| tokens::insert_of_operator(db, grant, &token, &audit);
    write issue_to_client(request: IssueToClient) -> Option<Issued> = |db| client_tokens::issue(db, &request);
    read find_access_tokens(wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Vec<Option<AccessTokenRecord>>
        = |db| tokens::find_live(db, &wanted, now);
    read find_void_tokens(wanted: &[(TenantId, TokenHash)], now: Timestamp) -> Vec<bool>
        = |db| uses::are_void(db, &wanted, now);
    read live_access_tokens(after: u64, limit: u32, now: Timestamp) -> Page = |db| tokens::live(db, after, limit, now);
    write_urgently(audit) revoke_grant(id: GrantId, audit: AuditRow) -> Update = |db| {
        acting::end_of(db, &audit.tenant, id, audit.at)?;
        if grants::end(db, &audit.tenant, id, audit.at)? { audit::done(db, &audit) } else { Ok(Update::NotFound) }
    };
    write_urgently(audit) revoke_access_token(hash: &TokenHash, audit: AuditRow) -> Update = |db| {
        // A client that revokes a token must have received it.
        uses::mark_used(db, &audit.tenant, &hash)?;
        if !tokens::remove(db, &audit.tenant, &hash)? {
            return Ok(Update::NotFound);
        }
        audit::announce(db, audit.at, &Change::AccessTokenRevoked(audit.tenant.clone(), hash))?;
        audit::done(db, &audit)
    };
    write_urgently(audit) revoke_grants(of: &GrantFilter, audit: AuditRow) -> u64 = |db| {
        let ended = grants::end_all(db, &of, audit.at)?;
        ended.row(audit.clone()).map_or(Ok(()), |row| audit::append(db, &row))?;
        Ok(ended.grants)
    };
    read list_ended_acting(of: &GrantFilter) -> Vec<EndedActing> = |db| acting::list(db, &of);
    write resume_acting(of: &GrantFilter, audit: AuditRow) -> u64 = |db| acting::resume(db, &of, &audit);
    + async fn redeem_code(&self, request: RedeemCode) -> Result<Redemption> {
        let ended = |grant| Redemption::Replayed(Some(grant));
        self.write_or_end(request, codes::redeem, codes::ending, ended).await
    }
    + async fn rotate_refresh_token(&self, request: RotateRefresh) -> Result<Rotation> {
        self.write_or_end(request, refresh::rotate, refresh::ending, Rotation::Reused).await
    }
    + async fn record_uses(&self, report: UseReport) -> Result<Recorded> {
        self.record(Arc::new(report)).await
    }
}
