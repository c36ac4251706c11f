//! Races: what may happen once happens once, however many ask at the same moment, in memory and on disk.

use std::sync::Arc;

use futures_util::future::join_all;
use mcpgate::config::Config;
use mcpgate::oauth::{Client, Lifetime, TenantId, Timestamp, TokenHash};
use mcpgate::store::embedded::EmbeddedStore;
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{AuditEvent, GrantStore as _, Store};

use super::driver::*;

/// Each store with a person and a client, and the folder it lives in.
async fn crowds(change: impl Fn(&mut Config)) -> Vec<(Arc<World>, Client, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let embedded = EmbeddedStore::open(&folder.path().join("mcpgate.db"), None, Timestamp::default()).unwrap();
    let stores: [(Arc<dyn Store>, _); 2] = [(Arc::new(MemoryStore::new()), None), (Arc::new(embedded), Some(folder))];
    let mut crowds = Vec::new();
    for (store, folder) in stores {
        let world = World::over(store, |config| {
            config.rates.token_per_second = 1_000_000;
            change(config);
        })
        .await;
        world.account("ada").await;
        let client = world.public_client(CALLBACK).await;
        crowds.push((Arc::new(world), client, folder));
    }
    crowds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cr_01_among_64_redemptions_one_wins_and_the_family_dies_100_times() {
    for (world, client, _folder) in crowds(|_| {}).await {
        for round in 0..100 {
            let code = world.code(&client.id, &[], "ada").await;
            let barrier = Arc::new(tokio::sync::Barrier::new(64));
            let tries = (0..64).map(|_| {
                let (world, client, code, barrier) = (world.clone(), client.clone(), code.clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    world.redeem(&client.id, &code).await
                })
            });
            let mut won = Vec::new();
            for outcome in join_all(tries).await {
                match outcome.unwrap() {
                    Ok(tokens) => won.push(tokens),
                    lost => assert_eq!(refused(lost), "invalid_grant"),
                }
            }
            let [tokens] = won.as_slice() else { panic!("round {round}: {} won", won.len()) };
            assert!(
                !world.is_live(&tokens.access).await,
                "round {round}: the replays were valid, so nothing may be left"
            );
            assert_eq!(refused(world.refresh(&client.id, &tokens.refresh).await), "invalid_grant");
            world.pass(10);
        }
    }
}

fn strict(config: &mut Config) {
    config.tokens.refresh_grace = Lifetime::default();
    config.tokens.refresh_lost_answer = Lifetime::default();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rt_03_without_grace_one_of_64_wins_and_the_family_dies() {
    for (world, client, _folder) in crowds(strict).await {
        let tokens = world.sign_in(&client.id, &[], "ada").await;
        let tries = (0..64).map(|_| {
            let (world, client, refresh) = (world.clone(), client.clone(), tokens.refresh.clone());
            tokio::spawn(async move { world.refresh(&client.id, &refresh).await })
        });
        let mut won = Vec::new();
        for outcome in join_all(tries).await {
            match outcome.unwrap() {
                Ok(tokens) => won.push(tokens),
                lost => assert_eq!(refused(lost), "invalid_grant"),
            }
        }
        assert_eq!(won.len(), 1);
        assert!(!world.is_live(&won[0].access).await && !world.is_live(&tokens.access).await);
        assert_eq!(refused(world.refresh(&client.id, &won[0].refresh).await), "invalid_grant");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rt_04_64_clients_refreshing_in_the_grace_make_one_lineage() {
    for (world, client, _folder) in crowds(|_| {}).await {
        let mut tokens = world.sign_in(&client.id, &[], "ada").await;
        for round in 0..50 {
            let tries = (0..64).map(|_| {
                let (world, client, refresh) = (world.clone(), client.clone(), tokens.refresh.clone());
                tokio::spawn(async move { world.refresh(&client.id, &refresh).await.unwrap() })
            });
            let all: Vec<Tokens> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
            assert!(all.iter().all(|t| t.refresh == all[0].refresh), "round {round}: one successor");
            assert_eq!(all[0].generation, round + 1);
            for t in &all {
                // The store, too: the cache learns only later what was dropped there.
                let hash = TokenHash::of(t.access.as_bytes());
                let stored = world.store.find_access_token(&TenantId::default(), &hash, world.now()).await.unwrap();
                assert!(world.is_live(&t.access).await && stored.is_some(), "round {round}");
            }
            tokens = all[0].clone();
            world.pass(31);
        }
        assert_eq!(world.count(AuditEvent::RefreshReused).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rv_06_a_revocation_that_races_a_refresh_leaves_nothing_alive() {
    for (world, client, _folder) in crowds(|_| {}).await {
        for round in 0..200 {
            let first = world.sign_in(&client.id, &[], "ada").await;
            let barrier = Arc::new(tokio::sync::Barrier::new(2));
            let refreshing = {
                let (world, client, refresh, barrier) =
                    (world.clone(), client.clone(), first.refresh.clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    world.refresh(&client.id, &refresh).await
                })
            };
            let revoking = {
                let (world, client, refresh) = (world.clone(), client.clone(), first.refresh.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    let form = form(&[("token", &refresh), ("client_id", client.id.as_str())]);
                    world.issuer.request(&caller(1)).revoke(None, &form).await
                })
            };
            revoking.await.unwrap().unwrap();
            if let Ok(second) = refreshing.await.unwrap() {
                assert!(!world.is_live(&second.access).await, "round {round}");
                assert_eq!(refused(world.refresh(&client.id, &second.refresh).await), "invalid_grant", "round {round}");
            }
            assert!(!world.is_live(&first.access).await, "round {round}");
            assert_eq!(refused(world.refresh(&client.id, &first.refresh).await), "invalid_grant", "round {round}");
            world.pass(1);
        }
    }
}
