//! Many threads at once: exactly one wins.

use std::sync::{Arc, Barrier};

use mcpgate::store::{AuditEvent, Insertion, Redemption, Rotation, Store, Update};

use crate::clients;
use crate::wait;
use crate::world::*;

crate::on_every_store! {
    cr_01_among_64_redemptions_exactly_one_wins,
    rt_03_among_64_strict_rotations_exactly_one_wins,
    rt_04_among_64_rotations_in_the_grace_all_get_one_successor,
    one_approval_of_many_makes_a_code,
    redemption_and_revocation_leave_no_token_behind,
    one_registration_of_many_takes_the_place_of_the_unused_client,
}

const THREADS: usize = 64;

/// Runs `operation` on many threads that start together; returns all answers.
fn race<T: Send + 'static>(operation: impl Fn(usize) -> T + Send + Sync + 'static) -> Vec<T> {
    let (operation, barrier) = (Arc::new(operation), Arc::new(Barrier::new(THREADS)));
    let mut threads = Vec::new();
    for n in 0..THREADS {
        let (operation, barrier) = (Arc::clone(&operation), Arc::clone(&barrier));
        threads.push(std::thread::spawn(move || {
            barrier.wait();
            operation(n)
        }));
    }
    threads.into_iter().map(|t| t.join().unwrap()).collect()
}

async fn cr_01_among_64_redemptions_exactly_one_wins(store: Arc<dyn Store>) {
    settle(&store).await;
    for round in 0..100 {
        let name = format!("code {round}");
        issue(&store, code(&name, START)).await;
        let (racing, of) = (Arc::clone(&store), name.clone());
        let answers = tokio::task::spawn_blocking(move || {
            race(move |n| wait(racing.redeem_code(redeem(&of, &format!("{of} {n}"), START))).unwrap())
        });
        let answers = answers.await.unwrap();
        let winners = answers.iter().filter(|a| matches!(a, Redemption::Redeemed(..))).count();
        let replays = answers.iter().filter(|a| matches!(a, Redemption::Replayed(Some(_)))).count();
        let late = |a: &&Redemption| matches!(a, Redemption::Replayed(None));
        let late = answers.iter().filter(late).count();
        assert_eq!((winners, replays, late), (1, 1, THREADS - 2), "round {round}: the first replay ends the grant");
        for n in 0..THREADS {
            assert!(!is_live(&store, &format!("{name} {n}"), START).await, "a fully valid replay revokes every token");
        }
    }
}

async fn rt_03_among_64_strict_rotations_exactly_one_wins(store: Arc<dyn Store>) {
    settle(&store).await;
    for round in 0..20 {
        let name = format!("family {round}");
        grant(&store, &name, START).await;
        let (racing, of) = (Arc::clone(&store), name.clone());
        let answers = tokio::task::spawn_blocking(move || {
            race(move |n| {
                let mut request = rotate(&of, 0, &format!("{of} {n}"), START);
                request.presented.grace = mcpgate::oauth::Lifetime::default();
                request.presented.lost_answer = mcpgate::oauth::Lifetime::default();
                wait(racing.rotate_refresh_token(request)).unwrap()
            })
        });
        let winners = answers.await.unwrap().iter().filter(|a| matches!(a, Rotation::Rotated(..))).count();
        assert_eq!(winners, 1, "round {round}");
        assert!(store.find_grant(&tenant(), grant_id(&name)).await.unwrap().unwrap().revoked_at.is_some());
        for n in 0..THREADS {
            assert!(!is_live(&store, &format!("{name} {n}"), START).await);
        }
    }
}

async fn rt_04_among_64_rotations_in_the_grace_all_get_one_successor(store: Arc<dyn Store>) {
    settle(&store).await;
    for round in 0..20 {
        let name = format!("family {round}");
        grant(&store, &name, START).await;
        let (racing, of) = (Arc::clone(&store), name.clone());
        let answers = tokio::task::spawn_blocking(move || {
            race(move |n| wait(racing.rotate_refresh_token(rotate(&of, 0, &format!("{of} {n}"), START))).unwrap())
        });
        let answers = answers.await.unwrap();
        let rotations = answers.iter().filter(|a| matches!(a, Rotation::Rotated(grant, _) if grant.generation == 1));
        let retries = answers.iter().filter(|a| matches!(a, Rotation::Retried(grant, _) if grant.generation == 1));
        assert_eq!((rotations.count(), retries.count()), (1, THREADS - 1), "all return the same successor");
        assert_eq!(store.find_grant(&tenant(), grant_id(&name)).await.unwrap().unwrap().generation, 1);
    }
}

async fn one_approval_of_many_makes_a_code(store: Arc<dyn Store>) {
    settle(&store).await;
    let page = interaction("page", START);
    store.put_ephemeral(page.clone(), PENDING).await.unwrap();
    let racing = Arc::clone(&store);
    let answers = tokio::task::spawn_blocking(move || {
        race(move |n| {
            let issued = row(AuditEvent::CodeIssued, START);
            wait(racing.insert_code(code(&format!("c{n}"), START), page.key.hash, None, issued)).unwrap()
        })
    });
    assert_eq!(answers.await.unwrap().iter().filter(|a| **a == Update::Done).count(), 1);
}

async fn redemption_and_revocation_leave_no_token_behind(store: Arc<dyn Store>) {
    settle(&store).await;
    for round in 0..20 {
        let name = format!("c{round}");
        grant(&store, &name, START).await;
        let (racing, of) = (Arc::clone(&store), name.clone());
        let race = tokio::task::spawn_blocking(move || {
            race(move |n| {
                if n % 8 == 0 {
                    wait(racing.revoke_grant(grant_id(&of), row(AuditEvent::GrantRevoked, START))).unwrap();
                } else {
                    wait(racing.rotate_refresh_token(rotate(&of, 0, &format!("{of} {n}"), START))).unwrap();
                }
            })
        });
        race.await.unwrap();
        assert!(store.find_grant(&tenant(), grant_id(&name)).await.unwrap().unwrap().revoked_at.is_some());
        for n in 0..THREADS {
            assert!(!is_live(&store, &format!("{name} {n}"), START).await);
        }
    }
}

async fn one_registration_of_many_takes_the_place_of_the_unused_client(store: Arc<dyn Store>) {
    let later = START.plus(HOUR).plus(MINUTE);
    store.note_time(later).await.unwrap();
    clients::register(&store, clients::confidential("old", START), clients::SITE, 100).await;
    let (audit, racing) = (store.newest_audit().await.unwrap(), Arc::clone(&store));
    let answers = tokio::task::spawn_blocking(move || {
        race(move |n| {
            let new = clients::confidential(&format!("new {n}").replace(' ', "-"), later);
            wait(clients::register(&racing, new, clients::SITE, 100))
        })
    });
    assert!(answers.await.unwrap().iter().all(|inserted| *inserted == Insertion::Inserted));
    let events = events(&store, audit).await;
    assert_eq!(events.iter().filter(|event| **event == AuditEvent::ClientDeleted).count(), 1);
    let left = store.list_clients(&tenant()).await.unwrap();
    assert!(left.len() == THREADS && left.iter().all(|client| client.id != client_id("old")));
}
