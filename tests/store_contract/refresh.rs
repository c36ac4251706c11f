//! Refresh families: each rotation makes a generation, a retry in the grace gets the same one, reuse ends the family.

use std::sync::Arc;

use mcpgate::oauth::{Lifetime, RefreshRefusal, Timestamp};
use mcpgate::store::{AuditEvent, Change, RotateRefresh, Rotation, Store};

use crate::world::*;

crate::on_every_store! {
    rt_01_a_rotation_moves_the_generation_and_the_idle_end,
    rt_02_reuse_after_the_grace_revokes_the_family,
    rt_05_a_retry_after_the_successor_was_used_revokes_the_family,
    rt_06_another_client_changes_nothing,
    a_narrower_token_leaves_the_grant_as_it_was,
    rt_10_idle_and_absolute_ends_hold,
    rt_17_the_first_generation_is_recognised_after_many_rotations,
    rt_16_a_generation_from_the_future_is_refused,
    a_retry_in_the_grace_gets_the_live_generation_again,
    rt_04_every_token_of_the_grace_is_kept,
    the_tokens_of_the_grace_have_a_ceiling,
    a_grant_keeps_its_newest_tokens_only,
    a_disabled_client_cannot_refresh_until_it_is_enabled,
    an_unknown_family_is_told,
    au_04_what_is_refused_and_changes_nothing_writes_nothing,
    a_refresh_has_a_row_unless_it_is_only_to_be_counted,
    a_token_never_outlives_its_grant,
}

async fn refused(store: &Arc<dyn Store>, request: RotateRefresh) -> RefreshRefusal {
    let answer = store.rotate_refresh_token(request).await.unwrap();
    let Rotation::Refused(verdict) = answer else { panic!("{answer:?}") };
    verdict
}

async fn rt_01_a_rotation_moves_the_generation_and_the_idle_end(store: Arc<dyn Store>) {
    settle(&store).await;
    let (first, _) = grant(&store, "g", START).await;
    let before = store.newest_audit().await.unwrap();
    let at = START.plus(HOUR);
    let (second, token) = rotated(store.rotate_refresh_token(rotate("g", 0, "t1", at)).await.unwrap());
    assert_eq!((second.generation, second.rotated_at), (1, at));
    assert_eq!(second.idle_until, at.plus(Lifetime::from_secs(30 * 86_400)));
    assert_eq!((second.expires_at, &second.scopes), (first.expires_at, &first.scopes));
    assert_eq!(store.find_grant(&tenant(), first.id).await.unwrap(), Some(second));
    assert_eq!(store.find_access_token(&tenant(), &hash("t1"), at).await.unwrap(), Some(token));
    assert_eq!(events(&store, before).await, [AuditEvent::TokenRefreshed]);
}

async fn rt_02_reuse_after_the_grace_revokes_the_family(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    rotated(store.rotate_refresh_token(rotate("g", 0, "t1", START)).await.unwrap());
    present(&store, "t1", START).await;
    let (audit, change) = (store.newest_audit().await.unwrap(), store.newest_change().await.unwrap());
    let late = START.plus(GRACE).plus(Lifetime::from_millis(1));
    let reused = store.rotate_refresh_token(rotate("g", 0, "t2", late)).await.unwrap();
    assert!(matches!(reused, Rotation::Reused(id) if id == grant_id("g")), "{reused:?}");
    for token in ["g token", "t1", "t2"] {
        assert!(!is_live(&store, token, START).await, "{token}");
    }
    // The thief's successor is revoked like the victim's.
    assert_eq!(refused(&store, rotate("g", 1, "t3", late)).await, RefreshRefusal::Dead);
    assert_eq!(events(&store, audit).await, [AuditEvent::RefreshReused]);
    assert_eq!(changes(&store, &change).await, [Change::GrantRevoked(tenant(), grant_id("g"))]);
}

async fn rt_05_a_retry_after_the_successor_was_used_revokes_the_family(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    rotated(store.rotate_refresh_token(rotate("g", 0, "t1", START)).await.unwrap());
    rotated(store.rotate_refresh_token(rotate("g", 1, "t2", START)).await.unwrap());
    let reused = store.rotate_refresh_token(rotate("g", 0, "t3", START)).await.unwrap();
    assert!(matches!(reused, Rotation::Reused(_)), "{reused:?}");
    assert!(!is_live(&store, "t2", START).await);
}

async fn a_retry_in_the_grace_gets_the_live_generation_again(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    let (live, _) = rotated(store.rotate_refresh_token(rotate("g", 0, "t1", START)).await.unwrap());
    for n in 0..3 {
        let token = format!("retry {n}");
        let Rotation::Retried(again, record) =
            store.rotate_refresh_token(rotate("g", 0, &token, START.plus(GRACE))).await.unwrap()
        else {
            panic!()
        };
        assert_eq!(*again, live);
        assert_eq!(store.find_access_token(&tenant(), &hash(&token), START.plus(GRACE)).await.unwrap(), Some(*record));
    }
    assert_eq!(store.find_grant(&tenant(), grant_id("g")).await.unwrap(), Some(live));
}

