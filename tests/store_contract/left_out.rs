//! What a user left out for a client: it outlives what they granted, and is taken out of what they granted before.

use std::sync::Arc;

use mcpgate::oauth::{CodeRecord, Exclusions, Grant, ResourceIndicator, Timestamp};
use mcpgate::store::{AuditEvent, Change, ConsentKey, GrantFilter, Redemption, Store, Update};

use crate::world::*;

crate::on_every_store! {
    it_is_kept_when_grants_and_consents_end,
    it_goes_with_the_client,
    cn_23_it_is_taken_out_of_what_was_granted_before,
    cn_23_it_does_not_touch_other_grants,
    cn_23_a_grant_that_cannot_leave_out_more_ends,
}

fn tools(names: impl IntoIterator<Item = String>) -> Exclusions {
    Exclusions::new([].into(), names.into_iter().map(Into::into).collect()).unwrap()
}

fn left_out(names: &[&str]) -> Exclusions {
    tools(names.iter().map(|name| (*name).to_owned()))
}

async fn decide(store: &Arc<dyn Store>, code: CodeRecord, page: &str, at: Timestamp) {
    let page = interaction(page, at);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let added = store.insert_code(code, page.key.hash, Some(consent(at)), row(AuditEvent::ConsentGiven, at)).await;
    assert_eq!(added.unwrap(), Update::Done);
}

async fn leave_out(store: &Arc<dyn Store>, name: &str, exclusions: Exclusions) {
    decide(store, CodeRecord { exclusions, ..code(name, START) }, name, START).await;
}

fn key() -> ConsentKey {
    consent_key()
}

async fn remembered(store: &Arc<dyn Store>) -> Option<Exclusions> {
    store.find_left_out(&key()).await.unwrap()
}

/// Redeems the code `a` for the access token `token`.
async fn redeem_a(store: &Arc<dyn Store>) -> Grant {
    let redemption = store.redeem_code(redeem("a", "token", START)).await.unwrap();
    let Redemption::Redeemed(grant, _) = redemption else { panic!("{redemption:?}") };
    *grant
}

async fn it_is_kept_when_grants_and_consents_end(store: Arc<dyn Store>) {
    settle(&store).await;
    assert_eq!(remembered(&store).await, None);
    leave_out(&store, "a", left_out(&["wipe"])).await;
    redeem_a(&store).await;
    let all = GrantFilter::of_account(&tenant(), &subject("alice"));
    store.revoke_grants(&all, audit(AuditEvent::GrantRevoked)).await.unwrap();
    assert_eq!(store.find_consent(&key()).await.unwrap(), None);
    assert_eq!(remembered(&store).await, Some(left_out(&["wipe"])));
    assert_eq!(store.find_left_out(&ConsentKey { subject: subject("bob"), ..key() }).await.unwrap(), None);
    // The next decision replaces it, and one that leaves out nothing ends it.
    leave_out(&store, "b", left_out(&["drop"])).await;
    assert_eq!(remembered(&store).await, Some(left_out(&["drop"])));
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    leave_out(&store, "c", Exclusions::default()).await;
    assert_eq!(remembered(&store).await, None);
}

async fn it_goes_with_the_client(store: Arc<dyn Store>) {
    settle(&store).await;
    leave_out(&store, "a", left_out(&["wipe"])).await;
    store.delete_client(&key().client, audit(AuditEvent::ClientDeleted)).await.unwrap();
    assert_eq!(remembered(&store).await, None);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

async fn cn_23_it_is_taken_out_of_what_was_granted_before(store: Arc<dyn Store>) {
    settle(&store).await;
    leave_out(&store, "a", left_out(&["first"])).await;
    leave_out(&store, "waiting", left_out(&["first"])).await;
    redeem_a(&store).await;
    let position = store.newest_change().await.unwrap();
    leave_out(&store, "b", left_out(&["wipe"])).await;
    let both = left_out(&["first", "wipe"]);
    let found = store.find_access_token(&tenant(), &hash("token"), START).await.unwrap().unwrap();
    assert_eq!(found.exclusions, both);
    assert_eq!(store.find_grant(&tenant(), found.grant).await.unwrap().unwrap().exclusions, both);
    let waiting = store.find_code(&tenant(), &hash("waiting")).await.unwrap().unwrap();
    assert!(waiting.exclusions == both && waiting.challenge.is_some());
    assert_eq!(changes(&store, &position).await, [Change::AccountGroupsChanged(tenant(), subject("alice"))]);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new(), "seals are right");
    // The same once more changes nothing.
    let position = store.newest_change().await.unwrap();
    leave_out(&store, "c", left_out(&["wipe"])).await;
    assert_eq!(changes(&store, &position).await, []);
}

async fn cn_23_it_does_not_touch_other_grants(store: Arc<dyn Store>) {
    settle(&store).await;
    leave_out(&store, "a", Exclusions::default()).await;
    let granted = redeem_a(&store).await;
    let resource = ResourceIndicator::parse("https://gw.example/other").unwrap();
    let elsewhere = CodeRecord { exclusions: left_out(&["wipe"]), resource, ..code("b", START) };
    decide(&store, elsewhere, "b", START).await;
    let grant = store.find_grant(&tenant(), granted.id).await.unwrap().unwrap();
    assert!(grant.exclusions.is_empty() && remembered(&store).await.is_none());
}

async fn cn_23_a_grant_that_cannot_leave_out_more_ends(store: Arc<dyn Store>) {
    settle(&store).await;
    let most = |prefix: &str| tools((0..Exclusions::MOST).map(|n| format!("{prefix}{n}")));
    leave_out(&store, "a", most("a")).await;
    let granted = redeem_a(&store).await;
    leave_out(&store, "b", most("b")).await;
    assert!(store.find_grant(&tenant(), granted.id).await.unwrap().unwrap().revoked_at.is_some());
    assert_eq!(store.find_access_token(&tenant(), &hash("token"), START).await.unwrap(), None);
}
