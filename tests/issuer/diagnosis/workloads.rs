//! Rules of workloads.

use mcpgate::oauth::Rule;
use mcpgate::outbound::FetchError;

use super::walk::Walk;
use crate::signing_key::SigningKey;
use crate::workloads::{GITHUB_KEYS, of_github, present, signed, world};

pub(super) async fn workloads(walk: &mut Walk) {
    let (world, key) = world().await;
    let good = of_github(&world);
    let (mut late, mut foreign) = (good.clone(), good.clone());
    late["exp"] = 1.into();
    foreign["repository_owner_id"] = "66".into();
    for (rule, token) in [
        (Rule::WorkloadRefused, signed(&key, &late)),
        (Rule::WorkloadUnknown, signed(&key, &foreign)),
        (Rule::WorkloadSignature, signed(&SigningKey::p256(), &good)),
    ] {
        present(&world, &token, &[]).await.unwrap_err();
        let line = walk.expect(rule);
        assert!(!line.contains(&token), "{line}");
    }
    world.account("deploy").await;
    present(&world, &signed(&key, &good), &[]).await.unwrap_err();
    walk.expect(Rule::WorkloadSwitchedOff);
    let (world, key) = crate::workloads::world().await;
    world.fetch.fail(GITHUB_KEYS, FetchError::Dns);
    present(&world, &signed(&key, &of_github(&world)), &[]).await.unwrap_err();
    walk.expect(Rule::IssuerKeysUnreachable);
}