async fn rt_04_every_token_of_the_grace_is_kept(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    rotated(store.rotate_refresh_token(rotate("g", 0, "t0", START)).await.unwrap());
    let before = store.newest_change().await.unwrap();
    let last = START.plus(GRACE);
    for n in 1..300_u32 {
        let retried = store.rotate_refresh_token(rotate("g", 0, &format!("t{n}"), last)).await.unwrap();
        assert!(matches!(retried, Rotation::Retried(..)), "{retried:?}");
    }
    for n in 0..300_u32 {
        assert!(is_live(&store, &format!("t{n}"), last).await, "t{n} was acknowledged");
    }
    assert_eq!(changes(&store, &before).await, [], "no cache has to drop a token");
}

async fn the_tokens_of_the_grace_have_a_ceiling(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    rotated(store.rotate_refresh_token(rotate("g", 0, "t0", START)).await.unwrap());
    let retries = (1..1026_u32).map(|n| store.rotate_refresh_token(rotate("g", 0, &format!("t{n}"), START)));
    for retried in futures_util::future::join_all(retries).await {
        assert!(matches!(retried, Ok(Rotation::Retried(..))), "{retried:?}");
    }
    let live = store.live_access_tokens(0, 5000, START).await.unwrap().0;
    assert_eq!(live.len(), 1024);
    assert!(!is_live(&store, "t0", START).await, "the oldest tokens are revoked");
}

async fn a_grant_keeps_its_newest_tokens_only(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    let (_, others) = grant(&store, "other", START).await;
    let before = store.newest_change().await.unwrap();
    for n in 0..130_u32 {
        rotated(store.rotate_refresh_token(rotate("g", n, &format!("t{n}"), START)).await.unwrap());
    }
    let late = START.plus(GRACE).plus(Lifetime::from_millis(1));
    rotated(store.rotate_refresh_token(rotate("g", 130, "t130", late)).await.unwrap());
    // Retries in the grace issue tokens as well.
    let retried = store.rotate_refresh_token(rotate("g", 130, "retry", late)).await.unwrap();
    assert!(matches!(retried, Rotation::Retried(..)), "{retried:?}");
    let gone = ["t2", "t1", "t0", "g token", "t3"];
    for token in gone {
        assert!(!is_live(&store, token, START).await, "{token}");
    }
    for token in ["t4", "t130", "retry"] {
        assert!(is_live(&store, token, late).await, "{token}");
    }
    assert!(store.find_access_token(&tenant(), &others.hash, late).await.unwrap().is_some());
    let told: Vec<_> = gone.iter().map(|token| Change::AccessTokenRevoked(tenant(), hash(token))).collect();
    assert_eq!(changes(&store, &before).await, told, "the change log tells the caches of all processes");
}

async fn rt_06_another_client_changes_nothing(store: Arc<dyn Store>) {
    settle(&store).await;
    let (before, _) = grant(&store, "g", START).await;
    for generation in [0, 7] {
        let mut request = rotate("g", generation, "stolen", START);
        request.presented.client = client_id("evil");
        assert_eq!(refused(&store, request).await, RefreshRefusal::WrongClient);
    }
    assert_eq!(store.find_grant(&tenant(), grant_id("g")).await.unwrap(), Some(before));
    assert!(is_live(&store, "g token", START).await && !is_live(&store, "stolen", START).await);
}

async fn a_narrower_token_leaves_the_grant_as_it_was(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    let mut request = rotate("g", 0, "narrow", START);
    request.access.scopes = Some(scopes("read"));
    let (after, token) = rotated(store.rotate_refresh_token(request).await.unwrap());
    assert_eq!((token.scopes, after.scopes), (scopes("read"), scopes("read write")));
    assert_eq!(
        store.find_access_token(&tenant(), &hash("narrow"), START).await.unwrap().unwrap().scopes,
        scopes("read")
    );
    let (_, wide) = rotated(store.rotate_refresh_token(rotate("g", 1, "wide", START)).await.unwrap());
    assert_eq!(wide.scopes, scopes("read write"));
}

async fn rt_10_idle_and_absolute_ends_hold(store: Arc<dyn Store>) {
    settle(&store).await;
    let (idle, _) = grant(&store, "idle", START).await;
    assert_eq!(refused(&store, rotate("idle", 0, "x", idle.idle_until)).await, RefreshRefusal::Dead);
    let (mut used, _) = grant(&store, "used", START).await;
    let absolute = used.expires_at;
    while used.idle_until < absolute {
        let at = Timestamp::from_millis(used.idle_until.as_millis() - 1);
        used = rotated(store.rotate_refresh_token(rotate("used", used.generation, "x", at)).await.unwrap()).0;
        assert_eq!(used.expires_at, absolute);
    }
    assert_eq!(used.idle_until, absolute);
    assert_eq!(refused(&store, rotate("used", used.generation, "x", absolute)).await, RefreshRefusal::Dead);
}

