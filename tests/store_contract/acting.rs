//! Clients that act for people who are absent: their grants, and that what was ended stays ended.

use std::sync::Arc;

use mcpgate::oauth::{ClientOrigin, Grant, Timestamp};
use mcpgate::store::{
    AuditEvent, AuditFilter, EndedActing, GrantFilter, IssueFor, IssueToClient, Issued, Store, Update,
};

use crate::world::*;

crate::on_every_store! {
    a_client_acts_for_people_who_can_sign_in_and_for_nobody_else,
    what_somebody_ended_for_a_person_stays_ended_until_it_is_lifted,
    what_nobody_ended_for_a_person_does_not_stay_ended,
    what_was_ended_goes_with_the_account_and_with_the_client,
}

/// A token for the client `app` that acts for alice.
pub(crate) fn for_alice(name: &str, now: Timestamp) -> IssueToClient {
    let end = now.plus(DAY);
    IssueToClient {
        subject: IssueFor::Person,
        grant: Grant { acting: true, by_assertion: true, expires_at: end, idle_until: end, ..grant_of(name, now) },
        access: new_token(name),
        now,
        record_success: false,
        audit: row(AuditEvent::ActingTokenIssued, now),
    }
}

fn to_app() -> GrantFilter {
    grants_of(None, Some(&client_id("app")))
}

async fn issued(store: &Arc<dyn Store>, name: &str) -> Option<Issued> {
    store.issue_to_client(for_alice(name, START)).await.unwrap()
}

fn ended() -> EndedActing {
    EndedActing { tenant: tenant(), subject: subject("alice"), client: client_id("app"), at: START }
}

async fn list(store: &Arc<dyn Store>) -> Vec<EndedActing> {
    store.list_ended_acting(&grants_of(None, None)).await.unwrap()
}

async fn a_client_acts_for_people_who_can_sign_in_and_for_nobody_else(store: Arc<dyn Store>) {
    settle(&store).await;
    let first = issued(&store, "one").await.unwrap();
    assert!(first.grant.acting && first.token.acting && !first.grant.may_refresh);
    let found = store.find_access_token(&tenant(), &hash("one"), START).await.unwrap();
    assert_eq!(found.as_ref(), Some(&*first.token));
    assert_eq!(issued(&store, "two").await.unwrap().grant.id, grant_id("one"), "all its tokens for her on one grant");
    assert!(!grant(&store, "consented", START).await.0.acting);
    // A grant of hers by consent is another, and so is one that leaves something out.
    assert_eq!(issued(&store, "three").await.unwrap().grant.id, grant_id("one"));
    let narrow = for_alice("four", START);
    let narrow = IssueToClient { grant: Grant { exclusions: exclusions(), ..narrow.grant.clone() }, ..narrow };
    let narrow = store.issue_to_client(narrow).await.unwrap().unwrap();
    assert_eq!((narrow.grant.id, &narrow.token.exclusions), (grant_id("four"), &exclusions()));
    for who in ["nobody", "robot"] {
        store.insert_account(service("robot"), audit(AuditEvent::AccountAdded)).await.unwrap();
        let request = for_alice(who, START);
        let of = mcpgate::oauth::Subject::Person(subject(who));
        let request = IssueToClient { grant: Grant { subject: of, ..request.grant.clone() }, ..request };
        assert!(store.issue_to_client(request).await.unwrap().is_none(), "{who}");
    }
    let off = audit(AuditEvent::AccountDisabled);
    store.set_account_disabled(&subject("alice"), true, off).await.unwrap();
    assert!(issued(&store, "five").await.is_none());
}

async fn what_somebody_ended_for_a_person_stays_ended_until_it_is_lifted(store: Arc<dyn Store>) {
    settle(&store).await;
    let both = grants_of(Some(&subject("alice")), Some(&client_id("app")));
    for (n, round) in ["one grant", "all of hers", "of both", "a new password", "disabled"].into_iter().enumerate() {
        let standing = issued(&store, &format!("token {n}")).await.expect(round).grant.id;
        let row = audit(AuditEvent::GrantRevoked);
        match n {
            0 => assert_eq!(store.revoke_grant(standing, row).await.unwrap(), Update::Done),
            1 => assert_eq!(store.revoke_grants(&grants_of(Some(&subject("alice")), None), row).await.unwrap(), 1),
            2 => assert_eq!(store.revoke_grants(&both, row).await.unwrap(), 1),
            3 => drop(store.set_password(&subject("alice"), new_password("$phc", "alice", START), row).await.unwrap()),
            _ => {
                store.set_account_disabled(&subject("alice"), true, row.clone()).await.unwrap();
                store.set_account_disabled(&subject("alice"), false, row).await.unwrap();
            }
        }
        assert!(issued(&store, "refused").await.is_none(), "{round}");
        assert_eq!(list(&store).await, [ended()], "{round}");
        let before = store.newest_audit().await.unwrap();
        let lifted = store.resume_acting(&both, audit(AuditEvent::ActingResumed)).await.unwrap();
        assert_eq!((lifted, list(&store).await), (1, Vec::new()), "{round}");
        assert_eq!(store.resume_acting(&to_app(), audit(AuditEvent::ActingResumed)).await.unwrap(), 0);
        let rows = store.audit_after(&AuditFilter::default(), before, 10).await.unwrap().rows;
        assert_eq!(rows.len(), 1, "{round}: {rows:?}");
    }
    assert!(issued(&store, "at last").await.is_some());
}

async fn what_nobody_ended_for_a_person_does_not_stay_ended(store: Arc<dyn Store>) {
    settle(&store).await;
    // A grant by consent is another matter, and so is what ends everything of a client.
    let consented = grant(&store, "consented", START).await.0.id;
    store.revoke_grant(consented, audit(AuditEvent::GrantRevoked)).await.unwrap();
    assert!(issued(&store, "one").await.is_some());
    assert_eq!(store.revoke_grants(&to_app(), audit(AuditEvent::GrantRevoked)).await.unwrap(), 1);
    assert!(issued(&store, "two").await.is_some());
    store.revoke_access_token(&hash("two"), audit(AuditEvent::TokenRevoked)).await.unwrap();
    assert!(issued(&store, "three").await.is_some());
    assert_eq!(list(&store).await, []);
}

async fn what_was_ended_goes_with_the_account_and_with_the_client(store: Arc<dyn Store>) {
    settle(&store).await;
    let end = async |name: &str| {
        let standing = issued(&store, name).await.unwrap().grant.id;
        store.revoke_grant(standing, audit(AuditEvent::GrantRevoked)).await.unwrap();
        assert_eq!(list(&store).await.len(), 1);
    };
    end("one").await;
    store.delete_client(&client_id("app"), audit(AuditEvent::ClientDeleted)).await.unwrap();
    assert_eq!(list(&store).await, []);
    store.insert_client(client("app", ClientOrigin::Manual), 9, audit(AuditEvent::ClientAdded)).await.unwrap();
    end("two").await;
    store.delete_account(&subject("alice"), audit(AuditEvent::AccountDeleted)).await.unwrap();
    assert_eq!(list(&store).await, []);
}
