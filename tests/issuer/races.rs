//! Races: a single-use operation succeeds once among concurrent requests, in memory and on disk.

use std::sync::Arc;

use mcpgate::oauth::{Client, Timestamp};
use mcpgate::store::memory::MemoryStore;
use mcpgate::store::{EmbeddedStore, Store};

use super::driver::*;

/// Each store with an account and a client, and its folder.
async fn crowds() -> Vec<(Arc<World>, Client, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let embedded = EmbeddedStore::open(&folder.path().join("mcpgate.db"), None, Timestamp::default()).unwrap();
    let stores: [(Arc<dyn Store>, _); 2] = [(Arc::new(MemoryStore::new()), None), (Arc::new(embedded), Some(folder))];
    let mut crowds = Vec::new();
    for (store, folder) in stores {
        let world = World::over(store, |config| config.rates.token_per_second = 1_000_000).await;
        world.account("ada").await;
        let client = world.public_client(CALLBACK).await;
        crowds.push((Arc::new(world), client, folder));
    }
    crowds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rv_06_a_revocation_that_races_a_refresh_leaves_nothing_alive() {
    for (world, client, _folder) in crowds().await {
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
                    world.request(&caller(1)).revoke(None, &form).await
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