async fn rt_17_the_first_generation_is_recognised_after_many_rotations(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    for generation in 0..200 {
        rotated(store.rotate_refresh_token(rotate("g", generation, &format!("t{generation}"), START)).await.unwrap());
    }
    let reused = store.rotate_refresh_token(rotate("g", 0, "x", START)).await.unwrap();
    assert!(matches!(reused, Rotation::Reused(_)), "{reused:?}");
    assert!(!is_live(&store, "t199", START).await);
}

async fn rt_16_a_generation_from_the_future_is_refused(store: Arc<dyn Store>) {
    settle(&store).await;
    let (before, _) = grant(&store, "g", START).await;
    assert_eq!(refused(&store, rotate("g", 3, "x", START)).await, RefreshRefusal::Ahead);
    assert_eq!(store.find_grant(&tenant(), grant_id("g")).await.unwrap(), Some(before));
}

async fn a_disabled_client_cannot_refresh_until_it_is_enabled(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    let app = client_id("app");
    store.set_client_disabled(&app, true, row(AuditEvent::ClientDisabled, START)).await.unwrap();
    assert_eq!(refused(&store, rotate("g", 0, "x", START)).await, RefreshRefusal::Dead);
    store.set_client_disabled(&app, false, row(AuditEvent::ClientEnabled, START)).await.unwrap();
    rotated(store.rotate_refresh_token(rotate("g", 0, "t1", START)).await.unwrap());
}

async fn an_unknown_family_is_told(store: Arc<dyn Store>) {
    settle(&store).await;
    assert!(matches!(store.rotate_refresh_token(rotate("nothing", 0, "x", START)).await.unwrap(), Rotation::Unknown));
}

/// The caller records refusals, within limits that the store does not know.
async fn au_04_what_is_refused_and_changes_nothing_writes_nothing(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    grant(&store, "revoked", START).await;
    store.revoke_grant(grant_id("revoked"), row(AuditEvent::GrantRevoked, START)).await.unwrap();
    let before = store.newest_audit().await.unwrap();
    let mut by_another = rotate("g", 0, "x", START);
    by_another.presented.client = client_id("evil");
    for (request, expected) in [
        (by_another, RefreshRefusal::WrongClient),
        (rotate("g", 1, "x", START), RefreshRefusal::Ahead),
        (rotate("revoked", 0, "x", START), RefreshRefusal::Dead),
    ] {
        assert_eq!(refused(&store, request).await, expected);
    }
    assert!(matches!(store.rotate_refresh_token(rotate("nothing", 0, "x", START)).await.unwrap(), Rotation::Unknown));
    assert_eq!(store.newest_audit().await.unwrap(), before);
}

async fn a_refresh_has_a_row_unless_it_is_only_to_be_counted(store: Arc<dyn Store>) {
    settle(&store).await;
    grant(&store, "g", START).await;
    let before = store.newest_audit().await.unwrap();
    rotated(store.rotate_refresh_token(rotate("g", 0, "t1", START)).await.unwrap());
    let retried = store.rotate_refresh_token(rotate("g", 0, "t2", START)).await.unwrap();
    assert!(matches!(retried, Rotation::Retried(..)), "{retried:?}");
    let told = rows(&store, before).await;
    assert_eq!(told.iter().map(|row| row.reason.as_deref()).collect::<Vec<_>>(), [None, Some("retried")]);
    for row in told {
        assert_eq!(row.event, AuditEvent::TokenRefreshed);
        assert_eq!((row.subject, row.client), (Some(subject("alice")), Some(client_id("app"))));
        assert_eq!((row.resource, row.scopes), (Some(resource()), Some(scopes("read write"))));
        assert_eq!(row.target, Some(grant_id("g").to_string()));
    }
    let before = store.newest_audit().await.unwrap();
    let quiet = |request| RotateRefresh { record_success: false, ..request };
    rotated(store.rotate_refresh_token(quiet(rotate("g", 1, "t3", START))).await.unwrap());
    assert_eq!(store.newest_audit().await.unwrap(), before);
    // Reuse ends the grant, so it always gets its own audit row.
    let reused = store.rotate_refresh_token(quiet(rotate("g", 0, "t4", START))).await.unwrap();
    assert!(matches!(reused, Rotation::Reused(_)), "{reused:?}");
    assert_eq!(events(&store, before).await, [AuditEvent::RefreshReused]);
}

async fn a_token_never_outlives_its_grant(store: Arc<dyn Store>) {
    settle(&store).await;
    let (start, _) = grant(&store, "g", START).await;
    let mut grant = start;
    while grant.idle_until < grant.expires_at {
        let at = Timestamp::from_millis(grant.idle_until.as_millis() - 1);
        grant = rotated(store.rotate_refresh_token(rotate("g", grant.generation, "x", at)).await.unwrap()).0;
    }
    let at = Timestamp::from_millis(grant.expires_at.as_millis() - 5000);
    let (_, token) = rotated(store.rotate_refresh_token(rotate("g", grant.generation, "last", at)).await.unwrap());
    assert_eq!(token.expires_at, grant.expires_at);
}
