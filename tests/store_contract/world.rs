//! Helpers that make a code, a grant and a token in any store.

use std::sync::Arc;

use mcpgate::oauth::{AccessTokenRecord, ClientOrigin, CodeRecord, Grant, GrantId, Timestamp};
use mcpgate::store::{
    AuditEvent, AuditFilter, AuditRow, Change, ChangePosition, Changes, Redemption, Rotation, Store, Update, UseReport,
};

pub(crate) use super::records::*;

/// Adds the client `app` and the accounts `alice` and `bob`.
pub(crate) async fn settle(store: &Arc<dyn Store>) {
    store
        .insert_client(client("app", ClientOrigin::Registered), 100, row(AuditEvent::ClientRegistered, START))
        .await
        .unwrap();
    for name in ["alice", "bob"] {
        store.insert_account(account(name), row(AuditEvent::AccountAdded, START)).await.unwrap();
    }
}

/// Issues a code through a consent page.
pub(crate) async fn issue(store: &Arc<dyn Store>, record: CodeRecord) {
    let page = interaction(&record.grant.to_string(), record.issued_at);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let audit = row(AuditEvent::CodeIssued, record.issued_at);
    assert_eq!(store.insert_code(record, page.key.hash, None, audit).await.unwrap(), Update::Done);
}

/// Issues and redeems a code; makes the grant and its first token.
pub(crate) async fn grant(store: &Arc<dyn Store>, name: &str, at: Timestamp) -> (Grant, AccessTokenRecord) {
    issue(store, code(name, at)).await;
    let answer = store.redeem_code(redeem(name, &format!("{name} token"), at)).await.unwrap();
    let Redemption::Redeemed(grant, token) = answer else { panic!("{answer:?}") };
    (*grant, *token)
}

/// Reports that an access token was presented; returns the families that this ended.
pub(crate) async fn present(store: &Arc<dyn Store>, token: &str, at: Timestamp) -> Vec<GrantId> {
    let report = UseReport { presented: vec![(tenant(), hash(token))], issued: Vec::new(), now: at };
    store.record_uses(report).await.unwrap().ended.into_iter().map(|(_, grant)| grant).collect()
}

/// Reports that no token of a generation has been presented since its issue.
pub(crate) async fn report_unused(store: &Arc<dyn Store>, family: &str, generation: u32) {
    let issued = vec![(tenant(), grant_id(family), generation)];
    store.record_uses(UseReport { issued, ..UseReport::default() }).await.unwrap();
}

pub(crate) fn rotated(rotation: Rotation) -> (Grant, AccessTokenRecord) {
    let Rotation::Rotated(grant, token) = rotation else { panic!("{rotation:?}") };
    (*grant, *token)
}

pub(crate) async fn is_live(store: &Arc<dyn Store>, token: &str, at: Timestamp) -> bool {
    store.find_access_token(&tenant(), &hash(token), at).await.unwrap().is_some()
}

/// The change log after `after`, which must be complete.
pub(crate) async fn changes(store: &Arc<dyn Store>, after: &ChangePosition) -> Vec<Change> {
    match store.changes_after(after).await.unwrap() {
        Changes::Next(changes, _) => changes,
        Changes::Incomplete => panic!("the change log is incomplete after {after:?}"),
    }
}

/// The audit trail after `after`, by event.
pub(crate) async fn events(store: &Arc<dyn Store>, after: u64) -> Vec<AuditEvent> {
    rows(store, after).await.into_iter().map(|row| row.event).collect()
}

/// The audit trail after `after`.
pub(crate) async fn rows(store: &Arc<dyn Store>, after: u64) -> Vec<AuditRow> {
    let page = store.audit_after(&AuditFilter::default(), after, 1000).await.unwrap();
    page.rows.into_iter().map(|(_, row)| row).collect()
}
